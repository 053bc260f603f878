"""One run of a source that a function plays: its two threads, from their beginning to the end."""

import atexit
import contextlib
import itertools
import logging
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from .. import clocks
from ..delivery.dispatcher import Dispatcher
from ..delivery.publisher import Publisher
from ..delivery.registry import Registry
from ..errors import EToroError
from ..lifecycle import Lifecycle
from ..logs import log, tidy
from ..market.feed_handler import FeedHandler
from ..market.merging import make_rate
from ..market.order_states import OrderStates
from ..market.rate_book import RateBook
from ..own_threads import READER
from ..stats import Counters
from ..synchronization import Interrupted, ProcessGuard, join_thread
from .pace import Pace

__all__ = ["CLOSE_TIMEOUT", "Run"]

#: Seconds that ``disconnect()`` waits by default for the source's thread and the callbacks.
CLOSE_TIMEOUT = 1.0
_ENDED = "The source has come to its end. Call connect() to play it again, and make a new queue."
_numbers = itertools.count(1)


class Played(Protocol):
    """The parts of a source that a session uses."""

    lifecycle: Lifecycle
    pace: Pace
    dispatcher: Dispatcher
    book: RateBook
    counters: Counters
    order_states: OrderStates

    def make_feed(
        self, number: int, handler: FeedHandler, out: Publisher, wait: Callable[..., None]
    ) -> Any:
        """Return what the function of a session writes to."""


class Run:
    """The two threads of one ``connect()``.

    It does not refer to the source, so that a stream which is not used any more is collected.

    :param number: the number of the session.
    :param source: the source; only its parts are kept.
    :param play: the user's function.
    :param registry: the listeners.
    """

    def __init__(
        self, number: int, source: Played, play: Callable[[Any], None], registry: Registry
    ) -> None:
        self.number = number
        self._play = play
        self._registry = registry
        self._lifecycle = source.lifecycle
        self._pace = source.pace
        self._guard = ProcessGuard()
        self._stopping = self._abandoned = False
        self._dispatcher = source.dispatcher
        self._dispatcher.open(number, self._on_callbacks_failed)
        self._out = Publisher(registry, self._dispatcher, make_rate, number)
        self._handler = FeedHandler(
            source.book,
            registry,
            self._out,
            source.counters,
            redact=str,
            order_states=source.order_states,
        )
        self._feed = source.make_feed(number, self._handler, self._out, self._wait)
        name = f"etoro-sync-played-{next(_numbers)}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        _runs.add(self)

    def start(self) -> None:
        """Start both threads.

        :raises RuntimeError: when the system cannot start another thread.
        """
        self._dispatcher.start(self.number)
        self._thread.start()

    def stop(self) -> None:
        """Ask both threads to end, without waiting. Any thread, also in a finalizer."""
        if not self._guard.foreign:
            # over: if the thread hangs in a log handler, it must not change the next run's prices.
            self._stopping = self._handler.over = True
            self._pace.interrupt()
            self._dispatcher.stop(self.number)

    def abandon(self) -> None:
        """End, because nothing refers to the stream any more. The garbage collector calls this."""
        if not self._guard.foreign:
            self._abandoned = True
            self.stop()

    def close(self, timeout: float, caller: str = "disconnect()") -> None:
        """End both threads, and wait until they have ended. Any thread.

        :param timeout: seconds to wait at most.
        :param caller: the name of the call that waits, for the log.
        """
        deadline = clocks.monotonic() + timeout
        self.stop()
        if threading.current_thread() is not self._thread:
            join_thread(self._thread, timeout)
        self._dispatcher.join(self.number, max(deadline - clocks.monotonic(), 0.0), caller)

    # -- the source's thread ---------------------------------------------------------------------

    def _wait(self, seconds: float | None) -> None:
        if seconds is not None:
            self._pace.sleep(seconds, lambda: self._stopping)
        self._pace.wait_for_room(self._dispatcher, lambda: self._stopping)

    def _work(self) -> None:
        error: EToroError | None = None
        with self._lifecycle.own_threads.working(READER):
            try:
                self._play(self._feed)
            except Interrupted:
                pass
            except EToroError as exc:
                error = exc
            except BaseException as exc:
                error = _what_it_raised(exc)
            finally:
                self._finish(error)

    def _finish(self, error: EToroError | None) -> None:
        """End the session once all callbacks were called.

        Each step is taken even if another raises: a stream that has ended must not look alive.
        """
        if error is not None:
            tidy(partial(self._out.error, error))
        tidy(
            self._finish_events,
            partial(self._pace.wait_until_idle, self._dispatcher, lambda: self._stopping),
            partial(self._end, error),
            partial(self._dispatcher.stop, self.number),
        )
        if self._abandoned and self._registry.has_callbacks:
            log(
                logging.WARNING,
                "A stream that was played is closed, because nothing refers to it any more; its "
                "callbacks are not called any more. Keep a reference to it as long as you need it, "
                "or use it in a with block.",
            )

    def _finish_events(self) -> None:
        if not self._stopping:
            self._registry.finish_taps()

    def _end(self, error: EToroError | None) -> None:
        """Set the final state and end the queues, unless the user did. Either thread."""
        if self._stopping:
            return
        if error is None:
            ended = partial(self._registry.end_queues, _ENDED)
            self._lifecycle.closed(self.number, ended)
            return
        end_queues = partial(self._registry.end_queues, str(error), error)
        logging_it = partial(log, logging.ERROR, "The stream ended: %s", error)
        self._lifecycle.failed(self.number, error, end_queues, logging_it)

    def _on_callbacks_failed(self, error: EToroError) -> None:
        """End the stream, which would wait for the callbacks for ever. Dispatcher thread."""
        self._end(error)
        self.stop()


def _what_it_raised(exc: BaseException) -> EToroError:
    """Return the error that ends the stream when the user's function has raised *exc*."""
    # str() of it is user code, and may raise, too.
    try:
        text = f": {exc!s:.200}"
    except Exception:
        text = ""
    error = EToroError(f"The source raised {type(exc).__name__}{text}")
    error.__cause__ = exc
    return error


_runs: "weakref.WeakSet[Run]" = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """End all runs at the end of the program: daemon threads may crash the interpreter then."""
    with contextlib.suppress(RuntimeError):
        for run in list(_runs):
            with contextlib.suppress(Exception):
                run.close(CLOSE_TIMEOUT, "The end of the program")
