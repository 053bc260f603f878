"""Calls the callbacks, and reports what they raise.

Nothing that is raised here ends the thread. What a callback raises costs no other callback an
event. An exception may also arise outside of callbacks: a MemoryError, or one that another thread
raises in this one (PyThreadState_SetAsyncExc). It is reported, and costs one event at most.
"""

import contextlib
import inspect
import logging
import os
from collections import deque
from collections.abc import Callable, Hashable
from types import MethodType
from typing import Any

from .. import clocks
from ..errors import EToroError, forget_locals
from ..events import MARKET_EVENTS
from ..logs import log, name_of
from ..stats import Counters
from ..text import repeated
from ..throttle import LogThrottle
from .lanes import Calls, Run
from .registry import Handler, Registry

__all__ = ["Callbacks"]

#: How many errors outside of callbacks, with no callback in between, are tolerated.
_MOST_DEFECTS = 100
_NEVER = float("inf")
#: Incremented in a forked child. Comparing it takes a tenth of the time of ``os.getpid()``.
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):  # elsewhere there is no fork
    os.register_at_fork(after_in_child=_count_fork)


class Ending:
    """Which callbacks of one session are still to be called. Set by any thread."""

    __slots__ = ("abandoned", "stopping")

    def __init__(self) -> None:
        #: The session has ended: callbacks of market events are not called any more.
        self.stopping = False
        #: ``disconnect()`` has stopped waiting: no callback is called any more.
        self.abandoned = False


