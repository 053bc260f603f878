"""The reading surface of every source of prices and order events.

What reads a stream (callbacks, queues, loops, the latest prices, its state) has nothing to do with
where it comes from. :class:`MarketStream` is that part; :class:`~etoro_sync.WsClient` adds what
connects it to eToro.
"""

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, NoReturn, TypeVar, overload

from ..delivery.event_queue import EventQueue, make_buffer
from ..delivery.registration import check_callable
from ..delivery.registry import Registry
from ..errors import EToroClosedError, EToroError, EToroTypeError, EToroValidationError
from ..events import (
    EVENTS,
    check_event,
    check_events,
    check_filter,
    check_filter_of_several,
    check_instrument_ids,
    check_timeout,
)
from ..models import WsInstrumentRate, WsPrivateEvent
from ..state import ClientState
from ..stats import Counters, WsStats
from .alerts import Alert, Crossing, make_alert
from .core import NOT_CONNECTED, StreamCore, core_of, equip
from .feed import Feed
from .orders import Confirm, OrderUpdates, check_order, wait_for_order
from .playing import PlayedSource
from .reading import Expectation, RateStream, wait_for

__all__ = ["MarketStream"]


class _Omitted:
    """In the place of a handler, for decorators: None is what show() returns in that of show."""

    def __repr__(self) -> str:
        return "<decorator>"


_OMITTED: Any = _Omitted()

Stream = TypeVar("Stream", bound="MarketStream")
Function = TypeVar("Function", bound=Callable[..., Any])


