"""What a scenario is played with: a simulator, a client in use, and the account at the end."""

from __future__ import annotations

import time
from functools import partial
from itertools import pairwise, takewhile

from etoro_sync import ClientState, WsClient, WsClientOptions, WsGap
from etoro_sync.simulator import EToroSimulator
from tests.support.timing import queued

from .account import TRANSIT, disorder, losses, odd_gap
from .delays import DelayMonitor
from .expectations import MARGIN, seconds
from .injection import KEYS, RESOLVED, Injection
from .leftovers import client_ends, client_threads
from .measurement import Measurement, Wait
from .observer import Delivered, Observer, Seen
from .resolver import NAME
from .scenario import REQUESTS, Scenario
from .traffic import INSTRUMENTS, ORDERS, Traffic

__all__ = ["PATIENCE", "Testbed"]

#: Seconds, longer than any bound: who has seen nothing by then will not see it any more.
PATIENCE = 10.0
#: How many messages of each kind are sent at once, before and after a fault.
_BURST = 10
#: Topics that nothing is ever sent for, so long that they need three requests.
_LONG_TOPICS = [10**17 + number for number in range(1400)]


class Testbed:
    """What a play has to work with.

    :param scenario: to be played.
    :param sim: running.
    :param injection: of the faults.
    :param measured: to be filled in.
    :param delays: measures those of the machine.
    """

    def __init__(
        self,
        scenario: Scenario,
        sim: EToroSimulator,
        injection: Injection,
        measured: Measurement,
        delays: DelayMonitor,
    ) -> None:
        self.scenario = scenario
        self.sim = sim
        self.injection = injection
        self.measured = measured
        self.traffic = Traffic(sim)
        self._delays = delays
        self._late_before, self._queued_before = delays.late, queued()
        self.client = self._make_client()
        self.observer = Observer(self.client)
        self.mark = 0
        self._noted = self._ended = False
        self._awaiting = True

    def _make_client(self) -> WsClient:
        return WsClient(self._options())

    @property
    def own_topics(self) -> frozenset[str]:
        """What is wanted of the connection that the fault strikes."""
        return frozenset(self.client.subscriptions)

    def _options(self) -> WsClientOptions:
        options = dict(self.scenario.all_options)
        if self.scenario.tls:
            options["ssl_context"] = self.sim.client_ssl_context()
        url, fault = self.sim.url, self.scenario.fault
        if fault in RESOLVED and not self.scenario.tls:
            url = f"ws://{NAME}:{self.sim.port}/ws"
        key = self.injection.key if fault in KEYS else "api"
        return WsClientOptions(key, "user", url, proxy="", **options)

    @property
    def held_up(self) -> float:
        """How long the machine has kept threads from running until now."""
        return self._delays.late - self._late_before

    @property
    def topics(self) -> list[str | int]:
        """What is subscribed to; in the phase `subscribe` it takes several requests."""
        many = _LONG_TOPICS if self.scenario.phase == "subscribe" else []
        return ["private", INSTRUMENTS[0], *many, INSTRUMENTS[1]]

    def bound(self, words: str) -> float:
        """Return what a formula of the options is, in seconds."""
        return seconds(words, self.scenario.all_options)

    # -- before ----------------------------------------------------------------------------------

    def renew(self) -> None:
        """Begin once more, after a session that has failed."""
        self._awaiting = True
        self.observer.calls = []
        self.client.connect()
        # A queue that was made before would end at once, as the client had.
        self.observer.listen()

    def begin(self, *, subscribed: bool = True) -> None:
        """Connect, with everything in use."""
        self.observer.listen()
        self.client.connect()
        if subscribed:
            self.client.subscribe(self.topics, snapshot=True)
            if self.scenario.phase == "subscribe":
                self._count_requests()
            self.use()
        # Callbacks may lag behind what connect() knows.
        self.see("authenticated")
        self.mark = len(self.observer.connection_events())

    def _count_requests(self) -> None:
        sent = [each for each in self.sim.requests if each["operation"] == "Subscribe"]
        if len(sent) != REQUESTS:
            self.measured.different.append(f"{len(sent)} requests, not {REQUESTS}")

    def use(self) -> None:
        """Let messages flow, and be waited for, after everything was subscribed to."""
        self.observer.wait_in_calls()
        wanted = [(way, i) for way in ("callback", "queue") for i in INSTRUMENTS]
        wanted.append(("stream", INSTRUMENTS[1]))
        came = self.observer.delivered
        if self.scenario.fault == "no_snapshot":
            # Prices are held back for so long before they are published without one.
            time.sleep(self.bound("request_timeout"))
        elif not self.observer.wait(lambda: all(place in came for place in wanted), PATIENCE):
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
                came = partial(self.observer.has, number, way, place)
                if not self.observer.wait(came, PATIENCE):
                    self.measured.different.append(f"message {number} of {place} came to no {way}")
        return time.monotonic() - started

    # -- the fault -------------------------------------------------------------------------------

    def strike(self) -> None:
        """Let it go wrong."""
        self.injection.strike(self.scenario.fault, self.scenario.arguments)

    def reach(self) -> None:
        """Wait until the fault has struck."""
        deadline = time.monotonic() + PATIENCE
        while not self.injection.struck and time.monotonic() < deadline:
            time.sleep(0.002)

    def heal(self) -> None:
        """Let everything be right again."""
        self.injection.heal()

    def see(self, name: str, patience: float = PATIENCE) -> Seen | None:
        """Wait for the first event of a name since the fault."""
        self.observer.wait(lambda: self.observer.first(name, self.mark), patience)
        return self.observer.first(name, self.mark)

    # -- after -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Send a last message each, and compare both sides."""
        self.traffic.stop()
        self.measured.flowing = self.until_flowing()
        for instrument_id in INSTRUMENTS:
            there, here = self.sim.last(instrument_id), self.client.rates[instrument_id]
            if (float(there["Bid"]), float(there["Ask"])) != (here.bid, here.ask):
                self.measured.different.append(f"{instrument_id}: {here.bid}, not {there['Bid']}")
        wanted = self.own_topics
        if wanted != self.sim.subscribed:
            self.measured.different.append(f"topics: {len(self.sim.subscribed)}, not {len(wanted)}")
        self._account()

    def _account(self) -> None:
        """Find out what was lost, and what came twice or in the wrong order."""
        told = [seen for seen in self.observer.connection_events() if seen.name == "reconnected"]
        gaps: list[WsGap] = [seen.arguments[0] for seen in told]
        self.measured.sent = sum(map(len, self.traffic.sent.values()))
        with self.observer.changed:
            delivered = {place: list(came) for place, came in self.observer.delivered.items()}
        transit = TRANSIT * self.scenario.slowness + self.held_up
        expect = self.scenario.expect
        withheld = self.bound(expect.withheld) + transit if expect.withheld != "0" else 0.0
        for (way, place), came in delivered.items():
            sent = self.traffic.sent[place]
            if way == "stream":  # which begins when it begins
                sent = [each for each in sent if each.number >= came[0].number]
            prices = place != ORDERS
            inside, outside = losses(sent, came, gaps, transit, withheld if prices else 0.0)
            if way == "queue":
                self.measured.inside += len(inside)
            name = f"{way} of {place}"
            if outside:
                self.measured.outside.append(f"{name}: {outside[:5]} ({len(outside)})")
            wrong = disorder(came, expect.order, prices=prices)
            self.measured.disorder += [f"{name}: {words}" for words in wrong[:3]]
        for seen in told:
            self._look_at_gap(seen, delivered["queue", ORDERS] + delivered["queue", 19], transit)

    def _look_at_gap(self, told: Seen, delivered: list[Delivered], transit: float) -> None:
        """Compare a gap with what came before it."""
        gap: WsGap = told.arguments[0]
        to_wall = time.time() - time.monotonic()
        # What an attempt brings that fails in the end is inside of the gap.
        before = list(
            takewhile(lambda seen: seen.name != "close", self.observer.connection_events())
        )
        # The client knows that its keys were accepted between asking, after "open", and the answer.
        asked = [
            seen.at + to_wall
            for seen, answer in pairwise(before)
            if seen.name == "open" and answer.name == "authenticated"
        ]
        opened = sum(seen.name == "open" for seen in before)
        came = [each.at for each in delivered if each.generation <= opened]
        last = max([*asked, *came])
        words = odd_gap(gap, last, told.at + to_wall, transit)
        if words:
            self.measured.gaps.append(words)
        if set(gap.topics) != self.own_topics:
            self.measured.gaps.append(f"it has {len(gap.topics)} topics")

    def end(self) -> None:
        """Disconnect, and see that everything ends with it. The second time it does nothing."""
        if self._ended:
            return
        self._ended = True
        # Before the client's threads end, for they take what they know with them.
        self.measured.queued = queued() - self._queued_before
        self.traffic.stop()
        self.record_events()
        self.measured.state = self.measured.state or self.client.state.name
        if self.client.state is ClientState.FAILED:
            # Whoever waits is to be told when everybody is.
            # A first connection that fails is told by connect() alone.
            told = self.observer.connection_events()
            self.await_calls(told[-1].at if told else time.monotonic())
        started = time.monotonic()
        self.client.disconnect()
        over = time.monotonic()
        self.measured.disconnected = over - started
        if self._awaiting:
            self.await_calls(over)
        self._look_for_leftovers()
        self.heal()
        self.measured.struck = self.injection.struck

    def record_events(self) -> None:
        """Note what was told until now; the first time counts."""
        if not self._noted:
            self._noted = True
            events = self.observer.connection_events(self.mark)
            self.measured.events = [str(seen) for seen in events]
            self.measured.waits = _waits(events)

    def await_calls(self, over: float) -> None:
        """Note how the blocked calls end, now that the client has ended."""
        self._awaiting = False
        self.observer.end(PATIENCE)
        calls = self.observer.calls
        ended = {call.name: call.outcome for call in calls}
        if self.measured.calls:
            self.measured.again = ended
        else:
            self.measured.calls = ended
        late = self.measured.late or 0.0
        self.measured.late = max([late, *(call.ended_at - over for call in calls)])

    def _look_for_leftovers(self) -> None:
        """Find what the client has left, while the server and its fault are still there."""
        self.injection.heal_here()
        grace = MARGIN * self.scenario.slowness + self.held_up
        self.measured.threads = client_threads(grace)
        self.measured.descriptors = client_ends(self.sim.port)


def _waits(events: list[Seen]) -> list[Wait]:
    """Return what was told of the waits, and how long each really was."""
    waits = []
    for number, seen in enumerate(events):
        if seen.name == "reconnecting":
            after = events[number + 1].at if number + 1 < len(events) else None
            waits.append(Wait(*seen.arguments, None if after is None else after - seen.at))
    return waits
