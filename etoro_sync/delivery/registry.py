"""The listeners of a client: callbacks and queues, by event and by instrument.

The reader thread looks them up for each message, other threads change them now and then. So a
change makes new tuples under a lock, and a look-up is one dictionary access without a lock.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import EToroError
from ..events import INNER_EVENTS
from .journal import Journal
from .queues import ItemQueue
from .tap import Tap

__all__ = ["Handler", "Listeners", "Registry"]

#: How many callbacks a new one is compared with, so that registering many of them stays fast.
_LOOKED_AT = 100


class Handler:
    """One registration of a callback. A spent one is not called any more."""

    __slots__ = ("function", "instrument_id", "once", "spent")

    def __init__(self, function: Callable[..., Any], instrument_id: int | None, once: bool) -> None:
        self.function = function
        self.instrument_id = instrument_id
        self.once = once
        self.spent = False


class Listeners:
    """The callbacks and queues of one event. Tuples are replaced, never changed.

    ``handlers_by_id`` has the callbacks of each instrument that has some of its own: all that are
    called for it, those without a filter included, in the order of registration. ``queues_by_id``
    does the same for queues; :meth:`of` looks both up.
    """

    __slots__ = ("active", "all_handlers", "handlers", "handlers_by_id", "queues", "queues_by_id")

    def __init__(self) -> None:
        #: ``id()`` of each registration -> the registration, in order.
        self.all_handlers: dict[int, Handler] = {}
        self.handlers: tuple[Handler, ...] = ()
        self.handlers_by_id: dict[int, tuple[Handler, ...]] = {}
        self.queues: tuple[ItemQueue, ...] = ()
        self.queues_by_id: dict[int, tuple[ItemQueue, ...]] = {}
        #: Whether there is any listener, with or without a filter.
        self.active = False

    def of(self, instrument_id: int | None) -> tuple[tuple[Handler, ...], tuple[ItemQueue, ...]]:
        """Return the callbacks and the queues that get an event of this instrument.

        :param instrument_id: None for an event of no instrument.
        """
        handlers, queues = self.handlers, self.queues
        if instrument_id is not None:
            handlers = self.handlers_by_id.get(instrument_id, handlers)
            queues = self.queues_by_id.get(instrument_id, queues)
        return handlers, queues

    def refresh(self) -> None:
        """Set :attr:`active`; to be called after each change, under the lock."""
        self.active = bool(self.all_handlers or self.queues or self.queues_by_id)

    def add(self, handler: Handler) -> None:
        """Add one registration; the caller holds the registry's lock."""
        self.all_handlers[id(handler)] = handler
        if handler.instrument_id is None:
            self.handlers += (handler,)
            for key in self.handlers_by_id:
                self.handlers_by_id[key] += (handler,)
        else:
            known = self.handlers_by_id.get(handler.instrument_id, self.handlers)
            self.handlers_by_id[handler.instrument_id] = (*known, handler)
        self.refresh()

    def remove(self, gone: Iterable[Handler]) -> None:
        """Remove those of the registrations that are here; the caller holds the registry's lock.

        To remove one with a filter, only the tuple of its instrument is replaced.
        """
        here = {id(handler) for handler in gone} & self.all_handlers.keys()
        ids = {self.all_handlers[number].instrument_id for number in here}
        if None in ids:
            self.handlers = tuple(h for h in self.handlers if id(h) not in here)
            ids.update(self.handlers_by_id)
        for key in ids:
            if key is None or key not in self.handlers_by_id:
                continue
            left = tuple(h for h in self.handlers_by_id[key] if id(h) not in here)
            if left == self.handlers:
                del self.handlers_by_id[key]
            else:
                self.handlers_by_id[key] = left
        # Last, so that the call can be repeated if Ctrl-C ends it half-way.
        for number in here:
            del self.all_handlers[number]
        self.refresh()


def _spent(handlers: Iterable[Handler]) -> list[Handler]:
    spent = list(handlers)
    for handler in spent:
        handler.spent = True
    return spent


def _equal(one: Any, other: Any) -> bool:
    """Return whether two callbacks are equal; False if comparing them raises."""
    try:
        return one is other or bool(one == other)
    except Exception:
        return False


