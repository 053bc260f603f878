"""The client: everything that users call, each method safe in any thread and any callback."""

import inspect
import queue as standard_queue
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, overload

from ..errors import EToroClosedError, EToroTimeoutError, EToroValidationError
from ..models import WsInstrumentRate
from .events import (
    EVENTS,
    check_event,
    check_filter,
    check_instrument_ids,
    check_snapshot,
    check_timeout,
    check_topics,
)
from .handlers import Handler, Registry
from .lifecycle import ClientState, ProcessGuard
from .options import WsClientOptions
from .queues import EventQueue, make_buffer
from .rate_view import RateView
from .requests import Use
from .sessions import DISCONNECTED, Sessions
from .stats import Counters, WsStats

__all__ = ["WsClient"]

_NOT_CONNECTED = "The client is not connected. Call connect() first."

Function = TypeVar("Function", bound=Callable[..., Any])


class WsClient:
    """A streaming client for eToro, for programs without asyncio.

    A background thread reads, keeps alive and reconnects; a second one runs the callbacks.
    Every method may be called from any thread and from any callback. After a ``fork()`` the child's
    copy is closed: whatever waits or changes raises :class:`~etoro_sync.EToroClosedError`. The
    names are those of etoropy's ``WsClient``.

    :param options: None reads them from the environment, see :meth:`WsClientOptions.from_env`.
    :raises EToroValidationError: naming the field.
    """

    def __init__(self, options: WsClientOptions | None = None) -> None:
        if options is not None and not isinstance(options, WsClientOptions):
            raise EToroValidationError(
                f"options must be WsClientOptions or None, not {type(options).__name__}.",
                "options",
            )
        self._options = options if options is not None else WsClientOptions.from_env()
        self._registry = Registry(EVENTS)
        self._counters = Counters()
        self._sessions = Sessions(self._options, self._registry, self._counters)
        self._tracker = self._sessions.tracker
        self._book = self._sessions.book
        self._lifecycle = self._sessions.lifecycle
        self._requests = self._sessions.requests
        self._rates = RateView(self._book)
        self._guard = ProcessGuard()

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
        self._guard.check()
        check_timeout(timeout)
        self._sessions.connect(timeout)

    def disconnect(self, timeout: float | None = None) -> None:
        """End the session: close the connection, forget the subscriptions, stop the threads.

        Blocked calls end with :class:`~etoro_sync.EToroClosedError`; callbacks stay registered.
        Idempotent; legal from a callback, whose thread then ends after it has returned. Order
        events that were received are still delivered to callbacks that return in time.

        :param timeout: seconds to wait at most; None is ``close_timeout``.
        """
        if self._guard.foreign:
            return
        check_timeout(timeout)
        self._sessions.disconnect(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Do what :meth:`disconnect` does.

        :param timeout: as there.
        """
        self.disconnect(timeout)

    def __enter__(self) -> "WsClient":
        self.connect()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.disconnect()

    def run_forever(self) -> None:
        """Block until the client ends.

        Returns after :meth:`disconnect`; Ctrl-C disconnects and leaves as KeyboardInterrupt.

        :raises EToroClosedError: when the client was never connected.
        :raises EToroError: what ended the client.
        """
        self._guard.check()
        # Looked at once: disconnect() may come at any time.
        state = self.state
        if state is ClientState.DISCONNECTED:
            raise EToroClosedError(_NOT_CONNECTED)
        if state is not ClientState.CLOSED:
            self._sessions.outlast()

    # -- callbacks -----------------------------------------------------------------------------

    @overload
    def on(
        self, event: str, handler: Callable[..., Any], *, instrument_id: int | None = None
    ) -> "WsClient": ...

    @overload
    def on(
        self, event: str, handler: None = None, *, instrument_id: int | None = None
    ) -> Callable[[Function], Function]: ...

    def on(
        self,
        event: str,
        handler: Callable[..., Any] | None = None,
        *,
        instrument_id: int | None = None,
    ) -> Any:
        """Call *handler* for every *event*; see :data:`etoro_sync.EVENTS` for the arguments.

        Handlers run one at a time on the client's own thread, in the order of registration.
        What one raises is logged, counted, and emitted as ``"error"``.

        :param event: such as ``"instrument:rate"``.
        :param handler: any callable; without one this is a decorator.
        :param instrument_id: only for this instrument.
        :returns: the client, or the decorator.
        :raises EToroValidationError: for an unknown event, with the nearest known one.
        """
        return self._add(event, handler, instrument_id, once=False)

    @overload
    def once(
        self, event: str, handler: Callable[..., Any], *, instrument_id: int | None = None
    ) -> "WsClient": ...

    @overload
    def once(
        self, event: str, handler: None = None, *, instrument_id: int | None = None
    ) -> Callable[[Function], Function]: ...

    def once(
        self,
        event: str,
        handler: Callable[..., Any] | None = None,
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
        return self._add(event, handler, instrument_id, once=True)

    def _add(
        self,
        event: str,
        handler: Callable[..., Any] | None,
        instrument_id: int | None,
        once: bool,
    ) -> Any:
        self._guard.check()
        check_event(event)
        if instrument_id is not None:
            check_filter(event, [instrument_id], "instrument_id")

        def register(function: Function) -> Function:
            if not callable(function):
                raise EToroValidationError(
                    f"handler must be callable, not {function!r:.60}.", "handler"
                )
            if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                raise EToroValidationError(
                    "handler must not be a coroutine function: handlers run on a thread of the "
                    "client. Write def instead of async def.",
                    "handler",
                )
            if inspect.isgeneratorfunction(function):
                raise EToroValidationError(
                    "handler must not be a generator function: nobody would run it. Write it "
                    "without yield.",
                    "handler",
                )
            self._registry.add(event, Handler(function, instrument_id, once))
            return function

        if handler is None:
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
        self._guard.check()
        self._registry.remove(check_event(event), handler)
        return self

    def remove_all_listeners(self, event: str | None = None) -> "WsClient":
        """Remove the callbacks of *event*, or of all events. Queues stay.

        :param event: None is all events.
        :returns: the client.
        :raises EToroValidationError: for an unknown event.
        """
        self._guard.check()
        self._registry.clear(None if event is None else check_event(event))
        return self

    # -- queues --------------------------------------------------------------------------------

    def queue(
        self,
        event: str,
        *,
        instrument_ids: Iterable[int] | int | None = None,
        maxsize: int | None = None,
        overflow: str | None = None,
    ) -> EventQueue:
        """Return a queue that collects *event* from now on, until the client ends.

        It can be made before :meth:`connect`; one that is made after a failure has the failure to
        tell. Close it when it is not read any more, or use it in a ``with`` block: one that is full
        is warned of in the log, once a minute.

        :param event: such as ``"private:event"``.
        :param instrument_ids: only of these instruments.
        :param maxsize: most items that wait; 0 is unbounded; None is 10,000 for market events and
            100,000 for the rest.
        :param overflow: what to do when it is full: ``"conflate"`` (default of
            ``"instrument:rate"``; the newest rate of an instrument wins, and none of them is lost
            while *maxsize* is no less than the number of instruments), ``"drop_oldest"``,
            ``"drop_newest"``, or ``"raise"`` (default of the rest).
        :raises EToroValidationError: naming the argument.
        """
        new = self._new_queue(event, maxsize, overflow)
        self._feed(new, check_filter(event, instrument_ids, "instrument_ids"))
        return new

    def _new_queue(
        self, event: str, maxsize: int | None = None, overflow: str | None = None
    ) -> EventQueue:
        self._guard.check()
        buffer = make_buffer(check_event(event), maxsize, overflow)
        return EventQueue(event, buffer, self._registry.remove_queue)

    def _feed(self, new: EventQueue, ids: tuple[int, ...] | None) -> None:
        """Let *new* collect its event from now on."""
        self._registry.add_queue(new, ids)
        # Asked after it was added: whoever ends the queues of a client changes the state first.
        state, error = self.state, self._lifecycle.error
        if state is ClientState.FAILED and error is not None:
            self._registry.remove_queue(new)
            new.end(str(error), error)
        elif state is ClientState.CLOSING:
            self._registry.remove_queue(new)
            new.end(DISCONNECTED)

    def _check_not_closed(self) -> None:
        """:raises EToroClosedError: when nothing can come, for the user has closed the client."""
        self._guard.check()
        if self.state is ClientState.CLOSED:
            raise EToroClosedError("The client is closed. Call connect() first.")

    def _check_connected(self) -> None:
        self._check_not_closed()
        if self.state is ClientState.DISCONNECTED:
            raise EToroClosedError(_NOT_CONNECTED)

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
        otherwise, or that another stream still uses, stay subscribed.

        :param instrument_ids: one or several.
        :param maxsize: as :meth:`queue`.
        :param overflow: as :meth:`queue`.
        :param timeout: seconds for the subscription; None is ``request_timeout``.
        :raises EToroValidationError: naming the argument.
        :raises EToroSubscriptionError: from the loop, when eToro refuses.
        :raises EToroClosedError: from the loop, when the client is not connected.
        """
        self._guard.check()
        ids = check_instrument_ids(instrument_ids)
        make_buffer("instrument:rate", maxsize, overflow)
        check_timeout(timeout)
        return self._stream(ids, maxsize, overflow, timeout)

    def _stream(
        self,
        ids: tuple[int, ...],
        maxsize: int | None,
        overflow: str | None,
        timeout: float | None,
    ) -> Iterator[tuple[int, WsInstrumentRate]]:
        topics = [f"instrument:{instrument_id}" for instrument_id in ids]
        with self._new_queue("instrument:rate", maxsize, overflow) as rates:
            self._feed(rates, ids)
            # Not before: whoever disconnects in between would find no queue to end.
            self._check_connected()
            use = Use()
            try:
                try:
                    self._requests.hold(use, topics, timeout)
                except EToroClosedError:
                    # Closed by the user while subscribing: the loop ends, as it does later on.
                    if self._guard.foreign or self.state is ClientState.FAILED:
                        raise
                    return
                yield from rates
            finally:
                if not self._guard.foreign:
                    self._requests.release(use)

    def wait_for(
        self,
        event: str,
        predicate: Callable[..., bool] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Block until the next *event* and return what a queue would.

        :param event: such as ``"instrument:rate"``.
        :param predicate: called with the event's arguments, on this thread; False: wait on.
        :param timeout: seconds to wait at most; None is without limit.
        :raises EToroTimeoutError: when no such event came in time.
        :raises EToroClosedError: when the client was closed.
        :raises EToroError: what ended the client, when it failed.
        """
        check_timeout(timeout)
        if predicate is not None and not callable(predicate):
            raise EToroValidationError(
                f"predicate must be callable, not {predicate!r:.60}.", "predicate"
            )
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._new_queue(event) as events:
            # In here, where it will be closed, whenever Ctrl-C comes.
            self._feed(events, None)
            # Not before: whoever disconnects in between would find no queue to end.
            self._check_not_closed()
            while True:
                left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
                try:
                    item = events.get(timeout=left)
                except standard_queue.Empty:
                    raise EToroTimeoutError(
                        f"No matching {event!r} came within {timeout:g} s; the client is "
                        f"{self.state.value}."
                    ) from None
                arguments = item if isinstance(item, tuple) else (item,)
                if predicate is None or predicate(*arguments):
                    return item

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
        and waits for eToro's acknowledgement.

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
        self._guard.check()
        names = check_topics(topics)
        check_snapshot(snapshot)
        check_timeout(timeout)
        self._requests.subscribe(names, snapshot, wait, timeout)

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
        self._guard.check()
        names = check_topics(topics)
        check_timeout(timeout)
        self._requests.unsubscribe(names, wait, timeout)

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The wanted topics, oldest first."""
        self._guard.check()
        return tuple(self._tracker.get_all())

    # -- state ---------------------------------------------------------------------------------

    @property
    def rates(self) -> Mapping[int, WsInstrumentRate]:
        """Instrument id -> latest merged rate: a read-only live view that never blocks."""
        self._guard.check()
        return self._rates

    @property
    def state(self) -> ClientState:
        """Where the client stands; CLOSED in a forked child."""
        return ClientState.CLOSED if self._guard.foreign else self._lifecycle.state

    @property
    def is_connected(self) -> bool:
        """Whether a WebSocket is open now."""
        session = None if self._guard.foreign else self._sessions.present
        return session is not None and session.reader.is_connected

    @property
    def is_authenticated(self) -> bool:
        """Whether eToro has accepted the credentials on the present connection."""
        session = None if self._guard.foreign else self._sessions.present
        return session is not None and session.reader.is_authenticated

    @property
    def generation(self) -> int:
        """How many connections were authenticated; 0 before the first."""
        return self._book.generation

    @property
    def last_pong_at(self) -> float:
        """When the last pong came: seconds since the epoch, UTC; 0.0 before the first.

        Pings are only sent in silence, so on a busy stream this does not advance.
        """
        return self._counters.last_pong_at

    def stats(self) -> WsStats:
        """Return a reading of all counters; cheap, never blocks on user code."""
        self._guard.check()
        counters, now = self._counters, time.monotonic()
        conflated, dropped, lost = self._sessions.callback_losses()
        session = self._sessions.present
        connected_at, last = counters.connected_at, counters.last_message_at
        return WsStats(
            bytes=counters.bytes,
            messages=counters.messages,
            rates=counters.rates,
            heartbeats=counters.heartbeats,
            private_events=counters.private_events,
            unknown=counters.unknown,
            bad_messages=counters.bad_messages,
            connect_attempts=counters.connect_attempts,
            connections=counters.connections,
            reconnects=counters.reconnects,
            callbacks=counters.callbacks,
            callback_errors=counters.callback_errors,
            callbacks_waiting=len(session.dispatcher.lanes) if session is not None else 0,
            callbacks_conflated=conflated,
            callbacks_dropped=dropped,
            callbacks_lost=lost,
            connected_age=now - connected_at if connected_at and self.is_connected else None,
            last_message_age=None if last is None else now - last,
        )

    def __repr__(self) -> str:
        return (
            f"<WsClient {self.state.value}, generation {self.generation}, "
            f"{self._tracker.size} topics>"
        )
