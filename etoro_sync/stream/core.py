"""The parts of a stream, apart from the class that users call and derive from.

Everything in here is about reading. Only the :class:`Source` knows where the events come from.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from .. import clocks
from ..delivery.mixed import Ports
from ..delivery.queues import ItemQueue
from ..delivery.registration import check_callable, times_registered
from ..delivery.registry import Handler, Registry
from ..errors import EToroClosedError, EToroError, EToroWebSocketError
from ..events import check_event, check_filter
from ..lifecycle import AT_WORK, DISCONNECTED
from ..logs import log, name_of
from ..market.rate_view import RateView
from ..state import ClientState
from ..stats import Counters, WsStats
from ..synchronization import ProcessGuard
from ..throttle import LogThrottle
from .source import Source

__all__ = ["NOT_CONNECTED", "StreamCore", "core_of", "equip"]

#: The only attribute that the library sets on a stream, so that no subclass uses its name.
_NAME = "__etoro_sync__"
NOT_CONNECTED = "The stream is not connected. Call connect() first."

Function = TypeVar("Function", bound=Callable[..., Any])


def core_of(stream: object) -> "StreamCore":
    """Return the core of *stream*.

    :raises EToroError: when a subclass has not called ``super().__init__()``.
    """
    # Not by getattr(), because a subclass's __getattr__ may need the core itself.
    core: StreamCore | None = vars(stream).get(_NAME)
    if core is None:
        raise EToroError(
            f"{type(stream).__name__}.__init__() has not called super().__init__() yet. Call it "
            "there first."
        )
    return core


def equip(stream: object, core: "StreamCore") -> None:
    """Give *stream* its core."""
    # Not by setattr(), because a subclass may forbid it, such as a frozen dataclass.
    vars(stream)[_NAME] = core


class StreamCore:
    """The parts of a stream, and what its methods share.

    A stream keeps it in a single attribute, so that subclasses may use all other names. It calls no
    method of the stream, because a subclass may have replaced it.

    :param registry: the listeners.
    :param counters: the stream's.
    :param source: where the events come from.
    """

    def __init__(self, registry: Registry, counters: Counters, source: Source) -> None:
        self.registry = registry
        self.counters = counters
        self.source = source
        self.book = source.book
        self.order_states = source.order_states
        self.lifecycle = source.lifecycle
        self.rates = RateView(source.book, source)
        self.guard = ProcessGuard()
        self.throttle = LogThrottle()

    # -- state ---------------------------------------------------------------------------------

    @property
    def state(self) -> ClientState:
        """The present state; CLOSED in a forked child."""
        return ClientState.CLOSED if self.guard.foreign else self.lifecycle.state

    @property
    def is_connected(self) -> bool:
        """Whether events can come now."""
        return not self.guard.foreign and self.source.is_connected

    def check_connected(self) -> None:
        """Refuse to wait where no event can come.

        :raises EToroClosedError: when the stream is closed, or not connected yet.
        """
        self.guard.check()
        state = self.state
        if state is ClientState.CLOSED:
            raise EToroClosedError("The stream is closed. Call connect() first.")
        if state is ClientState.DISCONNECTED:
            raise EToroClosedError(NOT_CONNECTED)

    def stats(self) -> WsStats:
        """Return all counters, as they are now."""
        counters, now = self.counters, clocks.uptime()
        dispatcher = self.source.dispatcher
        lanes = dispatcher.lanes
        connected_at, last = counters.connected_at, counters.last_message_at
        last_byte_age, reader_delay = self.signs_of_life()
        return WsStats(
            bytes=counters.bytes,
            messages=counters.messages,
            rates=counters.rates,
            heartbeats=counters.heartbeats,
            private_events=counters.private_events,
            unknown=counters.unknown,
            bad_messages=counters.bad_messages,
            odd_messages=counters.odd_messages,
            connect_attempts=counters.connect_attempts,
            connections=counters.connections,
            reconnects=counters.reconnects,
            callbacks=counters.callbacks,
            callback_errors=counters.callback_errors,
            callbacks_waiting=len(lanes),
            callbacks_conflated=lanes.rates.conflated,
            callbacks_dropped=lanes.dropped,
            callbacks_lost=lanes.lost,
            callbacks_lag=dispatcher.lag(),
            connected_age=now - connected_at if connected_at and self.is_connected else None,
            last_message_age=None if last is None else now - last,
            last_byte_age=last_byte_age,
            reader_delay=reader_delay,
        )

    def signs_of_life(self) -> tuple[float | None, float | None]:
        """Return the last two figures of :meth:`stats`; None: the source has no such figure."""
        return None, None

    @property
    def generations(self) -> frozenset[int] | None:
        """The numbers of the open connections, if there may be several; None: the last counts."""
        return None

    def outlast(self, timeout: float | None = None) -> bool:
        """Block until the present session has ended; False: *timeout* has passed.

        :raises EToroError: the error that ended it, if it failed.
        """
        self.lifecycle.own_threads.check("run_forever()", "Call it in the thread that is to wait.")
        session = self.lifecycle.session
        if self.source.dispatcher.is_current:
            raise EToroWebSocketError(
                "run_forever() in a callback would keep all other callbacks waiting. Call it in "
                "the thread that is to wait."
            )
        self.source.end_is_awaited()
        deadline = None if timeout is None else clocks.monotonic() + timeout
        try:
            return self.lifecycle.outcome(session, *AT_WORK, deadline=deadline)
        except KeyboardInterrupt:
            self.source.disconnect(None)
            raise

    # -- callbacks -----------------------------------------------------------------------------

    def registrar(
        self, event: str, instrument_id: int | None, once: bool
    ) -> Callable[[Function], Function]:
        """Return a decorator that registers a handler for *event*."""
        self.guard.check()
        event = check_event(event)
        if instrument_id is not None:
            (instrument_id,) = check_filter(event, [instrument_id], "instrument_id") or ()

        def register(function: Function) -> Function:
            check_callable(function, event)
            known = self.registry.functions(event, instrument_id)
            self.registry.add(event, Handler(function, instrument_id, once))
            self.source.listeners_changed()
            times = times_registered(function, known) + 1
            # Each registration but the first is logged. The throttle is for loops that go on.
            throttled = (
                times == 1 or self.throttle.passes((event, name_of(function), times)) is None
            )
            if not throttled:
                log(
                    logging.WARNING,
                    "The handler %s is registered for %r %d times, and called as often for each "
                    "event. If a cell or a function that registers it ran again, let it call "
                    "client.remove_all_listeners(%r) before.",
                    name_of(function),
                    event,
                    times,
                    event,
                )
            return function

        return register

    # -- queues --------------------------------------------------------------------------------

    def new_queue(
        self,
        event: str,
        maxsize: int | None = None,
        overflow: str | None = None,
        conflate_after: float | None = None,
    ) -> ItemQueue:
        """Return the items of a queue of *event*, which collects nothing yet."""
        self.guard.check()
        event = check_event(event)
        on_close = self.registry.remove_queue
        return self.source.make_items(event, maxsize, overflow, conflate_after, on_close)

    def new_mixed_queue(
        self,
        events: tuple[str, ...],
        maxsize: int | None = None,
        overflow: str | None = None,
        conflate_after: float | None = None,
    ) -> tuple[ItemQueue, Ports]:
        """Return a queue of several events, which collects nothing yet, and its ports."""
        self.guard.check()
        ports = Ports(events, self.registry.remove_queue)
        return self.source.make_items(events, maxsize, overflow, conflate_after, ports), ports

    def feed_mixed(self, new: ItemQueue, ports: Ports, ids: tuple[int, ...] | None) -> None:
        """Let *new* collect its events from now on; as :meth:`feed`."""
        ports.connect(new, self.registry.add_queue, ids)
        self._is_fed(new)

    def feed(self, new: ItemQueue, ids: tuple[int, ...] | None) -> None:
        """Let *new* collect its event from now on.

        :param ids: only of these instruments; None: of all.
        """
        self.registry.add_queue(new, ids)
        self._is_fed(new)

    def _is_fed(self, new: ItemQueue) -> None:
        self.source.listeners_changed()
        # Checked after it was added: an end changes the state first, and then ends all queues.
        state, error = self.state, self.lifecycle.error
        if state is ClientState.FAILED and error is not None:
            new.abandon()
            new.end(str(error), error)
        elif state is ClientState.CLOSING:
            new.abandon()
            new.end(DISCONNECTED)