class Callbacks:
    """Calls the callbacks of a client. Runs on its dispatcher thread; others only set the flags.

    :param registry: the listeners.
    :param counters: the client's.
    :param next_order: removes and returns the next order event; None: there is none.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        registry: Registry,
        counters: Counters,
        next_order: Callable[[], Run | None] = lambda: None,
        clock: Callable[[], float] = clocks.monotonic,
    ) -> None:
        self._registry = registry
        self._counters = counters
        self._next_order = next_order
        self._clock = clock
        self._throttle = LogThrottle()
        self._defects = 0
        self._forks = _forks
        self._in_order = False
        #: An order event has come. It overtakes all others, so this is checked before each call.
        self.orders_wait = False
        #: Of the session whose callbacks are being called.
        self.ending = Ending()
        #: The callback that is being called, if any.
        self.running: Callable[..., Any] | None = None

    @property
    def foreign(self) -> bool:
        """Whether this is a forked child, in which no callback is called."""
        return _forks != self._forks

    def call(self, event: str, calls: Calls, until: float = _NEVER) -> None:
        """Call the callbacks of *event* once for each entry of *calls*.

        :param calls: the arguments of each event. Each entry is removed before its callbacks are
            called; those that remain were not called in time, or their session has ended.
        :param until: monotonic time after which no further market event is begun.
        """
        market, forks, clock, ending = event in MARKET_EVENTS, self._forks, self._clock, self.ending
        listeners = self._registry.listeners(event)
        called = 0
        try:
            while calls:
                # The first event is called even when it is late, or none would ever be called.
                look = called > 0
                if self.orders_wait:
                    self.call_orders()
                    look = True  # the callbacks of orders may have taken long
                if market and (ending.stopping or (look and clock() >= until)):
                    return
                arguments = calls.popleft()
                # Looked up anew each time: a callback may have added or removed another.
                handlers = listeners.handlers
                if listeners.handlers_by_id and arguments:
                    handlers = listeners.handlers_by_id.get(arguments[0], handlers)
                for handler in handlers:
                    if self.orders_wait:
                        self.call_orders()
                    if handler.spent or ending.abandoned or _forks != forks:
                        continue
                    if handler.once:
                        self._registry.discard(event, handler)
                        handler.spent = True
                    self.running = handler.function
                    called += 1
                    try:
                        result = handler.function(*arguments)
                        if result is not None and inspect.iscoroutine(result):
                            _refuse(result)
                    except BaseException as exc:
                        if _forks != forks:
                            raise
                        self._on_error(event, handler, exc)
        finally:
            self.running = None
            self._counters.callbacks += called
            if called:
                self._defects = 0

    def call_orders(self) -> None:
        """Call the callbacks of all orders that wait, also between two callbacks of one event."""
        # Not within the callbacks of an order: all of these get one order before the next begins.
        if self._in_order or self.ending.abandoned or self.foreign:
            return
        self._in_order = True
        try:
            while self.orders_wait:
                self.orders_wait = False
                try:
                    while (order := self._next_order()) is not None:
                        self.call(*order)
                except BaseException as exc:
                    # Caught here as well, because this may run in the middle of another event,
                    # which would be lost.
                    if self.foreign:
                        raise
                    self.orders_wait = True
                    self.on_defect(exc)
        finally:
            self._in_order = False

    # -- errors --------------------------------------------------------------------------------

    def _on_error(self, event: str, handler: Handler, exc: BaseException) -> None:
        self._counters.callback_errors += 1
        # Reporting runs user code, such as handlers of the log, which may raise anything.
        with contextlib.suppress(BaseException):
            # Without this module's frame, whose local variables are what the server has sent.
            trace = exc.__traceback__
            self._report(event, handler, exc.with_traceback(trace and trace.tb_next))

    def _report(self, event: str, handler: Handler, exc: BaseException) -> None:
        """Log what a callback raised, and emit it as ``"error"`` unless it handled one."""
        quiet = self._throttle.passes((_identity(handler.function), type(exc)))
        if quiet is not None:
            log(
                logging.ERROR,
                "The callback %s for %r raised %s%s",
                name_of(handler.function),
                event,
                type(exc).__name__,
                repeated(quiet),
                exc_info=exc,
            )
        if event != "error":
            error = exc
            if not isinstance(exc, Exception):
                name = name_of(handler.function)
                error = EToroError(f"The callback {name} raised {type(exc).__name__}.")
                error.__cause__ = exc
            self.feed_error_queues(error)
            self.call("error", deque([(error,)]))

    def on_defect(self, exc: BaseException) -> None:
        """Report an exception that was raised on this thread outside of a callback.

        :raises EToroError: after too many of them with no callback in between.
        """
        # The calls of error handlers below reset the count, but do not prove that others work.
        self._defects = defects = self._defects + 1
        with contextlib.suppress(BaseException):
            # Without this module's frame, as in _on_error().
            trace = exc.__traceback__
            forget_locals(exc.with_traceback(trace and trace.tb_next))
            error = EToroError(
                f"{type(exc).__name__} was raised in the thread of the callbacks, outside of them. "
                "They may have missed one event, and go on with the next."
            )
            error.__cause__ = exc
            if self._throttle.passes(("defect", type(exc))) is not None:
                log(logging.ERROR, "%s", error, exc_info=exc)
            self.feed_error_queues(error)
            self.call("error", deque([(error,)]))
        self._defects = defects
        if defects > _MOST_DEFECTS:
            raise EToroError(
                f"The callbacks cannot go on: {type(exc).__name__} was raised {defects} times in "
                "their thread, outside of them."
            ) from exc

    def feed_error_queues(self, error: BaseException) -> None:
        """Put an error of this thread into the queues of ``"error"``, which the reader feeds."""
        for queue in self._registry.listeners("error").queues:
            queue.feed([error])


def _identity(function: Callable[..., Any]) -> Hashable:
    """Return a key that identifies a callback, without hashing it, which may be user code."""
    if type(function) is MethodType:
        # Each access to a method makes a new object, so its id identifies nothing.
        return id(function.__self__), id(function.__func__)
    # With the name, because the id of a deleted function may be used again.
    return id(function), name_of(function)


def _refuse(result: Any) -> None:
    """Close a coroutine that a callback has returned.

    :raises TypeError: always.
    """
    result.close()
    raise TypeError("the callback returned a coroutine, which is not awaited")
