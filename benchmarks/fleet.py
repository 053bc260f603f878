"""A fleet with all of eToro's instruments: how fast they are there, and whether all is exact.

The simulator runs in a process of its own, with eToro's limit of topics on a connection. 12,684
instruments are subscribed to at once. Then come 12,000 messages within a second, and after that the
messages of all instruments, 2,817 a second, as in the recordings of the real feed. A callback and a
queue read both. In the end each last price is compared with the one that was sent last, and the
messages are counted on both sides. A long run::

    python -m benchmarks.fleet --seconds 600
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from .processes import child_environment

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parents[1]
_INSTRUMENTS = 12_684
_BURST = 12_000
_RATE = 2_817
#: Messages that are sent at once.
_SLICE = 30

Answer = dict[str, Any]


def envelope(topic: str, content: dict[str, str]) -> str:
    """Return the text of a message, as eToro sends it: JSON inside of JSON."""
    inner = json.dumps(content)
    message = {"topic": topic, "content": inner, "id": "m", "type": "Trading.Instrument.Rate"}
    return json.dumps({"messages": [message]})


# -- the server ------------------------------------------------------------------------------------


class _Sender:
    """Publishes numbered prices, and remembers the last of each instrument."""

    def __init__(self, sim: Any) -> None:
        self._sim = sim
        self._number = 0
        self.last: dict[int, int] = {}

    def send(self, count: int, seconds: float) -> Answer:
        """Send *count* messages, spread evenly over *seconds*; return how long it took."""
        ready = self._prepare(min(count, _BURST))
        hub = self._sim._hub
        began = time.monotonic()
        for sent in range(count):
            if not sent % _SLICE:
                if not ready:
                    ready = self._prepare(min(_SLICE, count - sent))
                ahead = began + sent * seconds / count - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)
            topic, text = ready.popleft()
            with hub.changed:
                hub.send_to_subscribers(topic, text)
        return {"sent": count, "seconds": time.monotonic() - began}

    def _prepare(self, count: int) -> "deque[tuple[str, str]]":
        """Return topics and texts, since writing the texts is what takes the server long."""
        ready = deque()
        for _ in range(count):
            self._number += 1
            key, bid = 1 + self._number * 7919 % _INSTRUMENTS, 1000 + self._number
            topic = f"instrument:{key}"
            content = {"Ask": str(bid + 1), "Bid": str(bid), "LastExecution": str(bid)}
            content |= {"Date": "2026-01-01T00:00:00.0000000Z", "PriceRateID": str(bid)}
            ready.append((topic, envelope(topic, content)))
            self.last[key] = bid
        return ready


def _serve() -> None:
    from etoro_sync.simulator import EToroSimulator

    with EToroSimulator(rate=0, max_backlog=200_000) as sim:
        sender = _Sender(sim)
        print(json.dumps({"url": sim.url}), flush=True)
        for line in sys.stdin:
            command, *given = json.loads(line)
            answer: Answer = {}
            if command == "send":
                answer = sender.send(*given)
            elif command == "last":
                answer = {"last": sender.last}
            elif command == "subscribed":
                topics = [len(client.topics) for client in sim.clients]
                answer = {"topics": topics, "all": len(sim.subscribed)}
            print(json.dumps(answer), flush=True)


class _Server:
    """The simulator in its own process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fleet", "--serve"],
            cwd=_ROOT,
            env=child_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url: str = self._answer()["url"]

    def _answer(self) -> Answer:
        assert self._process.stdout is not None
        answer: Answer = json.loads(self._process.stdout.readline())
        return answer

    def ask(self, *command: Any) -> Answer:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


# -- the fleet -------------------------------------------------------------------------------------


class _Reader:
    """Reads a fleet with a callback and with a queue, and counts."""

    def __init__(self, fleet: Any) -> None:
        self._fleet = fleet
        self.called = 0
        self.read = 0
        fleet.on("instrument:rate", self._call)
        self.queue = fleet.queue("instrument:rate", maxsize=0)
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def _call(self, key: int, rate: Any) -> None:
        self.called += 1

    def _loop(self) -> None:
        for _ in self.queue:
            self.read += 1

    def wait(self, expected: int, patience: float = 60.0) -> float:
        """Wait until as many have come; return for how long."""
        began = time.monotonic()
        while min(self.called, self.read) < expected and time.monotonic() < began + patience:
            time.sleep(0.002)
        return time.monotonic() - began


def _phase(name: str, server: _Server, reader: _Reader, fleet: Any, command: list[Any]) -> None:
    before, cpu = reader.read, time.process_time()
    answer = server.ask(*command)
    behind = reader.wait(before + answer["sent"])
    cpu = time.process_time() - cpu
    last = {int(key): bid for key, bid in server.ask("last")["last"].items()}
    wrong = [key for key, bid in last.items() if fleet.rates[key].bid != bid]
    stats = fleet.stats()
    print(
        f"{name}: {answer['sent']:,} messages sent in {answer['seconds']:.2f} s; the last of them "
        f"read {behind:.3f} s later; read {reader.read - before:,}; last prices {len(last):,}, "
        f"wrong {len(wrong)}; dropped {reader.queue.dropped + stats.callbacks_dropped}; skipped "
        f"{reader.queue.conflated + stats.callbacks_conflated}; client's CPU "
        f"{cpu / answer['seconds']:.0%} of a core; gaps {stats.reconnects}"
    )
    if wrong or reader.read - before != answer["sent"]:
        raise SystemExit("not exact")


def main(arguments: list[str] | None = None) -> None:
    """Run it, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of the steady feed")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.serve:
        _serve()
        return
    from etoro_sync import WsFleet

    server = _Server()
    fleet = WsFleet(ws_url=server.url, api_key="a", user_key="u", conflate_after=None)
    try:
        print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        fleet.connect()
        began = time.monotonic()
        fleet.subscribe(range(1, _INSTRUMENTS + 1))
        took = time.monotonic() - began
        held = server.ask("subscribed")
        print(
            f"{held['all']:,} instruments acknowledged in {took:.2f} s on "
            f"{len(fleet.connections)} connections: {held['topics']}"
        )
        reader = _Reader(fleet)
        _phase("burst", server, reader, fleet, ["send", _BURST, 1.0])
        seconds = given.seconds
        _phase("steady", server, reader, fleet, ["send", int(_RATE * seconds), seconds])
        print(f"load of the machine: {os.getloadavg()[0]:.1f}")
        began = time.monotonic()
        fleet.disconnect()
        print(f"disconnect(): {time.monotonic() - began:.3f} s")
    finally:
        fleet.disconnect()
        server.stop()


if __name__ == "__main__":
    main()
