"""A source whose events a function of the user plays."""

import atexit
import contextlib
import itertools
import logging
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from .. import clocks
from ..delivery.dispatcher import Dispatcher
from ..delivery.event_queue import default_size, make_buffer, name_of_events
from ..delivery.publisher import Publisher
from ..delivery.queues import ItemQueue
from ..delivery.registry import Registry
from ..errors import EToroError, EToroWebSocketError
from ..lifecycle import DISCONNECTED, Lifecycle
from ..logs import log, tidy
from ..market.book_state import EMPTY
from ..market.feed_handler import FeedHandler
from ..market.merging import make_rate
from ..market.order_states import OrderStates
from ..market.rate_book import RateBook
from ..own_threads import READER
from ..state import ClientState
from ..stats import Counters
from ..synchronization import Interrupted, ProcessGuard, join_thread
from ..text import no_thread
from .feed import Feed
from .pace import Pace, PacedQueue

__all__ = ["PlayedSource"]

#: Seconds that ``disconnect()`` waits by default for the source's thread and the callbacks.
_CLOSE_TIMEOUT = 1.0
_ENDED = "The source has come to its end. Call connect() to play it again, and make a new queue."
_INTERRUPTED = "connect() was interrupted. Call it again."
_numbers = itertools.count(1)


class PlayedSource:
    """Calls a function on a thread of its own, once for each ``connect()``.

    :param play: called with a :class:`Feed`, to which it writes events until it returns.
    :param registry: the listeners.
    :param counters: the stream's.
    """

    conflate_after: float | None = None

    def __init__(self, play: Callable[[Any], None], registry: Registry, counters: Counters) -> None:
        self._play = play
        self._registry = registry
        self.counters = counters
        self.lifecycle = Lifecycle()
        self.book = RateBook()
        self.order_states = OrderStates()
        self.redact: Callable[[str], str] = str
        self.pace = self.make_pace()
        self.dispatcher = self.make_dispatcher()
        self.present: Run | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None

    # -- what a source that does not wait for its readers makes in another way -----------------

    def make_pace(self) -> Pace:
        """Return what decides when the source waits."""
        return Pace(self._registry)

    def make_dispatcher(self) -> Dispatcher:
        """Return what runs the callbacks, in all sessions."""
        return Dispatcher(
            f"etoro-sync-played-callbacks-{next(_numbers)}",
            self._registry,
            self.counters,
            0,
            in_order=True,
            on_progress=self.pace.changed,
        )

    def make_feed(
        self, number: int, handler: FeedHandler, out: Publisher, wait: Callable[..., None]
    ) -> Feed:
        """Return what the function of session *number* writes to.

        Each run begins with generation 1, so that all runs bring the same events.
        """
        self.book.restore(EMPTY, clocks.uptime())
        self.book.begin_generation(())
        return Feed(handler, self.book, out, self.counters, wait)

    @property
    def is_connected(self) -> bool:
        """Whether events can come now."""
        return self.lifecycle.state is ClientState.LIVE

    def listeners_changed(self) -> None:
        """Wake the source if it waits for a listener. Any thread."""
        self.pace.changed()

    def end_is_awaited(self) -> None:
        """Go on without listeners, because ``run_forever()`` waits for the end. Any thread."""
        self.pace.awaited = True
        self.pace.changed()

    def hold(self, use: object, topics: list[str], timeout: float | None) -> None:
        """Do nothing: a source that is played has no subscriptions, and readers filter."""

    def release(self, use: object) -> None:
        """Do nothing, as :meth:`hold`."""

    def brings(self, topic: str) -> bool:
        """Whether events of *topic* may come; nobody knows what is played."""
        return True

    def make_items(
        self,
        event: str | tuple[str, ...],
        maxsize: int | None,
        overflow: str | None,
        conflate_after: float | None,
        on_close: Callable[[ItemQueue], None],
    ) -> ItemQueue:
        """Return the items of a queue, which makes the source wait when it is full.

        With ``drop_oldest`` or ``drop_newest`` it drops items instead.
        """
        buffer = make_buffer(event, maxsize, overflow, conflate_after)
        if overflow in ("drop_oldest", "drop_newest"):
            return ItemQueue(name_of_events(event), buffer, on_close, self.lifecycle)
        most = default_size(event) if maxsize is None else int(maxsize)
        return PacedQueue(
            name_of_events(event),
            make_buffer(event, 0, overflow),
            most,
            self.pace,
            on_close,
            self.lifecycle,
        )

    # -- beginning and end ---------------------------------------------------------------------

    def connect(self, timeout: float | None) -> None:
        """Start to play. Any thread.

        :param timeout: seconds to wait at most for the end of an earlier run.
        :raises EToroWebSocketError: when it plays already, or no thread can be started.
        """
        self.lifecycle.own_threads.check("connect()", "Call it in another thread.")
        deadline = None if timeout is None else clocks.monotonic() + timeout
        begun: list[int] = []
        try:
            run = self._begin(begun, deadline)
            self.lifecycle.advance(run.number, ClientState.LIVE)
            run.start()
        except BaseException as exc:
            if begun:
                self._fail_to_begin(begun[0], exc)
            raise

    def _begin(self, begun: list[int], deadline: float | None) -> "Run":
        """Begin a session, whose number is appended to *begun* first, and make its run."""
        number = self.lifecycle.begin(begun, deadline)
        if number is None:
            raise EToroWebSocketError(
                f"This stream is {self.lifecycle.state.value} already. Call disconnect() first."
            )
        self.pace.reset()
        run = Run(number, self, self._play, self._registry)
        self.present = run
        if self._finalizer is not None:
            self._finalizer.detach()
        self._finalizer = weakref.finalize(self, run.abandon)
        self._finalizer.atexit = False
        return run

    def _fail_to_begin(self, number: int, exc: BaseException) -> None:
        error = exc if isinstance(exc, EToroError) else EToroWebSocketError(_INTERRUPTED)
        if isinstance(exc, RuntimeError):
            error = EToroWebSocketError(f"Cannot start the stream's threads: {no_thread(exc)}")
        self.lifecycle.failed(number, error, partial(self._registry.end_queues, str(error), error))
        if self.present is not None and self.present.number == number:
            self.present.stop()
        if isinstance(exc, RuntimeError):
            raise error from exc

    def disconnect(self, timeout: float | None) -> None:
        """Stop playing, and wait for the source's thread and the callbacks. Any thread.

        :param timeout: seconds to wait at most; None is one second.
        """
        number = self.lifecycle.session
        try:
            self._end(number, _CLOSE_TIMEOUT if timeout is None else timeout)
        except BaseException:
            # Ctrl-C: done again without waiting, so that nothing stays half ended.
            self._end(number, 0.0)
            raise

    def _end(self, number: int, timeout: float) -> None:
        if self.lifecycle.closing(number) != number:
            return
        run = self.present
        try:
            self.lifecycle.settle(number, partial(self._registry.end_queues, DISCONNECTED))
            if run is not None and run.number == number:
                run.close(timeout)
        finally:
            self.lifecycle.closed(number, self.book.clear)


class Run:
    """The two threads of one ``connect()``.

    It does not refer to the source, so that a stream which is not used any more is collected.

    :param number: the number of the session.
    :param source: the source; only its parts are kept.
    :param play: the user's function.
    :param registry: the listeners.
    """

    def __init__(
        self, number: int, source: PlayedSource, play: Callable[[Any], None], registry: Registry
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
                run.close(_CLOSE_TIMEOUT, "The end of the program")
