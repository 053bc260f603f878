"""Waiting for what becomes of an order, and following it, on whichever thread asks."""

import queue
from collections import deque
from collections.abc import Callable, Iterator

from .. import clocks
from ..collecting import when_collected
from ..errors import (
    EToroClosedError,
    EToroOrderError,
    EToroTimeoutError,
    EToroValidationError,
    EToroWebSocketError,
)
from ..events import advice_on_number
from ..market.order_states import is_final
from ..models import OrderStatus, WsGap, WsPrivateEvent
from ..models.control import concerns_orders
from ..numbers import whole
from ..state import ClientState
from ..text import count, duration, shorten, show
from .core import StreamCore
from .countdown import Countdown

__all__ = ["Confirm", "ConfirmById", "OrderUpdates", "check_order", "wait_for_order"]

#: What a user's function that asks eToro by REST returns: the order's event or its status; None
#: when it does not know.
Confirmed = WsPrivateEvent | OrderStatus | int | None
Confirm = Callable[[int | str], Confirmed]
#: Where the id is known, it is always given that.
ConfirmById = Callable[[int], Confirmed]

#: What an order must not end with, for a caller who wanted it executed or canceled.
_FAILED = (OrderStatus.REJECTED, OrderStatus.EXPIRED, OrderStatus.REJECTED_PARTIALLY_FILLED)
#: In these, what is wanted is subscribed to; before, it may still be on its way.
_CONNECTED = (ClientState.LIVE, ClientState.RECONNECTING)
#: Seconds between two looks at whether order events can still come: eToro may refuse the topic, or
#: another thread may unsubscribe from it.
_LOOK = 1.0


class OrderUpdates(Iterator[WsPrivateEvent]):
    """The events of one order, from what is known of it to the final one.

    It begins to listen when it is made, so that nothing is missed between that and the first
    ``next()``. Several threads may share it; the final event and :meth:`close` end it for all of
    them. One that is not referenced any more is closed.

    Made by :meth:`~etoro_sync.MarketStream.order_updates`.

    :param core: of the stream.
    :param order_id: eToro's id; None: not known yet.
    :param request_guid: of the request that placed it; None: not known.
    :param timeout: seconds that one step waits at most; None is without limit.
    """

    def __init__(
        self,
        core: StreamCore,
        order_id: int | None,
        request_guid: str | None,
        timeout: float | None = None,
    ) -> None:
        self._core = core  # kept alive, as by a queue
        self.order_id = order_id
        self._request_guid = request_guid
        self._timeout = timeout
        self._over = False
        #: The last event; None: none has come.
        self.last: WsPrivateEvent | None = None
        #: Gaps in which an event of the order may have been lost: those that have ended since this
        #: began, and before it since the last event or, if none is known, since a minute before.
        self.gaps: list[WsGap] = []
        # What is known and not yet returned. A deque, from which one thread alone takes it.
        self._known: deque[WsPrivateEvent] = deque()
        while not self._listen():
            self._stop()

    def _listen(self) -> bool:
        """Begin to collect; False: an event came meanwhile, which the queue may have or not."""
        core = self._core
        known = core.order_states.get(self.order_id, self._request_guid)
        self._items, ports = core.new_mixed_queue(("private:event", "reconnected"))
        # Before it is fed, so that Ctrl-C leaves no queue behind that nobody reads.
        self._finalizer = when_collected(self, self._items.abandon)
        core.feed_mixed(self._items, ports, None)
        if core.order_states.get(self.order_id, self._request_guid) is not known:
            return False
        if known is not None:
            self._known.append(known)
            self._note(known)
        # The queue may bring one of them, too; it is noted once.
        self.gaps = core.order_states.gaps_behind(known, clocks.uptime())
        return True

    def __next__(self) -> WsPrivateEvent:
        if self._over:
            raise StopIteration
        try:
            event = self._known.pop()
        except IndexError:
            try:
                event = self._next_event()
            except EToroClosedError:
                if self._over:  # another thread has closed it, or has the final event
                    raise StopIteration from None
                raise
        if is_final(event):
            self.close()
        return event

    def _next_event(self) -> WsPrivateEvent:
        """Return the next event of the order.

        :raises EToroTimeoutError: when none came in time.
        :raises EToroError: what ended the stream, when it failed or was closed.
        """
        countdown = self._countdown(self._timeout)
        while True:
            event = self._step(countdown)
            if event is not None:
                return event

    def _countdown(self, timeout: float | None) -> Countdown:
        """Return the time for some steps."""
        return Countdown(self._items, timeout)

    def _step(self, countdown: Countdown) -> WsPrivateEvent | None:
        """Wait for the next item; None: it was a gap, another order's event, or none came yet.

        :raises EToroTimeoutError: when the time is up.
        :raises EToroWebSocketError: when no order event can come.
        """
        # The state is looked up last: disconnect() sets it before it forgets the topics.
        if not self._core.source.brings("private") and self._core.state in _CONNECTED:
            raise EToroWebSocketError(
                f"No event of {self._name} can come, because the topic 'private' is not subscribed "
                "to. Call subscribe('private') before the order is placed."
            )
        try:
            name, found = countdown.get(_LOOK)
        except queue.Empty:
            if not countdown.is_up:
                return None
            gaps = [*self.gaps, *self._open_gap()]
            raise EToroTimeoutError(
                f"No final event of {self._name} came within {countdown.timeout:g} s; the last "
                f"state: {_shown(self.last)}; the stream is {self._core.state.value}."
                f"{_of_gaps(gaps)} Ask eToro's REST API for it; confirm= does so by itself.",
                gaps=tuple(gaps),
            ) from None
        if name == "reconnected":
            if found not in self.gaps and concerns_orders(found):
                self.gaps.append(found)
            return None
        event: WsPrivateEvent = found
        if event is self.last or not self._is_of_order(event):
            return None
        self._note(event)
        return event

    def _open_gap(self) -> list[WsGap]:
        """Return the gap that has not ended, if there is one."""
        core = self._core
        times = clocks.uptime(), clocks.wall_clock()
        gap = core.order_states.open_gap(core.book.generation, *times)
        return [] if gap is None else [gap]

    def _note(self, event: WsPrivateEvent) -> None:
        """Remember the last event, and the order's id: later ones may lack the request's."""
        self.last = event
        if self.order_id is None:
            self.order_id = event.order_id

    def _is_of_order(self, event: WsPrivateEvent) -> bool:
        """Whether an event is of this order, by whichever of its two names is known."""
        if self.order_id is not None and event.order_id is not None:
            # It decides alone, because one request may bring several orders.
            return event.order_id == self.order_id
        return self._request_guid is not None and event.request_guid == self._request_guid

    @property
    def _name(self) -> str:
        """What the order is called in errors."""
        if self.order_id is not None:
            return f"order {self.order_id}"
        return f"the order of request {shorten(str(self._request_guid))}"

    def close(self) -> None:
        """End the iteration, also in a thread that waits. Any thread; idempotent."""
        self._over = True
        self._stop()

    def _stop(self) -> None:
        self._items.close()
        # Detached, because a Ctrl-C that comes while a finalizer runs is lost.
        self._finalizer.detach()

    def __repr__(self) -> str:
        return f"<OrderUpdates of {self._name}, the last state: {_shown(self.last)}>"

    def __enter__(self) -> "OrderUpdates":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def wait_for_order(
    core: StreamCore,
    order_id: int | None,
    request_guid: str | None,
    timeout: float | None,
    confirm: Callable[..., Confirmed] | None,
) -> WsPrivateEvent:
    """Return the final event of an order; as the stream's method, with checked arguments."""
    with OrderUpdates(core, order_id, request_guid) as updates:
        if updates.last is not None and is_final(updates.last):
            return _settled(updates, updates.last)
        # Not before: an order that is final already needs no connection.
        core.check_connected()
        countdown, gaps, is_late = updates._countdown(timeout), 0, False
        # The end of an outage may be far away.
        is_due = bool(updates._open_gap())
        while True:
            if is_due or len(updates.gaps) > gaps:
                # Its final event may have been sent while nobody listened, and would never come.
                gaps, is_due = len(updates.gaps), False
                event = _ask(confirm, updates)
            else:
                try:
                    event = updates._step(countdown)
                except EToroTimeoutError:
                    if is_late:
                        raise
                    event, is_late = _ask(confirm, updates), True
                    # What has come while the user's function asked counts, too.
                    countdown.recount()
            if event is not None and is_final(event):
                return _settled(updates, event)


