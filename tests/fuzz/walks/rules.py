"""Promises 7, 8 and 9, as rules about what is heard of a client, against what its server has sent.

The rules are asked each time that the client has come to rest, so that a breach is found at the
step that made it.
"""

from __future__ import annotations

from typing import Any

from etoro_sync import EToroSubscriptionError, WsInstrumentRate
from etoro_sync.market.rate_view import RateView

from .server import INSTRUMENTS, Frame, Server
from .wishes import Wishes

__all__ = ["TIMEOUT", "Call", "Rules"]

#: Seconds, for acknowledgements and for snapshots.
TIMEOUT = 10.0


class Call:
    """One call that was handed to the client, and how often and with what it ended."""

    def __init__(self) -> None:
        self.number = 0
        self.name = ""
        self.topics: list[str] = []
        self.awaited = False
        self.ends: list[Exception | None] = []
        self.judged = False


class Rules:
    """Hears a client's events in order; an AssertionError tells which rule is broken."""

    def __init__(self, server: Server, wishes: Wishes, view: RateView) -> None:
        self._server = server
        self._wishes = wishes
        self._view = view
        self.calls: list[Call] = []
        self.generation = 0
        self.reconnected = 0
        self.live = self.ever_live = False
        self._open = False
        self._wanted_then: dict[str, int] = {}
        self._restoring = 0  # the last call before the restoration
        self.published: set[int] = set()
        self.last: dict[int, int] = {}  # instrument -> number of its last rate
        self._orders: list[int] = []
        self._last_order = 0
        self._lost = 0  # the last call before the connection was lost
        self._read: list[Frame] = []
        self._owed: dict[int, str] = {}

    # -- events --------------------------------------------------------------------------------

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Judge one event, in its place among the others."""
        match event:
            case "open":
                assert not self._open, "opened twice"
                self._open = True
                self.generation += 1
            case "close":
                assert self._open, "closed without having been open"
                self._open = self.live = False
                self._lost = self._wishes.calls
            case "authenticated":
                self._authenticated()
            case "instrument:rate":
                self._rate(*arguments)
            case "private:event":
                self._order(arguments[0])
            case "reconnected":
                self._reconnected(arguments[0])
            case "error":
                self._error(arguments[0])

    def _authenticated(self) -> None:
        assert self._open, "authenticated, but not open"
        assert not self.live, "authenticated twice"
        self.live = self.ever_live = True
        self._restoring = self._wishes.calls
        self._wanted_then = dict(self._wishes.wanted)

    def _rate(self, instrument: int, rate: WsInstrumentRate) -> None:
        price = self._server.prices[rate.price_rate_id or 0]
        assert self.live, f"{instrument}: a rate while there is no connection"
        assert rate.generation == self.generation, f"{instrument}: of generation {rate.generation}"
        assert price.connection == self._server.connection, f"{instrument}: of an old connection"
        self.check_truth(instrument, rate)
        number, period = price.number, price.period
        assert number > self.last.get(instrument, 0), f"{instrument}: out of order, or twice"
        if period.asked and (period.snapshot is None or number < period.snapshot):
            overdue = self._server.now - period.begun >= TIMEOUT
            assert overdue or period.told_so, f"{instrument}: a rate before its snapshot"
        self.last[instrument] = number
        self.published.add(number)

    def _order(self, event: Any) -> None:
        assert event.generation == self.generation, "an order of another connection"
        assert event.order_id > self._last_order, "an order out of order, or twice"
        self._last_order = event.order_id
        self._orders.append(event.order_id)

    def check_truth(self, instrument: int, rate: WsInstrumentRate) -> None:
        """Hold a rate against what was true when the message that made it was sent."""
        price = self._server.prices[rate.price_rate_id or 0]
        assert instrument == price.instrument, "a rate under another instrument"
        found, true = (rate.ask, rate.bid), (price.ask, price.bid)
        assert found == true, f"{instrument}: {found}, and the truth was {true}"
        # Without a snapshot it stays unknown until it is told.
        snapshot = price.period.snapshot
        unknown = not rate.last_execution and (snapshot is None or price.number < snapshot)
        right = rate.last_execution == price.last
        assert right or unknown, f"{instrument}: last {rate.last_execution}, not {price.last}"

    def _reconnected(self, gap: Any) -> None:
        assert gap.generation == self.generation, "the gap has another generation"
        self.reconnected = self.generation
        carried = self._server.subscribed
        assert set(gap.topics) <= set(carried), "told as restored, and is not"
        for topic, call in self._wanted_then.items():
            if self._wishes.touched[topic] == call and topic in self._wishes.wanted:
                assert topic in carried, f"reconnected without {topic}"
                asked = carried[topic].asked or topic == "private"
                assert asked, f"{topic} was restored without a snapshot"

    def _error(self, error: Exception) -> None:
        if isinstance(error, EToroSubscriptionError):
            # Refused was a call, or a restoration, which may end older calls, too.
            ended = [call.number for call in self.calls if error in call.ends]
            call = max([*ended, self._restoring])
            if not ended:
                again = error.error_code in ("TooManyRequests", "UnhandledException")
                assert not again, "a restoration was given up that could be tried again"
                askers = {self._wishes.askers.get(topic) for topic in error.topics}
                assert len(askers) == 1, "one call's refusal has taken another's topics"
            self._wishes.refused(error.topics, call, self._server.subscribed)

    # -- what the client reads -------------------------------------------------------------------

    def delivered(self, frame: Frame) -> None:
        """Note a frame that the client reads now, and what it owes its users for it."""
        for topic in (*frame.acknowledges, *frame.refuses):
            period = self._server.subscribed.get(topic)
            if period is not None:
                period.acknowledged = True
                self._wishes.accepted(topic)
                if topic in frame.refuses:
                    # No snapshot comes of it, so none is to be waited for.
                    period.told_so, period.asked_again = True, False
        self._read.append(frame)
        price = frame.price
        if price is not None:
            period = price.period
            plain = price.full and period.acknowledged and not period.asked_again
            # From the one on that makes the instrument's state complete.
            period.obliged = period.obliged or plain or price.number == period.snapshot
            if period.obliged:
                self._owed[price.number] = frame.text

    # -- at rest -------------------------------------------------------------------------------

    def check(self, *, at_rest: bool) -> None:
        """Judge what was made of the frames that were read, and what is shown.

        :param at_rest: the client knows all that its users want.
        """
        asked = self._server.asked_at if self._open and self._server.inbox else self._server.now
        assert self._server.now < asked + 2 * TIMEOUT + 1, "it waits too long for an answer"
        if at_rest and not self._open:
            self._check_shown(since=self._lost)
        for number, text in self._owed.items():
            assert number in self.published, f"not published: {text}"
        self._owed = {}
        orders = [frame.order for frame in self._read if frame.order is not None]
        assert self._orders == orders, f"the orders {orders} were told as {self._orders}"
        self._orders, self._read = [], []
        for instrument, rate in self._view.items():
            assert rate.price_rate_id in self.published, f"{instrument}: shown, never published"
            self.check_truth(instrument, rate)
        for call in self.calls:
            self._check_call(call)

    def _check_call(self, call: Call) -> None:
        """A call that was waited for ends once: when it is so, or with the refusal."""
        assert len(call.ends) <= 1, f"call {call.number} ended twice"
        if call.judged or not call.ends:
            return
        call.judged = True
        if not call.awaited or call.ends[0] is not None:
            return
        for topic in call.topics:
            if self._wishes.touched[topic] == call.number:
                so = (topic in self._server.subscribed) is (call.name == "Subscribe")
                assert so, f"call {call.number} returned, but {topic} is not as it asked"

    def check_end(self, tracked: list[str]) -> None:
        """Judge a client that has nothing to do any more."""
        wanted = set(self._wishes.wanted)
        carried = set(self._server.subscribed)
        assert set(tracked) == wanted, f"recorded {sorted(tracked)}, wanted {sorted(wanted)}"
        assert carried == wanted, f"subscribed {sorted(carried)}, wanted {sorted(wanted)}"
        assert self.live, "not live in the end"
        assert self.reconnected == self.generation or self.generation == 1, "the gap was not told"
        self._check_shown(since=0)
        for topic, period in self._server.subscribed.items():
            asked = period.asked_ever or topic not in self._wishes.snapshots
            assert asked, f"nobody has asked for the snapshot of {topic}"
        for instrument in INSTRUMENTS:
            known = self._server.subscribed.get(f"instrument:{instrument}")
            if known is not None and known.obliged:
                self._check_last(instrument)
        open_calls = [call.number for call in self.calls if not call.ends]
        assert not open_calls, f"these calls never ended: {open_calls}"

    def _check_shown(self, since: int) -> None:
        """Nothing is shown that was unsubscribed by a call after the one numbered *since*."""
        shown = {f"instrument:{instrument}" for instrument in self._view}
        more = [t for t in shown - set(self._wishes.wanted) if self._wishes.touched[t] > since]
        assert not more, f"shown though not wanted: {more}"

    def _check_last(self, instrument: int) -> None:
        rate = self._view[instrument]
        assert rate.generation == self.generation, f"{instrument}: shows an old connection"
        truth = self._server.truth[instrument]
        assert [rate.ask, rate.bid] == truth[:2], f"{instrument}: the last rate is not {truth}"
        assert rate.price_rate_id == self.last[instrument], f"{instrument}: shows an older rate"
