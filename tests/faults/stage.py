"""What a scenario is played with: a simulator, a client in use, and the account at the end."""

from __future__ import annotations

import time
from functools import partial

from etoro_sync import ClientState, WsClient, WsClientOptions, WsGap
from etoro_sync.simulator import FAULTS, EToroSimulator

from .expectations import seconds
from .measurement import Measurement
from .resolver import NAME, Resolver
from .scenarios import REQUESTS, Scenario
from .traffic import INSTRUMENTS, ORDERS, Traffic, longest_transit, losses
from .witness import Seen, Witness

__all__ = ["PATIENCE", "Stage"]

#: Seconds, longer than any bound: who has seen nothing by then will not see it any more.
PATIENCE = 10.0
#: How many messages of each kind are sent at once, before and after a fault.
_BURST = 10
#: Topics that nothing is ever sent for, so long that they need three requests.
_LONG_TOPICS = [10**17 + number for number in range(1400)]


class Stage:
    """What a play has to work with.

    :param scenario: to be played.
    :param sim: running.
    :param resolver: in place.
    :param measured: to be filled in.
    """

    def __init__(
        self, scenario: Scenario, sim: EToroSimulator, resolver: Resolver, measured: Measurement
    ) -> None:
        self.scenario = scenario
        self.sim = sim
        self.resolver = resolver
        self.measured = measured
        self.traffic = Traffic(sim)
        self.client = WsClient(self._options())
        self.witness = Witness(self.client)
        self.mark = 0
        self._ended = False

    def _options(self) -> WsClientOptions:
        options = dict(self.scenario.all_options)
        if self.scenario.tls:
            options["ssl_context"] = self.sim.client_ssl_context()
        url = self.sim.url
        if self.scenario.phase == "resolve":
            url = f"ws://{NAME}:{self.sim.port}/ws"
        return WsClientOptions("api", "user", url, proxy="", **options)

    @property
    def topics(self) -> list[str | int]:
        """What is subscribed to; in the phase `subscribe` it takes several requests."""
        many = _LONG_TOPICS if self.scenario.phase == "subscribe" else []
        return ["private", INSTRUMENTS[0], *many, INSTRUMENTS[1]]

    def bound(self, words: str) -> float:
        """Return what a formula of the options is, in seconds."""
        return seconds(words, self.scenario.all_options)

    # -- before ----------------------------------------------------------------------------------

    def begin(self, *, subscribed: bool = True) -> None:
        """Connect, with everything in use."""
        self.witness.listen()
        self.client.connect()
        if subscribed:
            self.client.subscribe(self.topics, snapshot=True)
            if self.scenario.phase == "subscribe":
                self._count_requests()
            self.use()
        # Callbacks may lag behind what connect() knows.
        self.see("authenticated")
        self.mark = len(self.witness.story())

    def _count_requests(self) -> None:
        sent = [each for each in self.sim.requests if each["operation"] == "Subscribe"]
        if len(sent) != REQUESTS:
            self.measured.different.append(f"{len(sent)} requests, not {REQUESTS}")

    def use(self) -> None:
        """Let messages flow, and be waited for, after everything was subscribed to."""
        self.witness.wait_in_calls()
        wanted = [(way, i) for way in ("callback", "queue") for i in INSTRUMENTS]
        wanted.append(("stream", INSTRUMENTS[1]))
        came = self.witness.delivered
        if not self.witness.wait(lambda: all(place in came for place in wanted), PATIENCE):
            self.measured.different.append("no snapshots came")
        self.traffic.start()
        self.until_flowing()

    def until_flowing(self) -> float:
        """Wait until a message that is sent now has come to all consumers; return how long."""
        started = time.monotonic()
        for _ in range(_BURST):
            last = {place: self.traffic.send(place) for place in (*INSTRUMENTS, ORDERS)}
        for place, number in last.items():
            ways = ["callback", "queue"] + ["stream"] * (place == INSTRUMENTS[1])
            for way in ways:
                came = partial(self.witness.has, number, way, place)
                if not self.witness.wait(came, PATIENCE):
                    self.measured.different.append(f"message {number} of {place} came to no {way}")
        return time.monotonic() - started

    # -- the fault -------------------------------------------------------------------------------

    def strike(self) -> None:
        """Let it go wrong."""
        if self.scenario.phase == "resolve":
            self.resolver.fault(self.scenario.fault, **self.scenario.arguments)
        elif self.scenario.fault in FAULTS:
            self.sim.fault(self.scenario.fault, **self.scenario.arguments)

    def heal(self) -> None:
        """Let everything be right again."""
        self.resolver.heal()
        self.sim.heal()

    def see(self, name: str, patience: float = PATIENCE) -> Seen | None:
        """Wait for the first event of a name since the fault."""
        self.witness.wait(lambda: self.witness.first(name, self.mark), patience)
        return self.witness.first(name, self.mark)

    # -- after -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Send a last message each, and compare both sides."""
        self.traffic.stop()
        self.until_flowing()
        for instrument_id in INSTRUMENTS:
            there, here = self.sim.last(instrument_id), self.client.rates[instrument_id]
            if (float(there["Bid"]), float(there["Ask"])) != (here.bid, here.ask):
                self.measured.different.append(f"{instrument_id}: {here.bid}, not {there['Bid']}")
        wanted = frozenset(self.client.subscriptions)
        if wanted != self.sim.subscribed:
            self.measured.different.append(f"topics: {len(self.sim.subscribed)}, not {len(wanted)}")
        self._account()

    def _account(self) -> None:
        """Find out what was lost."""
        gaps: list[WsGap] = [
            seen.arguments[0] for seen in self.witness.story() if seen.name == "reconnected"
        ]
        self.measured.sent = sum(map(len, self.traffic.sent.values()))
        with self.witness.changed:
            delivered = {place: list(came) for place, came in self.witness.delivered.items()}
        transit = longest_transit(self.traffic.sent, delivered)
        for (way, place), came in delivered.items():
            sent = self.traffic.sent[place]
            if way == "stream":  # which begins when it begins
                sent = [each for each in sent if each.number >= came[0].number]
            inside, outside = losses(sent, came, gaps, transit)
            if way == "queue":
                self.measured.inside += len(inside)
            if outside:
                self.measured.outside.append(f"{way} of {place}: {outside[:5]} ({len(outside)})")

    def end(self) -> None:
        """Disconnect, and see that everything ends with it. The second time it does nothing."""
        if self._ended:
            return
        self._ended = True
        self.traffic.stop()
        self.measured.events = [str(seen) for seen in self.witness.story(self.mark)]
        self.measured.state = self.measured.state or self.client.state.name
        over = time.monotonic()
        if self.client.state is ClientState.FAILED:
            self.await_calls(over)
        started = time.monotonic()
        self.client.disconnect()
        self.measured.disconnected = time.monotonic() - started
        if not self.measured.calls:
            self.await_calls(time.monotonic())
        self.heal()

    def await_calls(self, over: float) -> None:
        """Note how the blocked calls end, now that the client has ended."""
        self.witness.end(PATIENCE)
        self.measured.calls = {call.name: call.outcome for call in self.witness.calls}
        self.measured.late = max([0.0, *(call.ended_at - over for call in self.witness.calls)])