def _ask(confirm: Callable[..., Confirmed] | None, updates: OrderUpdates) -> WsPrivateEvent | None:
    """Return what the user's function knows of the order."""
    if confirm is None:
        return None
    key = updates.order_id if updates.order_id is not None else str(updates._request_guid)
    found = confirm(key)
    if found is None:
        return None
    if not isinstance(found, WsPrivateEvent):
        status = whole(found)
        if status is None:
            raise EToroValidationError(
                f"confirm must return a WsPrivateEvent, an OrderStatus, or None, not "
                f"{type(found).__name__}.",
                "confirm",
            )
        guid = updates._request_guid
        found = WsPrivateEvent(order_id=updates.order_id, request_guid=guid, status_id=status)
    elif None not in (found.order_id, updates.order_id) and found.order_id != updates.order_id:
        raise EToroValidationError(
            f"confirm was asked for {updates._name}, and returned an event of order "
            f"{found.order_id}.",
            "confirm",
        )
    return found


def _settled(updates: OrderUpdates, event: WsPrivateEvent) -> WsPrivateEvent:
    """Return a final event, or raise what it means."""
    if event.status not in _FAILED:
        return event
    reason = f": {shorten(event.error_message)}" if event.error_message else ""
    code = f" (code {event.error_code})" if event.error_code else ""
    done = f" {event.executed_units:.15g} units were executed." if event.executed_units else ""
    name = updates._name[0].upper() + updates._name[1:]
    raise EToroOrderError(f"{name} is {event.status}{code}{reason}.{done}", event)


def _of_gaps(gaps: list[WsGap]) -> str:
    if not gaps:
        return ""
    number, length = count(len(gaps), "gap"), duration(sum(gap.seconds for gap in gaps))
    return f" Its event may have been sent in {number}, of {length}, and is lost then."


def _shown(event: WsPrivateEvent | None) -> str:
    if event is None:
        return "none has come"
    return str(event.status) if event.status is not None else f"status {event.status_id}"


def check_order(order_id: object, request_guid: object) -> tuple[int | None, str | None]:
    """Return both as Python's own; :raises EToroValidationError: unless one of them is given."""
    number = None if order_id is None else whole(order_id)
    if order_id is not None and (number is None or number <= 0):
        advice = advice_on_number(order_id, int)
        if isinstance(order_id, str) and not advice:
            advice = " The id of a request is request_guid=."
        raise EToroValidationError(
            f"order_id must be the number that eToro has given the order, or None, not "
            f"{show(order_id, 60)}.{advice}",
            "order_id",
        )
    if request_guid is not None and (not isinstance(request_guid, str) or not request_guid):
        raise EToroValidationError(
            f"request_guid must be the text that was sent with the request, or None, not "
            f"{show(request_guid, 60)}.",
            "request_guid",
        )
    if number is None and request_guid is None:
        raise EToroValidationError(
            "Name the order by order_id, by request_guid, or by both.", "order_id"
        )
    return number, request_guid
