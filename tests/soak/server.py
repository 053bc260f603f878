"""The simulator in a process of its own, so that the memory of the other one is the client's.

It obeys lines of JSON on its standard input and answers each on its standard output.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from etoro_sync.simulator import EToroSimulator, Script

from .script import Step, twisted

__all__ = ["SimulatorProcess"]

_ROOT = Path(__file__).resolve().parents[2]
_FIRST_ORDER = 1_000_000


class Orders(threading.Thread):
    """Sends order events with consecutive numbers, and notes when.

    The lock guards the notes.
    """

    def __init__(self, simulator: EToroSimulator, interval: float) -> None:
        super().__init__(daemon=True)
        self._simulator = simulator
        self._interval = interval
        self._lock = threading.Lock()
        self._sent: list[tuple[int, float]] = []
        #: Whether to send; not before somebody has subscribed.
        self.flowing = threading.Event()

    def run(self) -> None:
        number = _FIRST_ORDER
        while True:
            self.flowing.wait()
            with self._lock:
                if self.flowing.is_set():
                    self._simulator.fill_order(number)
                    self._sent.append((number, time.time()))
                    number += 1
            time.sleep(self._interval)

    def take(self) -> list[tuple[int, float]]:
        """Return what was sent since the last call."""
        with self._lock:
            sent, self._sent = self._sent, []
            return sent

    def hold(self) -> None:
        """Send nothing more; what is being sent has been sent when this returns."""
        self.flowing.clear()
        with self._lock:
            pass


class Commands:
    """What can be asked for, by name."""

    def __init__(self, simulator: EToroSimulator, orders: Orders) -> None:
        self._simulator = simulator
        self._orders = orders
        self._script: Script | None = None
        self._steps: list[Step] = []

    def play(self, steps: list[Step]) -> None:
        self._script = self._simulator.play(steps)
        self._steps = steps

    def quiet(self) -> None:
        """End all faults, undo what they have left behind, and send nothing by itself any more."""
        if self._script is not None:
            self._script.stop()
        self._simulator.heal()
        self._simulator.pause()
        # Now, and not in the script: its end may not have come, and no other fault swallows them.
        for instrument_id in twisted(self._steps, self._simulator.subscribed):
            self._simulator.fault("repeat_snapshot", instrument_id=instrument_id)
        self._orders.hold()

    def resume(self) -> None:
        self._simulator.resume()
        self._orders.flowing.set()

    def publish(self, instrument_id: int, bid: str, ask: str) -> int:
        return self._simulator.publish(instrument_id, Bid=bid, Ask=ask)

    def drop(self) -> int:
        return self._simulator.drop()

    def orders(self) -> list[tuple[int, float]]:
        return self._orders.take()

    def prices(self, instrument_ids: list[int]) -> list[list[str]]:
        states = map(self._simulator.last, instrument_ids)
        return [[state["Ask"], state["Bid"], state["LastExecution"]] for state in states]

    def subscribed(self) -> list[str]:
        return sorted(self._simulator.subscribed)

    def slow_clients(self) -> int:
        return self._simulator.slow_clients


def main() -> None:
    # Ctrl-C is the other process's business; when that ends, there is nothing more to read here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    options = json.loads(sys.stdin.readline())
    interval = options.pop("order_interval")
    with EToroSimulator(**options) as simulator:
        orders = Orders(simulator, interval)
        orders.start()
        commands = Commands(simulator, orders)
        print(json.dumps(simulator.url), flush=True)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            print(json.dumps(getattr(commands, name)(*arguments)), flush=True)


class SimulatorProcess:
    """The other side: starts the process; a context manager.

    :param order_interval: seconds between two order events.
    :param options: of the simulator.
    """

    def __init__(self, order_interval: float, **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.server"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url: str = self._ask({"order_interval": order_interval, **options})

    def _ask(self, request: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the simulator's process has ended")
        return json.loads(line)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Any of :class:`Commands`, carried out there."""
        if name.startswith("_") or not hasattr(Commands, name):
            raise AttributeError(name)
        return lambda *arguments: self._ask([name, *arguments])

    def __enter__(self) -> SimulatorProcess:
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


if __name__ == "__main__":
    main()
