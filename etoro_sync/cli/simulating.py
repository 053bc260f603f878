"""The command ``simulate``, and the simulators behind demonstrations."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..demo import DEMO_PRICES
from .ending import CommandError
from .lines import count

if TYPE_CHECKING:
    from ..simulator import EToroSimulator, Script

__all__ = ["Cuts", "make_simulator", "play", "simulate"]

_PRICE_OF_OTHERS = 100.0
#: Seconds between looks at the clock.
_PERIOD = 0.25


def make_simulator(instrument_ids: tuple[int, ...] | None = None, **options: Any) -> Any:
    """Make a simulator; what it cannot do is the user's mistake.

    :param instrument_ids: what it has prices for; None is everything.
    :param options: of the simulator.
    :raises CommandError: in one line.
    """
    prices = None
    if instrument_ids is not None:
        prices = {id_: DEMO_PRICES.get(id_, _PRICE_OF_OTHERS) for id_ in instrument_ids}
    try:
        from ..simulator import EToroSimulator

        return EToroSimulator(prices, **options)
    except (ImportError, ValueError) as exc:
        raise CommandError(str(exc)) from exc


def play(simulator: "EToroSimulator", script: Path) -> "Script":
    """Let a simulator play a script of faults; what is wrong with it is the user's mistake.

    :param simulator: not yet started; the script's time begins now.
    :param script: a JSON file.
    :returns: the script as it plays.
    :raises CommandError: in one line.
    """
    try:
        return simulator.play(script)
    except (TypeError, ValueError) as exc:
        raise CommandError(str(exc)) from exc
    except OSError as exc:
        raise CommandError(f"Cannot read the script {script}: {exc.strerror}.") from exc


class Cuts:
    """Cuts all connections of a simulator off at regular intervals.

    :param simulator: whose connections.
    :param interval: seconds between cuts; None never cuts.
    """

    def __init__(self, simulator: "EToroSimulator", interval: float | None) -> None:
        self._simulator = simulator
        self._interval = interval
        self._last = time.monotonic()

    def tick(self) -> bool:
        """Cut, if it is time to.

        :returns: whether somebody was cut off.
        """
        now = time.monotonic()
        if self._interval is None or now - self._last < self._interval:
            return False
        self._last = now
        return self._simulator.drop() > 0


def simulate(
    simulator: "EToroSimulator",
    ca_file: Path | None,
    seconds: float | None,
    cut_every: float | None,
    keys: str,
    script: "Script | None" = None,
) -> None:
    """Run a simulator, and tell what happens to it, until its time is over or a signal ends it.

    :param simulator: not yet started.
    :param ca_file: where to put the certificate to trust; None prints it.
    :param seconds: how long; None is without end.
    :param cut_every: seconds between cut connections; None never cuts.
    :param keys: what keys it accepts, in words.
    :param script: what it plays, if anything.
    :raises CommandError: when *ca_file* cannot be written.
    """
    try:
        simulator.start()
    except OSError as exc:
        # The address is free to choose, and the system's words do not name it.
        raise OSError(f"Cannot listen on port {simulator.port}: {exc.strerror}.") from exc
    try:
        _say(f"Simulator of eToro's stream at {simulator.url}")
        _say(f"Keys: {keys}. Ctrl-C ends.")
        if simulator.ca_pem is not None:
            _hand_over(simulator.ca_pem, ca_file)
        cuts = Cuts(simulator, cut_every)
        deadline = None if seconds is None else time.monotonic() + seconds
        seen = (*_census(simulator), 0)
        while deadline is None or time.monotonic() < deadline:
            seen = _await_change(simulator, script, seen, deadline)
            if cuts.tick():
                _say("All connections were cut off.")
    finally:
        simulator.stop()


def _census(simulator: "EToroSimulator") -> tuple[int, int]:
    return len(simulator.clients), len(simulator.subscribed)


def _await_change(
    simulator: "EToroSimulator",
    script: "Script | None",
    seen: tuple[int, int, int],
    deadline: float | None,
) -> tuple[int, int, int]:
    """Wait a little for clients to come or go and for steps to be taken, and tell of them."""

    def now() -> tuple[int, int, int]:
        return (*_census(simulator), 0 if script is None else len(script.taken))

    left = _PERIOD if deadline is None else max(deadline - time.monotonic(), 0.0)
    try:
        simulator.wait_until(lambda sim: now() != seen, min(left, _PERIOD))
    except TimeoutError:
        return seen
    clients, topics, steps = now()
    for step in script.taken[seen[2] : steps] if script is not None else ():
        _say(f"{step.seconds:.1f} s  {step.name}")
    if (clients, topics) != seen[:2]:
        _say(f"{count(clients, 'client')}, {count(topics, 'topic')}")
    return clients, topics, steps


def _hand_over(pem: str, ca_file: Path | None) -> None:
    if ca_file is None:
        _say(f"Its certificate authority, for clients to trust:\n{pem.strip()}")
        return
    try:
        ca_file.write_text(pem)
    except OSError as exc:
        raise CommandError(f"Cannot write the certificate to {ca_file}: {exc.strerror}.") from exc
    _say(f"Its certificate authority, for clients to trust: {ca_file}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
