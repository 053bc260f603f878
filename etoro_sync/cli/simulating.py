"""The command ``simulate``, and the simulators for demonstrations."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..demo import DEMO_PRICES
from .ending import CommandError
from .lines import count

if TYPE_CHECKING:
    from ..simulator import EToroSimulator, Script

__all__ = ["Cuts", "make_simulator", "play", "simulate"]

_PRICE_OF_OTHERS = 100.0
#: Seconds between two checks of the clock.
_PERIOD = 0.25


def make_simulator(
    instrument_ids: tuple[int, ...] | None = None, catalogue: bool = True, **options: Any
) -> Any:
    """Create a simulator.

    :param instrument_ids: the instruments that it has, besides those of its REST API; None is
        all.
    :param catalogue: whether it has those of its REST API, where ids are given.
    :param options: the simulator's options.
    :raises CommandError: if an option is not valid or a package is missing.
    """
    prices = None
    try:
        from ..simulator import EToroSimulator
        from ..simulator.catalogue import Catalogue

        if instrument_ids is not None:
            prices = dict.fromkeys(instrument_ids, _PRICE_OF_OTHERS)
            if catalogue:
                prices |= {each.id: each.price for each in Catalogue().listings} | DEMO_PRICES

        return EToroSimulator(prices, **options)
    except (ImportError, ValueError) as exc:
        raise CommandError(str(exc)) from exc


def play(simulator: "EToroSimulator", script: Path) -> "Script":
    """Let a simulator play a script of faults.

    :param simulator: not yet started; the script's time begins now.
    :param script: a JSON file.
    :returns: the running script.
    :raises CommandError: if the file cannot be read or is not a valid script.
    """
    try:
        return simulator.play(script)
    except (TypeError, ValueError) as exc:
        raise CommandError(str(exc)) from exc
    except OSError as exc:
        raise CommandError(f"Cannot read the script {script}: {exc.strerror}.") from exc


class Cuts:
    """Resets all connections of a simulator at regular intervals.

    :param simulator: the simulator.
    :param interval: seconds between two cuts; None never cuts.
    """

    def __init__(self, simulator: "EToroSimulator", interval: float | None) -> None:
        self._simulator = simulator
        self._interval = interval
        self._last = time.monotonic()

    def tick(self) -> bool:
        """Reset the connections, if the interval is over.

        :returns: whether any client was cut off.
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
    rest: bool = False,
    ended: Callable[[], bool] = lambda: False,
) -> None:
    """Run a simulator and report its clients, until its time is over or a signal ends it.

    :param simulator: not yet started.
    :param ca_file: where to write the certificate that clients must trust; None prints it.
    :param seconds: how long to run; None is until Ctrl-C.
    :param cut_every: seconds between two cuts of all connections; None never cuts.
    :param keys: describes the keys that it accepts.
    :param script: the script that it plays, if any.
    :param rest: whether it answers requests for names.
    :param ended: asked several times a second whether there is nothing more to send.
    :raises CommandError: when *ca_file* cannot be written.
    """
    try:
        simulator.start()
    except OSError as exc:
        # The system's own message does not name the port.
        raise OSError(f"Cannot listen on port {simulator.port}: {exc.strerror}.") from exc
    try:
        _print(f"Simulator of eToro's stream at {simulator.url}")
        _print(f"Keys: {keys}. Ctrl-C ends.")
        if rest:
            _print(f"Symbols and names of instruments: ETORO_REST_URL={simulator.rest_url}")
        if simulator.ca_pem is not None:
            _provide_certificate(simulator.ca_pem, ca_file)
        cuts = Cuts(simulator, cut_every)
        deadline = None if seconds is None else time.monotonic() + seconds
        seen = (*_counts(simulator), 0)
        while (deadline is None or time.monotonic() < deadline) and not ended():
            seen = _report_changes(simulator, script, seen, deadline)
            if cuts.tick():
                _print("All connections were cut off.")
    finally:
        simulator.stop()


def _counts(simulator: "EToroSimulator") -> tuple[int, int]:
    return len(simulator.clients), len(simulator.subscribed)


def _report_changes(
    simulator: "EToroSimulator",
    script: "Script | None",
    seen: tuple[int, int, int],
    deadline: float | None,
) -> tuple[int, int, int]:
    """Wait a moment for changes of clients, topics and steps of the script, and print them."""

    def now() -> tuple[int, int, int]:
        return (*_counts(simulator), 0 if script is None else len(script.taken))

    left = _PERIOD if deadline is None else max(deadline - time.monotonic(), 0.0)
    try:
        simulator.wait_until(lambda sim: now() != seen, min(left, _PERIOD))
    except TimeoutError:
        return seen
    clients, topics, steps = now()
    for step in script.taken[seen[2] : steps] if script is not None else ():
        _print(f"{step.seconds:.1f} s  {step.name}")
    if (clients, topics) != seen[:2]:
        _print(f"{count(clients, 'client')}, {count(topics, 'topic')}")
    return clients, topics, steps


def _provide_certificate(pem: str, ca_file: Path | None) -> None:
    if ca_file is None:
        _print(f"Its certificate authority, for clients to trust:\n{pem.strip()}")
        return
    try:
        ca_file.write_text(pem)
    except OSError as exc:
        raise CommandError(f"Cannot write the certificate to {ca_file}: {exc.strerror}.") from exc
    _print(f"Its certificate authority, for clients to trust: {ca_file}")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