class MarketStream:
    """Prices and order events of one source, for programs without asyncio.

    A background thread reads the source; a second one runs the callbacks. Every method may be
    called from any thread and from any callback. After a ``fork()`` the child's copy is closed:
    whatever waits or changes raises :class:`~etoro_sync.EToroClosedError`. A subclass may use any
    name that is not public here; its ``__init__`` calls ``super().__init__()`` before any other
    method.

    A source of your own is a function that writes to a :class:`~etoro_sync.Feed`; it runs on the
    background thread, once for each :meth:`connect`. It begins when there is a listener, and waits
    whenever its readers are behind, so nothing is conflated or dropped, and two runs bring the
    same events in the same order. When it returns and all callbacks were called, the stream is
    closed: loops end, and :meth:`run_forever` returns. When it raises, that is what ends the
    stream.

    :param play: the function.
    :raises EToroValidationError: when it cannot be called.
    """

    def __init__(self, play: Callable[[Feed], None]) -> None:
        if not callable(play):
            raise EToroValidationError(
                f"play must be a function that takes a Feed, not {type(play).__name__}.", "play"
            )
        registry, counters = Registry(EVENTS), Counters()
        equip(self, StreamCore(registry, counters, PlayedSource(play, registry, counters)))

    # -- beginning and end ---------------------------------------------------------------------

    def connect(self, timeout: float | None = None) -> None:
        """Begin; returns when events can come.

        :param timeout: seconds to wait at most; None trusts the source.
        :raises EToroTimeoutError: when *timeout* has passed.
        :raises EToroWebSocketError: when it has begun already.
        :raises EToroError: why the source cannot begin.
        """
        core = core_of(self)
        core.guard.check()
        core.source.connect(check_timeout(timeout))

    def disconnect(self, timeout: float | None = None) -> None:
        """End the session: close the connection, forget the subscriptions, stop the threads.

        Blocked calls end with :class:`~etoro_sync.EToroClosedError`; callbacks stay registered.
        Idempotent; legal from a callback, whose thread then ends after it has returned. Order
        events that were received are still delivered to callbacks that return in time.

        :param timeout: seconds to wait at most; None is ``close_timeout``.
        """
        core = core_of(self)
        if core.guard.foreign:
            return
        timeout = check_timeout(timeout)
        core.source.disconnect(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Do what :meth:`disconnect` does.

        :param timeout: as there.
        """
        self.disconnect(timeout)

    def __enter__(self: Stream) -> Stream:
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect.

        A program whose client has failed must not look as if all were well. So this raises what
        ended the client, also when something in the block has raised it already and was caught
        there: ``disconnect()`` in the block says that the failure is dealt with.

        :raises EToroError: what ended the client, if it failed, and nothing else is on its way.
        """
        core = core_of(self)
        closed, session = core.state is ClientState.CLOSED, core.lifecycle.session
        self.disconnect()
        # Looked at behind it: until then the client may fail.
        failure = None if closed else core.lifecycle.failure_of(session)
        if failure is not None and error is None:
            raise failure

    def run_forever(self, timeout: float | None = None) -> bool:
        """Block until the client ends, or for so long.

        Returns after :meth:`disconnect`; Ctrl-C disconnects and leaves as KeyboardInterrupt.

        :param timeout: seconds to wait at most; None is no limit. The client goes on then.
        :returns: True when the client has ended; False when *timeout* has passed.
        :raises EToroClosedError: when the client was never connected.
        :raises EToroError: what ended the client.
        """
        core = core_of(self)
        core.guard.check()
        timeout = check_timeout(timeout)
        # Looked at once: disconnect() may come at any time.
        state = core.state
        if state is ClientState.DISCONNECTED:
            raise EToroClosedError(NOT_CONNECTED)
        return state is ClientState.CLOSED or core.outlast(timeout)

    # -- callbacks -----------------------------------------------------------------------------

    @overload
    def on(
        self: Stream, event: str, handler: Callable[..., Any], *, instrument_id: int | None = None
    ) -> Stream: ...

    @overload
    def on(
        self: Stream, event: str, *, instrument_id: int | None = None
    ) -> Callable[[Function], Function]: ...

    def on(
        self,
        event: str,
        handler: Callable[..., Any] = _OMITTED,
        *,
        instrument_id: int | None = None,
    ) -> Any:
        """Call *handler* for every *event*; see :data:`etoro_sync.EVENTS` for the arguments.

        Handlers run one at a time on the client's own thread, in the order of registration. Order
        events overtake all that waits for them. For handlers that lag, a rate that is older than
        the option ``conflate_after`` is skipped if a newer one of its instrument waits, too.
        What one raises is logged, counted, and emitted as ``"error"``. One that is registered twice
        is called twice; the log says so, for a notebook's cell that runs again does it, too.

        :param event: such as ``"instrument:rate"``.
        :param handler: any callable; without one this is a decorator.
        :param instrument_id: only for this instrument.
        :returns: the client, or the decorator.
        :raises EToroValidationError: for an unknown event, with the nearest known one; and for a
            handler that cannot be called with the event's arguments.
        """
        register = core_of(self).registrar(event, instrument_id, once=False)
        if handler is _OMITTED:
            return register
        register(handler)
        return self

    @overload
    def once(
        self: Stream, event: str, handler: Callable[..., Any], *, instrument_id: int | None = None
    ) -> Stream: ...

    @overload
    def once(
        self: Stream, event: str, *, instrument_id: int | None = None
    ) -> Callable[[Function], Function]: ...

    def once(
        self,
        event: str,
        handler: Callable[..., Any] = _OMITTED,
        *,
        instrument_id: int | None = None,
    ) -> Any:
        """Call *handler* for the next *event* only.

        :param event: as for :meth:`on`.
        :param handler: as for :meth:`on`.
        :param instrument_id: as for :meth:`on`.
        :returns: the client, or the decorator.
        :raises EToroValidationError: as :meth:`on`.
        """
        register = core_of(self).registrar(event, instrument_id, once=True)
        if handler is _OMITTED:
            return register
        register(handler)
        return self

    def off(self: Stream, event: str, handler: Callable[..., Any]) -> Stream:
        """Call *handler* no longer for *event*, however often and however it was registered.

        :param event: as for :meth:`on`.
        :param handler: as it was given to :meth:`on` or :meth:`once`.
        :returns: the client.
        :raises EToroValidationError: for an unknown event.
        """
        core = core_of(self)
        core.guard.check()
        core.registry.remove(check_event(event), handler)
        return self

    def remove_all_listeners(self: Stream, event: str | None = None) -> Stream:
        """Remove the callbacks of *event*, or of all events. Queues stay.

        :param event: None is all events.
        :returns: the client.
        :raises EToroValidationError: for an unknown event.
        """
        core = core_of(self)
        core.guard.check()
        core.registry.clear(None if event is None else check_event(event))
        return self

    # -- queues --------------------------------------------------------------------------------

    def queue(
        self,
        event: str | Iterable[str],
        *,
        instrument_ids: Iterable[int] | int | None = None,
        maxsize: int | None = None,
        overflow: str | None = None,
        conflate_after: float | None = None,
    ) -> EventQueue:
        """Return a queue that collects *event* from now on, until the client ends.

        It can be made before :meth:`connect`, and waits for it; when somebody reads it for five
        seconds and nobody connects, the log says so. One that is made after a failure raises that
        failure. It keeps the client alive and connected. Close it when it is not read any more, or
        use it in a ``with`` block: the log warns of one that is full, once a minute.

        :param event: such as ``"private:event"``; or several, as in ``["instrument:rate",
            "private:event", "reconnected"]``. The items of several are ``(event, *arguments)``, in
            the order in which they happened, and each event has a limit of its own, so that a flood
            of rates costs no order.
        :param instrument_ids: only of these instruments.
        :param maxsize: most items that wait, of each event; 0 is unbounded; None is 10,000 for
            market events and 100,000 for the rest.
        :param overflow: what to do when it is full: ``"conflate"`` (default of
            ``"instrument:rate"``; the newest rate of an instrument wins, and none of them is lost
            while *maxsize* is no less than the number of instruments), ``"drop_oldest"``,
            ``"drop_newest"``, or ``"raise"`` (default of the rest).
        :param conflate_after: seconds; a rate that has waited longer is skipped if a newer one of
            its instrument waits, too. None keeps everything while there is room, for loops that
            read a lot at once, now and then.
        :raises EToroValidationError: naming the argument.
        """
        core = core_of(self)
        if not isinstance(event, str):
            events = check_events(event)
            ids = check_filter_of_several(events, instrument_ids, "instrument_ids")
            items = core.new_mixed_queue(events, ids, maxsize, overflow, conflate_after)
            return EventQueue(items, core.source)
        items = core.new_queue(event, maxsize, overflow, conflate_after)
        ids = check_filter(event, instrument_ids, "instrument_ids")
        new = EventQueue(items, core.source)
        core.feed(items, ids)
        return new

    @overload
    def stream(
        self,
        instrument_ids: Iterable[int] | int,
        *,
        maxsize: int | None = None,
        overflow: str | None = None,
        timeout: float | None = None,
        item_timeout: None = None,
    ) -> RateStream[tuple[int, WsInstrumentRate]]: ...

    @overload
    def stream(
        self,
        instrument_ids: Iterable[int] | int,
        *,
        maxsize: int | None = None,
        overflow: str | None = None,
        timeout: float | None = None,
        item_timeout: float,
    ) -> RateStream[tuple[int, WsInstrumentRate] | None]: ...

    def stream(
        self,
        instrument_ids: Iterable[int] | int,
        *,
        maxsize: int | None = None,
        overflow: str | None = None,
        timeout: float | None = None,
        item_timeout: float | None = None,
    ) -> RateStream[Any]:
        """Subscribe with a snapshot, yield ``(instrument_id, rate)``, unsubscribe at the end.

        The end is when the loop is left, when ``close()`` is called in any thread, or when the
        client ends. Topics that were subscribed to otherwise, or that another stream still uses,
        stay subscribed. For a loop that lags, a rate that is older than the option
        ``conflate_after`` is skipped if a newer one of its instrument waits, too, unless *overflow*
        is another policy than ``"conflate"``.

        :param instrument_ids: one or several.
        :param maxsize: as :meth:`queue`.
        :param overflow: as :meth:`queue`.
        :param timeout: seconds for the subscription; None is ``request_timeout``. For the time
            between two rates there is *item_timeout*.
        :param item_timeout: seconds without a rate after which the loop gets None instead, for
            other work; None waits without limit.
        :raises EToroValidationError: naming the argument.
        :raises EToroSubscriptionError: from the loop, when eToro refuses.
        :raises EToroClosedError: from the loop, when the client is not connected.
        """
        core = core_of(self)
        core.guard.check()
        ids = check_instrument_ids(instrument_ids)
        make_buffer("instrument:rate", maxsize, overflow)
        timeout = check_timeout(timeout)
        step = check_timeout(item_timeout, "item_timeout")
        return RateStream(core, ids, maxsize, overflow, timeout, step)

    def wait_for(
        self,
        event: str,
        predicate: Callable[..., bool] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Block until the next *event* and return what a queue would.

        Where the event answers something that you do, use :meth:`expect`: this one may begin to
        listen when the answer has come already. For an event that :meth:`connect` brings, or a
        thread that is started before it, make a :meth:`queue`: that may wait for ``connect()``.

        :param event: such as ``"instrument:rate"``.
        :param predicate: called with the event's arguments, on this thread; False: wait on.
        :param timeout: seconds to wait at most; None is without limit.
        :raises EToroTimeoutError: when no such event came in time.
        :raises EToroClosedError: when the client was closed, or is not connected.
        :raises EToroError: what ended the client, when it failed.
        """
        core = core_of(self)
        timeout = check_timeout(timeout)
        if predicate is not None:
            check_callable(predicate, check_event(event), "predicate")
        return wait_for(core, check_event(event), predicate, timeout)

    def expect(
        self,
        event: str,
        predicate: Callable[..., bool] | None = None,
        timeout: float | None = None,
    ) -> Expectation:
        """Listen for *event* from the beginning of a ``with`` block, and wait for it at its end.

        So nothing is missed between what the block does and the wait::

            with client.expect("private:event", timeout=5) as got:
                place_order()
            print(got.value)

        :param event: as :meth:`wait_for`.
        :param predicate: as :meth:`wait_for`.
        :param timeout: seconds to wait at most, from the end of the block; None is no limit.
        :returns: the context manager; ``value`` is what a queue would return, ``wait()`` waits for
            it within the block.
        :raises EToroTimeoutError: at the end of the block, when no such event came in time.
        :raises EToroError: as :meth:`wait_for`.
        """
        core = core_of(self)
        core.guard.check()
        timeout = check_timeout(timeout)
        event = check_event(event)
        if predicate is not None:
            check_callable(predicate, event, "predicate")
        return Expectation(core, event, predicate, timeout)

    # -- alerts --------------------------------------------------------------------------------

    @overload
    def alert(
        self,
        instrument_id: int,
        handler: Callable[[Crossing], Any],
        *,
        above: float | None = None,
        below: float | None = None,
        side: str = "bid",
        hysteresis: float = 0.0,
        once: bool = False,
    ) -> Alert: ...

    @overload
    def alert(
        self,
        instrument_id: int,
        *,
        above: float | None = None,
        below: float | None = None,
        side: str = "bid",
        hysteresis: float = 0.0,
        once: bool = False,
    ) -> Callable[[Callable[[Crossing], Any]], Alert]: ...

    def alert(
        self,
        instrument_id: int,
        handler: Callable[[Crossing], Any] = _OMITTED,
        *,
        above: float | None = None,
        below: float | None = None,
        side: str = "bid",
        hysteresis: float = 0.0,
        once: bool = False,
    ) -> Any:
        """Call *handler* each time that a price crosses a threshold.

        Not for the first price, on whichever side it is: a crossing needs a price before it. After
        one the price has to come back beyond the hysteresis before the next can be. Of a gap in
        the connection nobody knows what the price did in it; a crossing between the last price
        before and the first behind it has ``across_gap=True``.

        The instrument must be subscribed to. As all callbacks it runs on the stream's own thread.

        :param instrument_id: whose price is watched.
        :param handler: called with a :class:`~etoro_sync.Crossing`; without one this is a
            decorator.
        :param above: in the price's currency; crossed by a price that is no less.
        :param below: crossed by a price that is no more.
        :param side: ``"bid"``, ``"ask"``, ``"mid"`` or ``"last_execution"``.
        :param hysteresis: in the price's currency; 0 fires again at the next crossing.
        :param once: the first crossing is the last one.
        :returns: the :class:`~etoro_sync.Alert`, whose ``cancel()`` ends it; or the decorator.
        :raises EToroValidationError: naming the argument.
        """
        core = core_of(self)
        core.guard.check()
        make = make_alert(core, instrument_id, above, below, side, hysteresis, once)
        return make if handler is _OMITTED else make(handler)

    # -- orders --------------------------------------------------------------------------------

    def wait_for_order(
        self,
        order_id: int | None = None,
        request_guid: str | None = None,
        timeout: float | None = None,
        confirm: Confirm | None = None,
    ) -> WsPrivateEvent:
        """Block until an order is final, and return its last event.

        Final are FILLED, CANCELED, CANCELED_PARTIALLY_FILLED, and what is raised: REJECTED,
        REJECTED_PARTIALLY_FILLED and EXPIRED; not PARTIALLY_FILLED. An order that was final before
        the call returns at once, if it is among the last 1,000 of which events came. The topic
        ``"private"`` must be subscribed to.

        An event that eToro sends while the client reconnects is never sent again. So *confirm* is
        asked after each gap that falls into the wait, and when the time is up, and what it says
        decides.

        :param order_id: eToro's id.
        :param request_guid: of the request that placed it, where the id is not known yet.
        :param timeout: seconds to wait at most; None is without limit.
        :param confirm: a function of yours that asks eToro's REST API, called on this thread with
            *order_id* (with *request_guid* while no id is known). It returns a
            :class:`~etoro_sync.WsPrivateEvent` or an :class:`~etoro_sync.OrderStatus`, or None when
            it does not know.
        :raises EToroOrderError: when the order was rejected or has expired.
        :raises EToroTimeoutError: when nothing final came in time; its ``gaps`` say when something
            may have been missed.
        :raises EToroClosedError: when the stream was closed, or is not connected.
        :raises EToroError: what ended the stream, when it failed.
        :raises EToroValidationError: naming the argument.
        """
        core = core_of(self)
        core.guard.check()
        number, guid = check_order(order_id, request_guid)
        timeout = check_timeout(timeout)
        core.lifecycle.own_threads.check("wait_for_order()", "Call it in another thread.")
        return wait_for_order(core, number, guid, timeout, confirm)

    def order_updates(
        self,
        order_id: int | None = None,
        request_guid: str | None = None,
        timeout: float | None = None,
    ) -> OrderUpdates:
        """Iterate over the events of one order, up to the final one.

        What is known of it comes first. It begins to listen at once, so that an order may be
        placed between this call and the loop. Leave the loop early with ``close()``, or use it in a
        ``with`` block.

        :param order_id: as :meth:`wait_for_order`.
        :param request_guid: as :meth:`wait_for_order`.
        :param timeout: seconds that each step waits at most; None is without limit.
        :raises EToroTimeoutError: from the loop, when no event came in time.
        :raises EToroError: from the loop: what ended the stream, when it failed or was closed.
        :raises EToroValidationError: naming the argument.
        """
        core = core_of(self)
        core.guard.check()
        number, guid = check_order(order_id, request_guid)
        return OrderUpdates(core, number, guid, check_timeout(timeout))

    # -- state ---------------------------------------------------------------------------------

    @property
    def rates(self) -> Mapping[int, WsInstrumentRate]:
        """Instrument id -> latest merged rate: a read-only live view that never blocks.

        It keeps the client alive and connected, as a queue does.
        """
        core = core_of(self)
        core.guard.check()
        return core.rates

    @property
    def state(self) -> ClientState:
        """Where the client stands; CLOSED in a forked child."""
        return core_of(self).state

    def stats(self) -> WsStats:
        """Return a reading of all counters; cheap, never blocks on user code."""
        core = core_of(self)
        core.guard.check()
        return core.stats()

    def __reduce__(self) -> NoReturn:
        raise EToroTypeError(
            f"A {type(self).__name__} cannot be copied or pickled: its threads and its connection "
            "belong to this process. Pass on its WsClientOptions, and make another client of them."
        )

    def __repr__(self) -> str:
        name = type(self).__name__
        try:
            core = core_of(self)
        except EToroError:  # in a debugger, or in the error's own traceback
            return f"<{name}, super().__init__() not called>"
        return f"<{name} {core.state.value}, generation {core.book.generation}>"
