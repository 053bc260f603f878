"""The quiet moments of a soak: all faults are healed, nothing moves, and everything must agree."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import time
from collections.abc import Callable, Sequence

from etoro_sync import ClientState
from etoro_sync.models import WsInstrumentRate

from .program import MARKER, Program
from .samples import count_descriptors
from .script import LONGEST_HOLD
from .server import SimulatorProcess

__all__ = ["Audit"]

#: Seconds for everything that waits to be read, by readers that make no pause any more.
_DRAIN = 30.0
_LOOK = 0.02


class Audit:
    """Compares both sides in quiet moments, and collects what does not agree.

    :param program: the client and its users.
    :param server: the other side.
    """

    def __init__(self, program: Program, server: SimulatorProcess) -> None:
        self._program = program
        self._server = server
        self._numbers = itertools.count(1)
        self._threads: int | None = None
        self._descriptors: int | None = None
        self._away_since: dict[str, float] = {}
        self.broken: list[str] = []
        self.moments = self.compared = 0
        #: Seconds, and how many blocks of memory Python's objects take when nothing waits.
        self.blocks: list[tuple[float, float]] = []
        #: Seconds until data flowed again after all faults were healed, at worst.
        self.slowest = 0.0

    def take(self, *, last: bool = False) -> None:
        """Make it quiet, look, and let it flow again.

        :param last: the connection is replaced first, so that nothing is an older one's.
        """
        program, server = self._program, self._server
        asked = time.monotonic()
        server.quiet()
        if last:
            connections = program.client.stats().connections
            server.drop()
            self._until(lambda: program.client.stats().connections > connections, program.patience)
        if self._recovered():
            self.slowest = max(self.slowest, time.monotonic() - asked)
            program.be_quick(True)
            if self._drained():
                self._compare(last)
            program.be_quick(False)
        self.moments += 1
        if not last:
            server.resume()

    def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or self._program.client.state is ClientState.FAILED:
                return False
            time.sleep(_LOOK)
        return True

    def _recovered(self) -> bool:
        """Wait until a price that is published now arrives: then all before it has, too."""
        program, began = self._program, time.monotonic()
        while (waited := time.monotonic() - began) < program.patience:
            number = next(self._numbers)
            self._server.publish(MARKER, f"{number}.0", f"{number}.5")
            if self._until(lambda: self._has_marker(float(number)), 0.5):  # noqa: B023 - at once
                return True
        self.broken.append(
            f"no data {waited:.1f} s after all faults were healed; the client is "
            f"{program.client.state.value}"
        )
        return False

    def _has_marker(self, number: float) -> bool:
        client = self._program.client
        rate = client.rates.get(MARKER)
        return rate is not None and rate.bid == number and client.state is ClientState.LIVE

    def _drained(self) -> bool:
        """Wait until all readers and callbacks have had everything."""
        program = self._program
        if self._until(lambda: program.waiting == 0, _DRAIN):
            return True
        self.broken.append(f"{program.waiting} items wait {_DRAIN:g} s after the last one came")
        return False

    # -- what must agree -------------------------------------------------------------------------

    def _compare(self, last: bool) -> None:
        # A topic that comes and goes may bring a snapshot between two figures, but not each time.
        self._until(lambda: not self._program.account(), 1.0)
        self.broken += self._program.account()
        self._compare_topics(last)
        self._compare_prices()
        self._compare_orders()
        self._compare_resources()

    def _compare_topics(self, last: bool) -> None:
        """What is wanted is subscribed, but for what the server has lost a short while ago."""
        program, now = self._program, time.monotonic()
        refused = [t for t in program.topics if t not in set(program.client.subscriptions)]
        if refused and not program.callbacks.refused:
            self.broken.append(f"{len(refused)} topics are wanted no longer, and none was refused")
        there = set(self._server.subscribed())
        away = {topic for topic in program.topics if topic not in there}
        self._away_since = {topic: self._away_since.get(topic, now) for topic in away}
        for topic, since in self._away_since.items():
            if now - since > program.repair_seconds or (last and topic not in refused):
                self.broken.append(f"{topic} is not subscribed, and was not repaired")
        if refused:
            program.client.subscribe(refused, snapshot=True)
        if there - set(program.client.subscriptions) - set(program.spare_topics):
            self.broken.append("the server has topics that nobody wants")

    def _compare_prices(self) -> None:
        """The last price of each instrument, where it is looked up and with who got each one."""
        program = self._program
        ids = [id_ for id_ in program.ids if f"instrument:{id_}" not in self._away_since]
        rates, prices = program.client.rates, self._server.prices(ids)
        views = {"client.rates": rates, **program.views()}
        for name, view in views.items():
            wrong = [
                f"{id_}: {view.get(id_)} instead of {texts}"
                for id_, texts in zip(ids, prices, strict=True)
                if not _shows(view.get(id_), texts)
            ]
            self.compared += len(ids)
            if wrong:
                self.broken.append(f"{name}: {len(wrong)} last prices differ, first {wrong[0]}")

    def _compare_orders(self) -> None:
        program, sent = self._program, self._server.orders()
        for book in program.orders:
            self.broken += book.judge(sent, program.callbacks.gaps, LONGEST_HOLD + 5.0)

    def _compare_resources(self) -> None:
        """Threads and descriptors are as many as in the first quiet moment."""
        gc.collect()
        self.blocks.append((time.monotonic(), float(sys.getallocatedblocks())))
        names = [t.name for t in threading.enumerate() if t.name.startswith("etoro-sync")]
        if len(names) != 2:
            self.broken.append(f"the client has {len(names)} threads: {', '.join(sorted(names))}")
        found = (threading.active_count(), count_descriptors())
        if self._threads is None:
            self._threads, self._descriptors = found
        if found != (self._threads, self._descriptors):
            self.broken.append(
                f"{found[0]} threads and {found[1]} descriptors, where there were "
                f"{self._threads} and {self._descriptors}"
            )


def _shows(rate: WsInstrumentRate | None, texts: Sequence[str]) -> bool:
    """Whether a rate has the prices that the server has: ask, bid and last execution."""
    if rate is None:
        return False
    # A last execution of 0 says that there is no news of it.
    seen = [rate.ask, rate.bid, rate.last_execution][: 3 - (texts[2] == "0")]
    return seen == [float(text) for text in texts if text != "0"]
