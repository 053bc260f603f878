"""Loops and waits over a stream: what ``stream()`` and ``expect()`` return."""

import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ..collecting import when_collected
from ..delivery.queues import ItemQueue
from ..errors import EToroClosedError, EToroError, EToroQueueOverflowError, EToroTimeoutError
from ..state import ClientState
from ..synchronization import ProcessGuard
from .core import StreamCore
from .countdown import Countdown
from .source import Source

__all__ = ["Expectation", "RateStream", "wait_for"]

Item = TypeVar("Item")

if TYPE_CHECKING:
    import typing_extensions

    # With a default, for annotations that name the class alone.
    Awaited = typing_extensions.TypeVar("Awaited", covariant=True, default=Any)
else:
    Awaited = TypeVar("Awaited", covariant=True)


class RateStream(Iterator[Item], Generic[Item]):
    """Yields ``(instrument_id, rate)``. Made by :meth:`~etoro_sync.MarketStream.stream`.

    The first ``next()`` subscribes. Several threads may share it; each rate goes to one of them,
    and an error that ends it to all. It ends when the client is closed, by :meth:`close` from any
    thread, or when it is no longer referenced. Then topics that have no other use are unsubscribed.

    The lock guards that the subscription is made once.

    :param core: of the stream.
    :param ids: of the instruments.
    :param maxsize: as :meth:`~etoro_sync.MarketStream.queue`.
    :param overflow: as there.
    :param timeout: seconds for the subscription.
    :param item_timeout: seconds that each step waits at most.
    """

    def __init__(
        self,
        core: StreamCore,
        ids: tuple[int, ...],
        maxsize: int | None,
        overflow: str | None,
        timeout: float | None,
        item_timeout: float | None,
    ) -> None:
        self._core = core
        self._ids = ids
        self._timeout = timeout
        self._item_timeout = item_timeout
        # Another policy is a request for each rate.
        after = core.source.conflate_after if overflow in (None, "conflate") else None
        self._rates = core.new_queue("instrument:rate", maxsize, overflow, after)
        self._lock = threading.Lock()
        self._begun = self._over = False
        self._use = object()
        # They know the user's callbacks, which may know this object.
        knowing = weakref.ref(core.source), weakref.ref(self._rates)
        self._finalizer = weakref.finalize(self, _leave, core.guard, self._use, *knowing)
        self._finalizer.atexit = False

    def __next__(self) -> Item:
        try:
            if self._over and not self._rates.has_failed:
                raise StopIteration
            if not self._begun:
                # Before the lock: in a forked child it may be held by a thread that is gone.
                self._core.guard.check()
                with self._lock:
                    if not self._begun:
                        self._begin()
                if self._over and not self._rates.has_failed:
                    raise StopIteration
            return self._next_rate()
        except EToroQueueOverflowError:
            raise  # the next rate is to be had all the same
        except BaseException as exc:
            if isinstance(exc, EToroError) and not self._core.guard.foreign:
                # For all threads that share the loop: to them it must not seem to end.
                self._rates.end(str(exc), exc)
            # Also Ctrl-C, which leaves the loop.
            self.close()
            raise

    def _next_rate(self) -> Item:
        try:
            return cast(Item, self._rates.get(timeout=self._item_timeout))
        except queue.Empty:
            return cast(Item, None)
        except EToroClosedError:
            if self._rates.has_failed:
                raise
            raise StopIteration from None

    def _begin(self) -> None:
        """Subscribe. Other threads may wait for rates meanwhile."""
        self._begun = True
        core = self._core
        core.feed(self._rates, self._ids)
        # Not before: a disconnect() in between would find no queue to end.
        core.check_connected()
        topics = [f"instrument:{instrument_id}" for instrument_id in self._ids]
        try:
            core.source.hold(self._use, topics, self._timeout)
        except EToroError as exc:
            # Closed by the user while subscribing: the loop ends, as it does later on.
            closed = isinstance(exc, EToroClosedError) and core.state is not ClientState.FAILED
            if core.guard.foreign or not (closed or self._over):
                raise
            self.close()
        if self._over:
            # Closed by another thread meanwhile, which could not undo what was not done yet.
            core.source.release(self._use)

    def close(self) -> None:
        """End the loop, also in threads that wait, and unsubscribe. Any thread; idempotent."""
        self._over = True
        self._rates.close()
        self._finalizer()

    def __enter__(self) -> "RateStream[Item]":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RateStream of {len(self._ids)} instruments, {self._rates.qsize()} rates waiting>"


