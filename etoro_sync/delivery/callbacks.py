"""Calling the callbacks, and reporting what they raise.

User code decides what happens here: it may raise anything, at any time, also outside of its call
(memory that is out, an exception that another thread sets off in this one). None of it ends the
thread that calls. What a callback raises costs no other one an event; what is raised outside of
callbacks costs one event at most, and is reported.
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

#: Errors outside of callbacks, one after the other without a callback in between, that are taken
#: for a mishap; the next one is not.
_MOST_DEFECTS = 100
_NEVER = float("inf")
#: Counts in a forked child. Asking for the process costs ten times as much as looking here.
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):  # elsewhere there is no fork
    os.register_at_fork(after_in_child=_count_fork)


class Ending:
    """How far the events of one session are still to be called out. Set by any thread."""

    __slots__ = ("abandoned", "stopping")

    def __init__(self) -> None:
        #: The session is over: no market event is called out any more.
        self.stopping = False
        #: Nobody waits for the callbacks any longer: nothing is called out any more.
        self.abandoned = False


class Callbacks:
    """Calls the callbacks of a client. Used by its dispatcher thread alone, but for the flags.

    :param registry: who listens.
    :param counters: what is counted.
    :param next_order: takes the next event that overtakes all others; None: there is none.
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
        self._gate = LogThrottle()
        self._defects = 0
        self._forks = _forks
        self._in_order = False
        #: An order has come. It overtakes all that waits, so it is looked at between any two calls.
        self.hurry = False
        #: Of the session whose events are called out.
        self.ending = Ending()
        #: What is being called.
        self.running: Callable[..., Any] | None = None

    @property
    def foreign(self) -> bool:
        """Whether this is a forked child of the owner."""
        return _forks != self._forks

    def call(self, event: str, calls: Calls, until: float = _NEVER) -> None:
        """Call the callbacks of one event, as often as it came.

        :param calls: the arguments of each time; taken off one by one, before they are called out.
            Those that are left are late, or their session is over.
        :param until: monotonic time after which no further call of a market event begins.
        """
        market, forks, clock, ending = event in MARKET_EVENTS, self._forks, self._clock, self.ending
        listeners = self._registry.listeners(event)
        called = 0
        try:
            while calls:
                # Not before the first for its time, or nothing would ever be called out.
                look = called > 0
                if self.hurry:
                    self.call_orders()
                    look = True  # their callbacks may have taken long
                if market and (ending.stopping or (look and clock() >= until)):
                    return
                arguments = calls.popleft()
                # Looked up anew each time: a callback may have added or removed another.
                handlers = listeners.handlers
                if listeners.handlers_by_id and arguments:
                    handlers = listeners.handlers_by_id.get(arguments[0], handlers)
                for handler in handlers:
                    if self.hurry:
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
        """Call the callbacks of the orders that have come, also between two of another event."""
        # In the midst of an order no other one is begun, or its callbacks would get them in turn.
        if self._in_order or self.ending.abandoned or self.foreign:
            return
        self._in_order = True
        try:
            while self.hurry:
                self.hurry = False
                try:
                    while (order := self._next_order()) is not None:
                        self.call(*order)
                except BaseException as exc:
                    # Here, too, or it would cost the event between whose callbacks this is.
                    if self.foreign:
                        raise
                    self.hurry = True
                    self.on_defect(exc)
        finally:
            self._in_order = False

    # -- trouble -------------------------------------------------------------------------------

    def _on_error(self, event: str, handler: Handler, exc: BaseException) -> None:
        self._counters.callback_errors += 1
        # Whatever user code has prepared for us outside of its call must not end this.
        with contextlib.suppress(BaseException):
            # Without the caller's frame: its locals are what the server sent, unredacted.
            trace = exc.__traceback__
            self._report(event, handler, exc.with_traceback(trace and trace.tb_next))

    def _report(self, event: str, handler: Handler, exc: BaseException) -> None:
        """Log and emit what a callback raised; a callback can end nothing."""
        quiet = self._gate.passes((_identity(handler.function), type(exc)))
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
        """Report what was raised outside of a callback.

        :raises EToroError: when there is one such error after the other, and no call in between.
        """
        # An error handler that is called for it is no sign that things are well.
        self._defects = defects = self._defects + 1
        with contextlib.suppress(BaseException):
            # As in _on_error.
            trace = exc.__traceback__
            forget_locals(exc.with_traceback(trace and trace.tb_next))
            error = EToroError(
                f"{type(exc).__name__} was raised in the thread of the callbacks, outside of them. "
                "They may have missed one event, and go on with the next."
            )
            error.__cause__ = exc
            if self._gate.passes(("defect", type(exc))) is not None:
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
        """Queues of errors are fed by the reader, but for what only this thread knows."""
        for queue in self._registry.listeners("error").queues:
            queue.feed([error])


def _identity(function: Callable[..., Any]) -> Hashable:
    """Return what tells a callback from all others; hashing it would be user code."""
    if type(function) is MethodType:
        # Each access to a method makes a new object, whose id soon is that of another one.
        return id(function.__self__), id(function.__func__)
    # With its name, as the id of one that is gone may be that of its successor.
    return id(function), name_of(function)


def _refuse(result: Any) -> None:
    """:raises TypeError: for a coroutine that a callback has returned."""
    result.close()
    raise TypeError("the callback returned a coroutine, which nobody awaits")
