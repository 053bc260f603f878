"""The class with which users read a stream of prices and order events.

Callbacks, queues, loops, the latest prices and the state are the same for every source, and are
methods of :class:`MarketStream`. :class:`~etoro_sync.WsClient` adds what connects it to eToro. What
type checkers see of the methods that name an event is in ``typed_stream.pyi``.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

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
from ..market.rate_view import RateView
from ..models import WsInstrumentRate, WsPrivateEvent
from ..state import ClientState
from ..stats import Counters, WsStats
from .alerts import Alert, Crossing, make_alert
from .core import NOT_CONNECTED, StreamCore, core_of, equip
from .feed import Feed
from .orders import Confirm, ConfirmById, OrderUpdates, check_order, wait_for_order
from .playing import PlayedSource
from .reading import Expectation, RateStream, wait_for

if TYPE_CHECKING:
    from ..notebook import LiveTable
    from ..notebook.names import Lookup
    from ..recording.recorder import Recorder

__all__ = ["MarketStream"]


class _Omitted:
    """The default of ``handler``, for decorators.

    None would not do: a user who passes ``show()`` instead of ``show`` passes None.
    """

    def __repr__(self) -> str:
        return "<decorator>"


_OMITTED: Any = _Omitted()

Stream = TypeVar("Stream", bound="MarketStream")


class MarketStream:
    """Prices and order events of one source, for programs without asyncio.

    A background thread reads the source; a second one runs the callbacks. Every method may be
    called from any thread and from any callback. In a forked child the stream is closed: methods
    that wait or change something raise :class:`~etoro_sync.EToroClosedError`. A subclass may use
    any name that is not public here, and has to call ``super().__init__()`` before other methods.

    :class:`~etoro_sync.WsClient` is the stream of a connection to eToro. For a source of your own,
    such as recorded frames, pass a function that writes to a :class:`~etoro_sync.Feed`. Each
    :meth:`connect` calls it once, on the background thread. It is paused until there is a callback
    or a queue, and whenever these are behind; so nothing is skipped or dropped, and every run
    brings the same events in the same order. When it has returned and all callbacks were called,
    the stream is closed: loops end, and :meth:`run_forever` returns. When it raises, the stream has
    failed.

    :param play: called with a :class:`~etoro_sync.Feed`.
    :raises EToroValidationError: when *play* cannot be called.
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
        """Start the source; return when events can come.

        :param timeout: seconds to wait at most; None is the source's own limit.
        :raises EToroTimeoutError: when *timeout* has passed.
        :raises EToroWebSocketError: when the stream is connected already.
        :raises EToroError: when the source cannot start.
        """
        core = core_of(self)
        core.guard.check()
        core.source.connect(check_timeout(timeout))

    def disconnect(self, timeout: float | None = None) -> None:
        """Close the connection, forget the subscriptions, and stop the threads.

        Blocked calls raise :class:`~etoro_sync.EToroClosedError`, and loops end. Callbacks stay
        registered; they still get the order and connection events that have come, if they return
        in time. May be called several times, and in a callback, whose thread ends after it.

        :param timeout: seconds to wait at most; None is the option ``close_timeout``.
        """
        core = core_of(self)
        if core.guard.foreign:
            return
        timeout = check_timeout(timeout)
        core.source.disconnect(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Do what :meth:`disconnect` does.

        :param timeout: as for :meth:`disconnect`.
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
        """Disconnect, and raise the error that ended the stream, if it has failed.

        So a program does not end as if all were well. Call ``disconnect()`` in the block if you
        have handled the error there.

        :raises EToroError: the error that ended the stream, unless the block raises an exception.
        """
        core = core_of(self)
        closed, session = core.state is ClientState.CLOSED, core.lifecycle.session
        self.disconnect()
        # Looked up after disconnect(), until which the stream may fail.
        failure = None if closed else core.lifecycle.failure_of(session)
        if failure is not None and error is None:
            raise failure

    def run_forever(self, timeout: float | None = None) -> bool:
        """Block until the stream ends, or for so long.

        Returns after :meth:`disconnect`, and when the source has come to its end. Ctrl-C
        disconnects and is raised as KeyboardInterrupt.

        :param timeout: seconds to wait at most; None is no limit. The stream goes on then.
        :returns: True when the stream has ended; False when *timeout* has passed.
        :raises EToroClosedError: when the stream was never connected.
        :raises EToroError: the error that ended the stream, if it has failed.
        """
        core = core_of(self)
        core.guard.check()
        timeout = check_timeout(timeout)
        # Read once, because disconnect() may change it at any time.
        state = core.state
        if state is ClientState.DISCONNECTED:
            raise EToroClosedError(NOT_CONNECTED)
        return state is ClientState.CLOSED or core.outlast(timeout)

    # -- callbacks -----------------------------------------------------------------------------

    def on(
        self,
        event: str,
        handler: Callable[..., Any] = _OMITTED,
        *,
        instrument_id: int | None = None,
    ) -> Any:
        """Call *handler* for every *event*; see :data:`etoro_sync.EVENTS` for the arguments.

        Handlers run one at a time, on a thread of the stream, in the order of registration. They
        get events in the order in which these came, except order events, which come first. If they
        are too slow, a rate that has waited longer than the option ``conflate_after`` is skipped
        when a newer one of its instrument waits, too.

        An exception of a handler is logged, counted, and emitted as ``"error"``. A handler that is
        registered twice is called twice, and a warning is logged: in a notebook, running a cell
        again registers its handlers again.

        :param event: such as ``"instrument:rate"``.
        :param handler: any callable; if omitted, this returns a decorator.
        :param instrument_id: call it for events of this instrument only.
        :returns: the stream itself, or the decorator.
        :raises EToroValidationError: for an unknown event, with the most similar known one, and for
            a handler that cannot be called with the event's arguments.
        """
        register = core_of(self).registrar(event, instrument_id, once=False)
        if handler is _OMITTED:
            return register
        register(handler)
        return self

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
        :returns: the stream itself, or the decorator.
        :raises EToroValidationError: as :meth:`on`.
        """
        register = core_of(self).registrar(event, instrument_id, once=True)
        if handler is _OMITTED:
            return register
        register(handler)
        return self

    def off(self: Stream, event: str, handler: Callable[..., Any]) -> Stream:
        """Remove all registrations of *handler* for *event*, with and without a filter.

        :param event: as for :meth:`on`.
        :param handler: the callable that was passed to :meth:`on` or :meth:`once`.
        :returns: the stream itself.
        :raises EToroValidationError: for an unknown event.
        """
        core = core_of(self)
        core.guard.check()
        core.registry.remove(check_event(event), handler)
        return self

    def remove_all_listeners(self: Stream, event: str | None = None) -> Stream:
        """Remove the callbacks of *event*, or of all events. Queues stay.

        :param event: the event; None: all events.
        :returns: the stream itself.
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
    ) -> EventQueue[Any]:
        """Return a queue that collects *event* from now on, until the stream ends.

        A queue may be made and read before :meth:`connect`; after five seconds of waiting, a
        warning is logged. Reading one that is made after a failure raises the error of the failure.
        A queue keeps the stream alive and connected. Close it when you stop reading it, or use a
        ``with`` block: while a queue is full, a warning is logged once a minute.

        :param event: such as ``"private:event"``; or several, as in ``["instrument:rate",
            "private:event", "reconnected"]``. The items of several are ``(event, *arguments)``, in
            the order in which they happened (except that a rate which replaces another one takes
            its place among the rates), and each event has a limit of its own, so that a flood of
            rates costs no order.
        :param instrument_ids: collect events of these instruments only; None: of all.
        :param maxsize: the most items of each event that wait; 0 is unbounded; None is 10,000 for
            market events and 100,000 for all others. In a queue of several events it is for market
            events; the others have at least 100,000 each.
        :param overflow: what happens to a new item when the queue is full. ``"conflate"``: it
            replaces the waiting rate of its instrument; if none waits, an outdated rate is dropped
            or, if there is none, the oldest. ``"drop_oldest"``: the oldest item is dropped.
            ``"drop_newest"``: the new item is dropped. ``"raise"``: likewise, and where items are
            missing, the reader gets :class:`~etoro_sync.EToroQueueOverflowError`. None is
            ``"conflate"`` for ``"instrument:rate"``, and ``"raise"`` for all others.
        :param conflate_after: seconds; a rate that has waited longer is skipped if a newer one of
            its instrument waits, too. None keeps every rate while there is room.
        :raises EToroValidationError: naming the argument.
        """
        core = core_of(self)
        if not isinstance(event, str):
            events = check_events(event)
            ids = check_filter_of_several(events, instrument_ids, "instrument_ids")
            items, ports = core.new_mixed_queue(events, maxsize, overflow, conflate_after)
            new = EventQueue(items, core.source)
            core.feed_mixed(items, ports, ids)
            return new
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
        """Iterate over the rates of some instruments, which are subscribed to during the loop.

        The loop subscribes with a snapshot when it begins, yields ``(instrument_id, rate)``, and
        unsubscribes when it is left, or closed by any thread. Topics that
        :meth:`~etoro_sync.WsClient.subscribe` or another loop also wants stay subscribed. The loop
        ends when the stream is closed. If it is too slow, a rate that has waited longer than the
        option ``conflate_after`` is skipped when a newer one of its instrument waits, too; with
        another *overflow* than ``"conflate"`` none is skipped.

        :param instrument_ids: one id or several.
        :param maxsize: as for :meth:`queue`.
        :param overflow: as for :meth:`queue`.
        :param timeout: seconds for the subscription; None is the option ``request_timeout``. For
            the time between two rates there is *item_timeout*.
        :param item_timeout: seconds without a rate after which the loop gets None, for other work;
            None is no limit.
        :raises EToroValidationError: naming the argument.
        :raises EToroSubscriptionError: from the loop, when eToro refuses the subscription.
        :raises EToroClosedError: from the loop, when the stream is not connected.
        :raises EToroError: from the loop, the error that ended the stream, if it has failed.
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
        """Block until the next *event*, and return its argument, or a tuple of its arguments.

        The stream has to be connected. Where the event answers something that you do, use
        :meth:`expect`: this method may begin to listen when the answer has come already. To wait
        for an event that comes during :meth:`connect`, make a :meth:`queue` before it.

        :param event: such as ``"instrument:rate"``.
        :param predicate: called on this thread with the event's arguments; while it returns False,
            this waits for the next event.
        :param timeout: seconds to wait at most; None is no limit.
        :raises EToroTimeoutError: when no such event came in time.
        :raises EToroClosedError: when the stream is closed, or not connected.
        :raises EToroError: the error that ended the stream, if it has failed.
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
    ) -> Expectation[Any]:
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

        The first price never counts, because a crossing needs a price before it. After a crossing,
        the price has to come back beyond the hysteresis before the next one counts. What the price
        did while the connection was lost is not known: a crossing between the last price before
        that and the first one after it has ``across_gap=True``.

        The instrument must be subscribed to. The handler runs on the thread of the callbacks.

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

    @overload
    def wait_for_order(
        self,
        order_id: int,
        request_guid: str | None = None,
        timeout: float | None = None,
        confirm: ConfirmById | None = None,
    ) -> WsPrivateEvent: ...

    @overload
    def wait_for_order(
        self,
        order_id: None = None,
        request_guid: str | None = None,
        timeout: float | None = None,
        confirm: Confirm | None = None,
    ) -> WsPrivateEvent: ...

    def wait_for_order(
        self,
        order_id: int | None = None,
        request_guid: str | None = None,
        timeout: float | None = None,
        confirm: Confirm | ConfirmById | None = None,
    ) -> WsPrivateEvent:
        """Block until an order is final, and return its last event.

        Final are FILLED, CANCELED, CANCELED_PARTIALLY_FILLED, and what is raised: REJECTED,
        REJECTED_PARTIALLY_FILLED and EXPIRED; not PARTIALLY_FILLED. An order that was final before
        the call returns at once, if it is among the last 1,000 of which events came. The topic
        ``"private"`` has to be subscribed to before.

        An event that eToro sends while the client reconnects is never sent again. So *confirm* is
        asked after each gap since the order's last event, and when the time is up, and what it says
        decides. Of an order of which nothing is known, gaps that ended in the minute before the
        call count, too.

        :param order_id: eToro's id.
        :param request_guid: of the request that placed it, where the id is not known yet.
        :param timeout: seconds to wait at most; None is without limit.
        :param confirm: a function of yours that asks eToro's REST API, called on this thread with
            *order_id* (with *request_guid* while no id is known). It returns a
            :class:`~etoro_sync.WsPrivateEvent` or an :class:`~etoro_sync.OrderStatus`, or None when
            it does not know. What it raises ends the wait.
        :raises EToroOrderError: when the order was rejected or has expired.
        :raises EToroTimeoutError: when nothing final came in time; its ``gaps`` say when something
            may have been missed.
        :raises EToroClosedError: when the stream was closed, or is not connected.
        :raises EToroWebSocketError: when ``"private"`` is not subscribed to; within a second, when
            that ends during the wait.
        :raises EToroError: what ended the stream, when it failed.
        :raises EToroValidationError: naming the argument.
        """
        core = core_of(self)
        core.guard.check()
        number, guid = check_order(order_id, request_guid)
        timeout = check_timeout(timeout)
        if confirm is not None:
            check_callable(confirm, "(order_id)", "confirm")
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
        :raises EToroWebSocketError: from the loop, when ``"private"`` is not subscribed to.
        :raises EToroError: from the loop: what ended the stream, when it failed or was closed.
        :raises EToroValidationError: naming the argument.
        """
        core = core_of(self)
        core.guard.check()
        number, guid = check_order(order_id, request_guid)
        return OrderUpdates(core, number, guid, check_timeout(timeout))

    # -- recording -----------------------------------------------------------------------------

    def record(
        self,
        folder: str | os.PathLike[str],
        *,
        segment_bytes: int = 256 << 20,
        segment_seconds: float = 3600.0,
        keep: int | None = None,
        disk_budget: int | None = None,
        buffer_bytes: int = 64 << 20,
        parquet: bool = False,
    ) -> "Recorder":
        """Record all that comes from now on, until the recording is closed.

        It may begin before :meth:`connect`, and goes on over disconnects. The files are segments of
        JSON lines, compressed with zstd, which :class:`~etoro_sync.Replay`, pandas, polars and
        DuckDB read. Each begins with the state of all instruments. A connection never waits
        for the disk: what it does not take in time waits in a buffer, and is missing beyond that,
        where the files and the counters say so; a source that is played waits. A kill of the
        process loses half a second, a second at most. Needs the extra ``record``.

        :param folder: is made if it is missing; may have segments of earlier recordings.
        :param segment_bytes: a segment that is longer, compressed, ends.
        :param segment_seconds: a segment ends with each multiple of this in UTC, so that 3600 are
            the hours of the clock; from 1 second to 7 days.
        :param keep: how many closed segments may be in the folder; older ones are removed, also
            those of earlier recordings. None is any number.
        :param disk_budget: bytes that all segments in the folder may have; likewise. A segment
            ends with half of it at the latest.
        :param buffer_bytes: how much text may wait for the disk.
        :param parquet: each segment that is closed becomes Parquet files, too, beside it: its rates
            and its order events. Another process makes them; one that fails is logged, and the
            recording goes on. Needs the extra ``parquet``.
        :returns: the recording, whose ``close()`` ends it, as does the end of a ``with`` block.
        :raises EToroValidationError: naming the argument.
        :raises EToroError: when the stream is recorded already, when the folder is in use by
            another recording or cannot be written, and when zstd or pyarrow is not installed.
        """
        from ..recording.recorder import record  # late: most programs do without

        core = core_of(self)
        core.guard.check()
        return record(
            core.source,
            core.registry,
            folder,
            segment_bytes,
            segment_seconds,
            keep,
            disk_budget,
            buffer_bytes,
            parquet,
        )

    # -- notebooks -----------------------------------------------------------------------------

    def live(
        self,
        instrument_ids: Iterable[int] | int | None = None,
        *,
        names: "Mapping[int, str] | Lookup | None" = None,
        max_rows: int = 50,
    ) -> "LiveTable":
        """Return a table for a notebook that shows the latest prices, and goes on doing so.

        It begins when the cell displays it: as its last expression, or by ``display()``. It is
        updated four times a second at most, from a thread, so that cells return and run meanwhile.
        It says how old the last message is, and that its prices are old while the stream is not
        live, and when the kernel sends nothing any more. Running the cell again replaces it. A
        saved notebook has a table that does not change. The table does not keep the stream alive,
        and ends with it.

        Given ids are subscribed to while the table is there, as :meth:`stream` does.

        :param instrument_ids: the rows; None: all instruments that have a rate.
        :param names: of instruments, by id; or :class:`~etoro_sync.Instruments`, which are asked in
            the background. An :class:`~etoro_sync.Instrument` among the ids has its own.
        :param max_rows: further instruments are only counted; 500 at most.
        :raises EToroError: when the extra ``jupyter`` is not installed.
        :raises EToroValidationError: naming the argument.
        :raises EToroSubscriptionError: when eToro refuses the subscription.
        :raises EToroTimeoutError: when eToro does not answer it in time.
        """
        core_of(self).guard.check()
        from .showing import open_table

        return open_table(self, instrument_ids, names, max_rows)

    def _repr_html_(self) -> str | None:
        from .showing import to_html

        return to_html(self)

    # -- state ---------------------------------------------------------------------------------

    @property
    def rates(self) -> RateView:
        """A read-only mapping from instrument id to the latest complete rate.

        It always shows the present rates, never blocks, and keeps the stream alive and connected.
        Its ``to_frame()`` is a table of them for pandas, and ``to_polars()`` one for polars.
        """
        core = core_of(self)
        core.guard.check()
        return core.rates

    @property
    def state(self) -> ClientState:
        """The present state; CLOSED in a forked child."""
        return core_of(self).state

    def stats(self) -> WsStats:
        """Return all counters, as they are now. Cheap, and never waits for user code."""
        core = core_of(self)
        core.guard.check()
        return core.stats()

    def __reduce__(self) -> NoReturn:
        raise EToroTypeError(
            f"A {type(self).__name__} cannot be copied or pickled: its threads and its connection "
            "belong to this process. Make another one there, with the same options or source."
        )

    def __repr__(self) -> str:
        name = type(self).__name__
        try:
            core = core_of(self)
        except EToroError:  # in a debugger, or in the error's own traceback
            return f"<{name}, super().__init__() not called>"
        return f"<{name} {core.state.value}, generation {core.book.generation}>"