def _leave(
    guard: ProcessGuard,
    use: object,
    source: "weakref.ref[Source]",
    rates: "weakref.ref[ItemQueue]",
) -> None:
    """End a stream's use of its topics. The garbage collector may call."""
    here, items = source(), rates()
    if guard.foreign:
        return
    if items is not None:
        items.abandon()
    if here is not None:
        here.release(use)


class Expectation(Generic[Awaited]):
    """Listens from the beginning of a ``with`` block, and waits at its end.

    Made by :meth:`~etoro_sync.MarketStream.expect`.

    :param core: of the stream.
    :param event: a known one.
    :param predicate: called with the event's arguments, on the waiting thread; None: any will do.
    :param timeout: seconds to wait at most; None is no limit.
    :param call: what users call it, for errors.
    """

    def __init__(
        self,
        core: StreamCore,
        event: str,
        predicate: Callable[..., bool] | None,
        timeout: float | None,
        call: str = "expect()",
    ) -> None:
        self._core = core
        self._event = event
        self._predicate = predicate
        self._timeout = timeout
        self._call = call
        self._items = core.new_queue(event)
        self._found: list[Awaited] = []
        self._begun = False
        # Also where Ctrl-C comes before the block.
        self._finalizer = when_collected(self, self._items.abandon)

    def __enter__(self) -> "Expectation[Awaited]":
        self._core.guard.check()
        self._core.lifecycle.own_threads.check(self._call, "Call it in another thread.")
        if self._begun:
            raise EToroError(f"{self._call} is for one with block. Call it again for the next.")
        self._begun = True
        self._core.feed(self._items, None)
        try:
            # Not before: a disconnect() in between would find no queue to end.
            self._core.check_connected()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None and not self._found:
                self.wait()
        finally:
            self._close()

    def _close(self) -> None:
        self._items.close()
        # Detached, because a Ctrl-C that comes while a finalizer runs is lost.
        self._finalizer.detach()

    @property
    def value(self) -> Awaited:
        """What came, as a queue would return it; known behind the block, or after :meth:`wait`.

        :raises EToroError: before that.
        """
        if not self._found:
            raise EToroError(
                f"No {self._event!r} has come yet. Look at value behind the with block, or call "
                "wait() in it."
            )
        return self._found[0]

    def wait(self) -> Awaited:
        """Block until the event comes, and return it; in the block, where it is needed there.

        :raises EToroTimeoutError: when no such event came in time.
        :raises EToroClosedError: when the client was closed.
        :raises EToroError: what ended the client, when it failed.
        """
        if not self._begun:  # nothing would ever come
            raise EToroError(f"{self._call} listens from the beginning of its with block only.")
        countdown = Countdown(self._items, self._timeout)
        while not self._found:
            try:
                item = countdown.get()
            except queue.Empty:
                raise EToroTimeoutError(
                    f"No matching {self._event!r} came within {self._timeout:g} s; the stream is "
                    f"{self._core.state.value}."
                ) from None
            arguments = item if isinstance(item, tuple) else (item,)
            if self._predicate is None or self._predicate(*arguments):
                self._found.append(item)
        return self._found[0]


def wait_for(
    core: StreamCore, event: str, predicate: Callable[..., bool] | None, timeout: float | None
) -> Any:
    """Wait for an event; as the client's method, with checked arguments."""
    with Expectation(core, event, predicate, timeout, "wait_for()") as expected:
        return expected.wait()
