"""The client: everything that users call, each method safe in any thread and any callback."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, NoReturn, TypeVar, overload

from ..delivery.event_queue import EventQueue, make_buffer
from ..delivery.registration import check_callable
from ..errors import EToroClosedError, EToroError, EToroTypeError, EToroValidationError
from ..events import (
    check_event,
    check_filter,
    check_instrument_ids,
    check_snapshot,
    check_timeout,
    check_topics,
)
from ..models import WsInstrumentRate
from ..state import ClientState
from ..stats import WsStats
from ..text import count
from .core import NOT_CONNECTED, core_of, equip
from .options import WsClientOptions, is_options

__all__ = ["WsClient"]


class _Omitted:
    """In the place of a handler, for decorators: None is what show() returns in that of show."""

    def __repr__(self) -> str:
        return "<decorator>"


_OMITTED: Any = _Omitted()

Function = TypeVar("Function", bound=Callable[..., Any])


class WsClient:
    """A streaming client for eToro, for programs without asyncio.

    A background thread reads, keeps alive and reconnects; a second one runs the callbacks.
    Every method may be called from any thread and from any callback. After a ``fork()`` the child's
    copy is closed: whatever waits or changes raises :class:`~etoro_sync.EToroClosedError`. The
    names are those of etoropy's ``WsClient``. A subclass may use any name that is not public here;
    its ``__init__`` calls ``super().__init__()`` before any other method.

    :param options: None reads them from the environment, see :meth:`WsClientOptions.from_env`.
    :raises EToroValidationError: naming the field.
    """

    def __init__(self, options: WsClientOptions | None = None) -> None:
        if options is not None and not is_options(options):
            raise EToroValidationError(
                f"options must be WsClientOptions or None, not {type(options).__name__}.",
                "options",
            )
        equip(self, options if options is not None else WsClientOptions.from_env())

    # -- connection ----------------------------------------------------------------------------

    def connect(self, timeout: float | None = None) -> None:
        """Connect and authenticate; returns when data can flow. The attempt is not repeated.

        Topics that were subscribed to before are then requested in the background.

        :param timeout: seconds to wait at most; None trusts ``connect_timeout`` and
            ``auth_timeout``.
        :raises EToroAuthError: when credentials are missing or rejected, when a callable that is to
            return one raises or hangs, or when authentication times out.
        :raises EToroValidationError: when such a callable returns what is no key.
        :raises EToroTimeoutError: when *timeout* has passed.
        :raises EToroWebSocketError: when the server cannot be reached, or the client is
            connected already.
        """
        core = core_of(self)
        core.guard.check()
        timeout = check_timeout(timeout)
        core.sessions.connect(timeout)

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
        core.sessions.disconnect(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Do what :meth:`disconnect` does.

        :param timeout: as there.
        """
        self.disconnect(timeout)

    def __enter__(self) -> "WsClient":
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

    def run_forever(self) -> None:
        """Block until the client ends.

        Returns after :meth:`disconnect`; Ctrl-C disconnects and leaves as KeyboardInterrupt.

        :raises EToroClosedError: when the client was never connected.
        :raises EToroError: what ended the client.
        """
        core = core_of(self)
        core.guard.check()
        # Looked at once: disconnect() may come at any time.
        state = core.state
        if state is ClientState.DISCONNECTED:
            raise EToroClosedError(NOT_CONNECTED)
        if state is not ClientState.CLOSED:
            core.sessions.outlast()

    # -- callbacks -----------------------------------------------------------------------------

    @overload
    def on(
        self, event: str, handler: Callable[..., Any], *, instrument_id: int | None = None
    ) -> "WsClient": ...

    @overload
    def on(
        self, event: str, *, instrument_id: int | None = None
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
        self, event: str, handler: Callable[..., Any], *, instrument_id: int | None = None
    ) -> "WsClient": ...

    @overload
    def once(
        self, event: str, *, instrument_id: int | None = None
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

    def off(self, event: str, handler: Callable[..., Any]) -> "WsClient":
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

    def remove_all_listeners(self, event: str | None = None) -> "WsClient":
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
        event: str,
        *,
        instrument_ids: Iterable[int] | int | None = None,
        maxsize: int | None = None,
        overflow: str | None = None,
        conflate_after: float | None = None,
    ) -> EventQueue:
        """Return a queue that collects *event* from now on, until the client ends.

        It can be made before :meth:`connect`, and waits for it; when somebody reads it for five
        seconds and nobody connects, the log says so. One that is made after a failure has the
        failure to tell. It keeps the client alive and connected. Close it when it is not read any
        more, or use it in a ``with`` block: the log warns of one that is full, once a minute.

        :param event: such as ``"private:event"``.
        :param instrument_ids: only of these instruments.
        :param maxsize: most items that wait; 0 is unbounded; None is 10,000 for market events and
            100,000 for the rest.
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
        items = core.new_queue(event, maxsize, overflow, conflate_after)
        ids = check_filter(event, instrument_ids, "instrument_ids")
        new = EventQueue(items, core.sessions)
        core.feed(items, ids)
        return new

    def stream(
        self,
        instrument_ids: Iterable[int] | int,
        *,
        maxsize: int | None = None,
        overflow: str | None = None,
        timeout: float | None = None,
    ) -> Iterator[tuple[int, WsInstrumentRate]]:
        """Subscribe with a snapshot, yield ``(instrument_id, rate)``, unsubscribe at the end.

        The end is when the loop is left, or when the client ends. Topics that were subscribed to
        otherwise, or that another stream still uses, stay subscribed. For a loop that lags, a rate
        that is older than the option ``conflate_after`` is skipped if a newer one of its instrument
        waits, too, unless *overflow* is another policy than ``"conflate"``.

        :param instrument_ids: one or several.
        :param maxsize: as :meth:`queue`.
        :param overflow: as :meth:`queue`.
        :param timeout: seconds for the subscription; None is ``request_timeout``.
        :raises EToroValidationError: naming the argument.
        :raises EToroSubscriptionError: from the loop, when eToro refuses.
        :raises EToroClosedError: from the loop, when the client is not connected.
        """
        core = core_of(self)
        core.guard.check()
        ids = check_instrument_ids(instrument_ids)
        make_buffer("instrument:rate", maxsize, overflow)
        timeout = check_timeout(timeout)
        return core.stream(ids, maxsize, overflow, timeout)

    def wait_for(
        self,
        event: str,
        predicate: Callable[..., bool] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Block until the next *event* and return what a queue would.

        For an event that :meth:`connect` brings, or a thread that is started before it, make a
        :meth:`queue` instead: that may wait for ``connect()``.

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
        return core.wait_for(event, predicate, timeout)

    # -- subscriptions -------------------------------------------------------------------------

    def subscribe(
        self,
        topics: Iterable[str | int] | str | int,
        snapshot: bool = False,
        *,
        wait: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Want *topics* from now on, through all reconnects.

        Before :meth:`connect` and during an outage this only records the wish; else it sends it
        and waits for eToro's acknowledgement. When the client was closed or has failed, the log
        says that nothing will come until ``connect()`` is called.

        :param topics: ``"private"``, ``"instrument:<id>"`` or ints for instruments. eToro allows
            4,999 per connection (measured on its demo feed).
        :param snapshot: send the full state of each instrument first, instead of starting with
            what changes next.
        :param wait: False returns at once; a refusal is then told as ``"error"`` only.
        :param timeout: seconds to wait for the acknowledgement; None is ``request_timeout``.
        :raises EToroSubscriptionError: when eToro refuses; those topics are no longer wanted.
        :raises EToroTimeoutError: when it does not answer; the topics stay wanted.
        :raises EToroValidationError: for a topic that does not exist, and when *snapshot* is one.
        """
        core = core_of(self)
        core.guard.check()
        names = check_topics(topics)
        snapshot = check_snapshot(snapshot)
        timeout = check_timeout(timeout)
        core.requests.subscribe(names, snapshot, wait, timeout)

    def unsubscribe(
        self,
        topics: Iterable[str | int] | str | int,
        *,
        wait: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Want *topics* no longer; waits as :meth:`subscribe` does.

        Also those of a :meth:`stream`, which then waits for rates that do not come.

        :param topics: as :meth:`subscribe`; those that were not wanted are ignored.
        :param wait: False returns at once.
        :param timeout: seconds to wait for the acknowledgement; None is ``request_timeout``.
        :raises EToroSubscriptionError: when eToro refuses.
        :raises EToroTimeoutError: when it does not answer.
        :raises EToroValidationError: for a topic that does not exist.
        """
        core = core_of(self)
        core.guard.check()
        names = check_topics(topics)
        timeout = check_timeout(timeout)
        core.requests.unsubscribe(names, wait, timeout)

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The wanted topics, oldest first."""
        core = core_of(self)
        core.guard.check()
        return tuple(core.tracker.get_all())

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

    @property
    def is_connected(self) -> bool:
        """Whether a WebSocket is open now."""
        return core_of(self).is_connected

    @property
    def is_authenticated(self) -> bool:
        """Whether eToro has accepted the credentials on the present connection."""
        return core_of(self).is_authenticated

    @property
    def generation(self) -> int:
        """The number of the present connection, or of the last one; 0 before the first.

        Each connection that was opened counts, also one that ended before it was authenticated.
        """
        return core_of(self).book.generation

    @property
    def last_pong_at(self) -> float:
        """When the last pong came: seconds since the epoch, UTC; 0.0 before the first.

        Pings are only sent in silence, so on a busy stream this does not advance.
        """
        return core_of(self).counters.last_pong_at

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
        return (
            f"<{name} {core.state.value}, generation {core.book.generation}, "
            f"{count(core.tracker.size, 'topic')}>"
        )
