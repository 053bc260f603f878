"""A testbed with three connections, of which the fault strikes one, and what the others bring."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from functools import partial
from typing import Any

from etoro_sync import WsClient, WsFleet
from etoro_sync.fleet.client import FleetCore
from etoro_sync.simulator import EToroSimulator
from etoro_sync.ws.core import core_of

from .leftovers import client_ends
from .observer import Delivered, Observer
from .testbed import PATIENCE, Testbed

__all__ = ["FleetTestbed"]

#: The instruments of the two connections that the fault does not strike; four fill a connection.
CALM = tuple(range(101, 109))
_PLACES = 4
_PAUSE = 0.004  # seconds between two messages


class _Observer(Observer):
    """Keeps what comes on the other connections apart."""

    def __init__(self, client: WsClient) -> None:
        self.calm: dict[tuple[str, int], list[int]] = {}
        super().__init__(client)

    def _deliver(self, place: tuple[str, int], came: Delivered) -> None:
        if place[1] not in CALM:
            super()._deliver(place, came)
            return
        with self.changed:
            self.calm.setdefault(place, []).append(came.number)
            self.changed.notify_all()


class FleetTestbed(Testbed):
    """The parameters are those of :class:`Testbed`."""

    def _make_client(self) -> WsClient:
        self._calm = EToroSimulator(dict.fromkeys(CALM, 1000.0), rate=0, nul_interval=0).start()
        options = self._options()
        fleet = WsFleet(options)
        core = core_of(fleet)
        assert isinstance(core, FleetCore)
        parts = core.fleet.parts
        parts.tracker.placement._places = _PLACES
        for number in range(len(CALM) // _PLACES):
            calm = replace(options, ws_url=self._calm.url, ssl_context=None, api_key="api")
            parts.member(number).options = calm
        self._sent: list[tuple[int, int]] = []
        self._numbers = itertools.count(10)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._flow, name="calm traffic", daemon=True)
        return fleet

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.observer: _Observer = _Observer(self.client)

    @property
    def own_topics(self) -> frozenset[str]:
        """What is wanted of the connection that the fault strikes."""
        calm = {f"instrument:{number}" for number in CALM}
        return frozenset(self.client.subscriptions) - calm

    def begin(self, *, subscribed: bool = True) -> None:
        """Connect, with everything in use."""
        self.client.subscribe(CALM)
        self.client.connect()
        self._calm.wait_until(lambda sim: len(sim.subscribed) == len(CALM), PATIENCE)
        self._thread.start()
        self.observer.listen()
        self.client.subscribe(self.topics, snapshot=True)
        self.use()
        names = partial(self.observer.connection_events, 0)
        self.observer.wait(
            lambda: sum(seen.name == "authenticated" for seen in names()) == 3, PATIENCE
        )
        self.mark = len(self.observer.connection_events())

    def _flow(self) -> None:
        while not self._stopped.wait(_PAUSE):
            self._send()

    def _send(self) -> None:
        number = next(self._numbers)
        key, bid = CALM[number % len(CALM)], str(number)
        self._calm.publish(key, Bid=bid, Ask=str(number + 1), LastExecution=bid)
        self._sent.append((key, number))

    def settle(self) -> None:
        """Compare both sides, and see that the other connections have lost nothing."""
        super().settle()
        self._stopped.set()
        self._thread.join()
        for _ in CALM:
            self._send()
        for key in CALM:
            sent = [number for place, number in self._sent if place == key]
            for way in ("callback", "queue"):
                came = self.observer.calm.setdefault((way, key), [])
                self.observer.wait(partial(_ends_with, came, sent[-1]), PATIENCE)
                # They begin when they begin.
                if not came or came != sent[sent.index(came[0]) :]:
                    self.measured.outside.append(f"{way} of {key}, on another connection")

    def end(self) -> None:
        """Disconnect, and see that everything ends with it."""
        self._stopped.set()
        super().end()
        self.measured.descriptors += client_ends(self._calm.port)
        self._calm.stop()


def _ends_with(numbers: list[int], last: int) -> bool:
    return numbers[-1:] == [last]