class Registry:
    """All listeners of a client. Thread-safe.

    The lock guards changes; :meth:`listeners` is read without it. During a change the garbage
    collector may run a finalizer on the same thread, which makes another change: that one is put
    off until the first is done.

    :param events: the names of the events.
    """

    def __init__(self, events: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._put_off: deque[Callable[[], object]] = deque()
        self._listeners = {event: Listeners() for event in (*events, *INNER_EVENTS)}
        self._queue_ids: dict[ItemQueue, tuple[int, ...] | None] = {}
        #: Notes events that must not be lost; None: nobody records. It counts as a listener.
        self.journal: Journal | None = None
        #: What is made of the prices. They count as listeners. Replaced, never changed.
        self.taps: tuple[Tap, ...] = ()

    def _change(self, change: Callable[[], object]) -> None:
        """Run *change* under the lock. What it returns is freed outside of the lock."""
        me = threading.get_ident()
        if self._owner == me:
            self._put_off.append(change)
            return
        garbage: list[object] = []
        with self._lock:
            self._owner = me
            try:
                garbage.append(change())
                while self._put_off:
                    garbage.append(self._put_off.popleft()())
            finally:
                self._owner = None
        if self._put_off:  # by a finalizer that ran just before the owner was cleared
            self._change(lambda: None)

    def listeners(self, event: str) -> Listeners:
        """Return the listeners of a known event; always the same object."""
        return self._listeners[event]

    @property
    def has_listeners(self) -> bool:
        """Whether there is any callback, queue or tap, or a recording."""
        return (
            bool(self.taps)
            or self.journal is not None
            or any(listeners.active for listeners in self._listeners.values())
        )

    @property
    def has_callbacks(self) -> bool:
        """Whether any callback is registered."""
        return any(listeners.all_handlers for listeners in self._listeners.values())

    def add(self, event: str, handler: Handler) -> None:
        """Register a callback."""
        self._change(lambda: self._listeners[event].add(handler))

    def functions(self, event: str, instrument_id: int | None) -> list[Callable[..., Any]]:
        """Return the last functions registered for *event* with the same filter, in order."""
        listeners = self._listeners[event]
        handlers = listeners.handlers
        if instrument_id is not None:
            handlers = listeners.handlers_by_id.get(instrument_id, ())
        last = handlers[-_LOOKED_AT:]
        return [h.function for h in last if h.instrument_id == instrument_id and not h.spent]

    def discard(self, event: str, handler: Handler) -> None:
        """Remove one registration, if it is still there; the caller marks it as spent."""
        self._remove(event, [handler])

    def remove(self, event: str, function: Callable[..., Any]) -> None:
        """Remove every registration of *function* for *event*."""
        # Compared outside of the lock: equality may be user code.
        handlers = list(self._listeners[event].all_handlers.values())
        self._remove(event, _spent(h for h in handlers if _equal(h.function, function)))

    def clear(self, event: str | None) -> None:
        """Remove all callbacks of *event*, or of all events."""
        for name, listeners in self._listeners.items():
            if event is None or name == event:
                self._remove(name, _spent(list(listeners.all_handlers.values())))

    def _remove(self, event: str, handlers: list[Handler]) -> None:
        def change() -> object:
            self._listeners[event].remove(handlers)
            return handlers

        if handlers:
            self._change(change)

    def add_queue(self, queue: ItemQueue, instrument_ids: tuple[int, ...] | None) -> None:
        """Feed *queue* from now on.

        :param instrument_ids: with the events of these instruments; None: with all.
        """

        def change() -> None:
            self._queue_ids[queue] = instrument_ids
            listeners = self._listeners[queue.event]
            if instrument_ids is None:
                listeners.queues += (queue,)
                for key in listeners.queues_by_id:
                    listeners.queues_by_id[key] += (queue,)
            else:
                for key in instrument_ids:
                    known = listeners.queues_by_id.get(key, listeners.queues)
                    listeners.queues_by_id[key] = (*known, queue)
            listeners.refresh()

        self._change(change)

    def remove_queue(self, queue: ItemQueue) -> None:
        """Stop feeding *queue*; no effect if it is not fed."""

        def change() -> None:
            if queue not in self._queue_ids:
                return
            ids = self._queue_ids[queue]
            listeners = self._listeners[queue.event]
            listeners.queues = tuple(q for q in listeners.queues if q is not queue)
            for key in ids if ids is not None else list(listeners.queues_by_id):
                # A key is missing if Ctrl-C came in the middle of add_queue().
                known = listeners.queues_by_id.get(key, listeners.queues)
                left = tuple(q for q in known if q is not queue)
                if left == listeners.queues:
                    listeners.queues_by_id.pop(key, None)
                else:
                    listeners.queues_by_id[key] = left
            listeners.refresh()
            # Last, so that the call can be repeated if Ctrl-C ends it half-way.
            del self._queue_ids[queue]

        self._change(change)

    def end_queues(self, reason: str, error: EToroError | None = None) -> None:
        """Stop feeding all queues; their readers raise.

        :param reason: the text of the error that readers raise.
        :param error: what ended the client, if it failed; readers raise it then.
        """
        self.finish_taps()
        for tap in self.taps:
            self.remove_tap(tap)
        for queue in self.queues():
            # In this order: if Ctrl-C comes in between, the queue can still be found and ended.
            queue.end(reason, error)
            self.remove_queue(queue)

    # -- taps ----------------------------------------------------------------------------------

    def add_tap(self, tap: Tap) -> None:
        """Let *tap* get what comes from the next read on."""

        def change() -> None:
            self.taps += (tap,)

        self._change(change)

    def remove_tap(self, tap: Tap) -> None:
        """Let *tap* get nothing more; no effect if it gets nothing."""

        def change() -> None:
            self.taps = tuple(one for one in self.taps if one is not tap)

        self._change(change)

    @property
    def quiet_end(self) -> str:
        """The earliest date that a tap wants of messages that led to no rate."""
        return min((tap.quiet_end for tap in self.taps), default="")

    def finish_taps(self) -> None:
        """Let what is made of the prices emit its last, before the queues end."""
        for tap in self.taps:
            tap.finish()

    def queues(self) -> list[ItemQueue]:
        """Return all queues that are fed."""
        return list(self._queue_ids)
