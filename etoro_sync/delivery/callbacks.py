"""Calling the callbacks, and reporting what they raise.

User code decides what happens here: it may raise anything, at any time, also outside of its call
(memory that is out, an exception that another thread sets off in this one). None of it may end the
thread that calls, or cost another callback an event.
"""

import contextlib
import inspect
import logging
import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import chain
from types import MethodType
from typing import Any

from .. import clocks
from ..errors import EToroError, forget_locals
from ..events import MARKET_EVENTS
from ..logs import log, name_of
from ..stats import Counters
from ..text import repeated
from ..throttle import LogThrottle
from .buffers import Run
from .registry import Handler, Registry

__all__ = ["Callbacks"]

#: Errors outside of callbacks, one after the other without a callback in between, that are taken
#: for a mishap; the next one is not.
_MOST_DEFECTS = 100
_NEVER = float("inf")
_Arguments = tuple[Any, ...]
#: Counts in a forked child. Asking for the process costs ten times as much as looking here.
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):  # elsewhere there is no fork
    os.register_at_fork(after_in_child=_count_fork)


class Callbacks:
    """Calls the callbacks of one session. Used by its dispatcher thread alone, but for the flags.

    :param registry: who listens.
    :param counters: what is counted.
    :param next_order: puts the next event that overtakes all others into a list; False: there is
        none.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        registry: Registry,
        counters: Counters,
        next_order: Callable[[list[Run]], bool] = lambda hand: False,
        clock: Callable[[], float] = clocks.monotonic,
    ) -> None:
        self._registry = registry
        self._counters = counters
        self._next_order = next_order
        self._clock = clock
        self._gate = LogThrottle()
        self._defects = 0
        # What an error has left untold: calls, and who is still to hear of the first of them (None:
        # everybody who listens).
        self._untold: tuple[Iterator[_Arguments], tuple[Handler, ...] | None] | None = None
        self._forks = _forks
        # The order whose callbacks are being called, if any.
        self._order: list[Run] = []
        self._in_order = False
        #: An order has come. It overtakes all that waits, so it is looked at between any two calls.
        self.hurry = False
        #: The session is over: market events are not told any more.
        self.stopping = False
        #: Nobody waits for the callbacks any longer: nothing is told any more.
        self.abandoned = False
        #: What is being called.
        self.running: Callable[..., Any] | None = None

    @property
    def foreign(self) -> bool:
        """Whether this is a forked child of the owner."""
        return _forks != self._forks

    @property
    def hopeless(self) -> bool:
        """Whether errors outside of callbacks do not come to an end."""
        return self._defects > _MOST_DEFECTS

    def tell(
        self, event: str, calls: Iterable[_Arguments], until: float = _NEVER
    ) -> Iterator[_Arguments]:
        """Call the callbacks of one event, as often as it came.

        :param until: monotonic time after which no further call of a market event begins.
        :returns: what was left because of that, or because the session is over.
        :raises EToroError: when it is :attr:`hopeless`.
        """
        rest: tuple[Handler, ...] | None = None
        while True:
            try:
                return self._go_on(event, calls, rest, until)
            except BaseException as exc:
                if self.foreign:
                    raise
                if self._untold is not None:
                    (calls, rest), self._untold = self._untold, None
                self.on_defect(exc, event)

    def _go_on(
        self,
        event: str,
        calls: Iterable[_Arguments],
        rest: tuple[Handler, ...] | None,
        until: float,
    ) -> Iterator[_Arguments]:
        market, forks, clock = event in MARKET_EVENTS, self._forks, self._clock
        listeners = self._registry.listeners(event)
        left, called = iter(calls), 0
        arguments: _Arguments | None = None
        handlers: tuple[Handler, ...] = ()
        told: Handler | None = None
        try:
            for arguments in left:
                told = None
                # Not before the first for its time, or nothing would ever be told.
                look = called > 0
                if self.hurry:
                    self.tell_orders()
                    # Their callbacks may have taken long. But what some have heard all must hear.
                    look = rest is None
                if market and (self.stopping or (look and clock() >= until)):
                    return chain((arguments,), left)
                # Looked up anew each time: a callback may have added or removed another.
                handlers = listeners.handlers if rest is None else rest
                if rest is None and listeners.handlers_by_id and arguments:
                    handlers = listeners.handlers_by_id.get(arguments[0], handlers)
                for handler in handlers:
                    if self.hurry and told is not None:
                        self.tell_orders()
                    if handler.spent or self.abandoned or _forks != forks:
                        continue
                    if handler.once:
                        rest = handlers  # should this fail, it is not found there any more
                        self._registry.discard(event, handler)
                        handler.spent = True
                    self.running = handler.function
                    called += 1
                    told, self._defects = handler, 0
                    try:
                        result = handler.function(*arguments)
                        if result is not None and inspect.iscoroutine(result):
                            _refuse(result)
                    except BaseException as exc:
                        if _forks != forks:
                            raise
                        self._on_error(event, handler, exc)
                rest = None
            return iter(())
        except BaseException:
            rest = rest if told is None else handlers[handlers.index(told) + 1 :]
            self._untold = (left if arguments is None else chain((arguments,), left), rest)
            raise
        finally:
            self.running = None
            self._counters.callbacks += called

    def tell_orders(self) -> None:
        """Call the callbacks of the orders that have come, also between two of another event."""
        # In the midst of an order no other one is begun, or its callbacks would get them in turn.
        if self._in_order or self.abandoned or self.foreign:
            return
        hand, self.hurry, self._in_order = self._order, False, True
        try:
            while hand or self._next_order(hand):
                event, calls = hand[0]
                # So that an error just behind a call finds nothing to be called out again.
                calls = iter(calls)
                hand[0] = event, calls
                self.tell(event, calls)
                hand.clear()  # not before, or an error in between would lose it
        except BaseException:
            self.hurry = True
            raise
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
            self.tell("error", [(error,)])

    def on_defect(self, exc: BaseException, event: str = "") -> None:
        """Report what was raised outside of a callback.

        :param event: that was being told; in the telling of ``"error"`` it is only logged.
        :raises EToroError: when it is :attr:`hopeless`.
        """
        # An error handler that hears of it shows nothing: it is no way out.
        self._defects = defects = self._defects + 1
        with contextlib.suppress(BaseException):
            # As in _on_error.
            trace = exc.__traceback__
            forget_locals(exc.with_traceback(trace and trace.tb_next))
            error = EToroError(
                f"{type(exc).__name__} was raised in the thread of the callbacks, outside of them. "
                "The callbacks go on, and get what they would have got."
            )
            error.__cause__ = exc
            if self._gate.passes(("defect", type(exc))) is not None:
                log(logging.ERROR, "%s", error, exc_info=exc)
            if event != "error":
                self.feed_error_queues(error)
                self.tell("error", [(error,)])
        self._defects = defects
        if self.hopeless:
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
