"""Checks that nothing is left behind and nothing hangs.

A thread or a descriptor that outlives its client is found at the test that leaks it, and a deadlock
shows the stacks of all threads instead of a test run that stands still.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

from .timing import MS

__all__ = [
    "Background",
    "Watchdog",
    "assert_no_new_descriptors",
    "assert_no_new_threads",
    "join_stragglers",
    "on_each_record",
    "open_descriptors",
    "run_in_thread",
]

T = TypeVar("T")

#: Linux, and what macOS and the BSDs have instead.
_DESCRIPTOR_DIRECTORIES = ("/proc/self/fd", "/dev/fd")


def join_stragglers(
    before: frozenset[threading.Thread] = frozenset(), prefix: str = "", grace: float = 1000 * MS
) -> list[str]:
    """Join threads that are on their way out, and return the names of those that stay.

    :param before: threads that may stay
    :param prefix: of the names that count
    :param grace: seconds for all of them together
    """
    deadline = time.monotonic() + grace
    staying = []
    for thread in threading.enumerate():
        if thread in before or thread is threading.current_thread():
            continue
        if not thread.name.startswith(prefix):
            continue
        # A thread that C code started has no end that could be waited for.
        with contextlib.suppress(RuntimeError, AssertionError):
            thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            staying.append(thread.name)
    return sorted(staying)


@contextlib.contextmanager
def assert_no_new_threads(grace: float = 1000 * MS) -> Iterator[None]:
    """Fail when the block leaves a thread that does not end within the grace."""
    before = frozenset(threading.enumerate())
    yield
    left = join_stragglers(before, grace=grace)
    assert not left, f"threads left behind: {left}"


@contextlib.contextmanager
def assert_no_new_descriptors() -> Iterator[None]:
    """Fail when the block leaves a descriptor open.

    The threads that the block started are joined first, for they may be about to close theirs; so
    may one that was there before, such as a server's, which has a second.
    Where the system has no list of descriptors, nothing is checked.
    """
    threads = frozenset(threading.enumerate())
    before = open_descriptors()
    yield
    join_stragglers(threads)
    deadline = time.monotonic() + 1000 * MS
    while left := {n: what for n, what in open_descriptors().items() if before.get(n) != what}:
        if time.monotonic() > deadline:
            break
        time.sleep(1 * MS)
    assert not left, f"descriptors left open: {left}"


def open_descriptors() -> dict[int, str]:
    """Return the open descriptors, each with what it refers to where the system tells."""
    directory = next((name for name in _DESCRIPTOR_DIRECTORIES if os.path.isdir(name)), None)
    found = {}
    for name in os.listdir(directory) if directory else ():
        # The descriptor that the listing itself uses is gone by now.
        with contextlib.suppress(OSError):
            os.fstat(int(name))
            found[int(name)] = _target(f"{directory}/{name}")
    return found


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        # Not a link, as in /dev/fd: the number alone has to do.
        return "open"


class Watchdog:
    """A block that must end in time.

    A block that is late prints the stacks of all threads while it still hangs; when it ends after
    all, it fails. One that never ends is the business of the test's own timeout.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._started = 0.0
        self._timer = threading.Timer(seconds, self._dump)
        self._timer.name = "watchdog"
        self._timer.daemon = True

    def __enter__(self) -> Watchdog:
        self._started = time.monotonic()
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        elapsed = time.monotonic() - self._started
        self._timer.cancel()
        self._timer.join()
        # An error of the block says more than its being late.
        if error is None and elapsed > self._seconds:
            raise AssertionError(f"the block took {elapsed:.3f} s of {self._seconds:.3f} s")

    def _dump(self) -> None:
        print(f"still running after {self._seconds:.3f} s:", file=sys.__stderr__, flush=True)
        # faulthandler needs a real descriptor, which a captured sys.stderr does not have.
        faulthandler.dump_traceback(file=sys.__stderr__ or 2, all_threads=True)


class Background(Generic[T]):
    """A function that runs in a thread of its own, and its outcome."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._value: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="test-background", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value.append(self._function())
        except BaseException as error:
            self._error = error

    def done(self) -> bool:
        """Whether the function has ended."""
        return not self._thread.is_alive()

    def wait(self, timeout: float = 5000 * MS) -> None:
        """Block until the function has ended.

        :raises TimeoutError: it still runs
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"the function still runs after {timeout} s")

    def result(self, timeout: float = 5000 * MS) -> T:
        """Return what the function returned, or raise what it raised.

        :raises TimeoutError: it still runs
        """
        self.wait(timeout)
        if self._error is not None:
            raise self._error
        return self._value[0]

    def exception(self, timeout: float = 5000 * MS) -> BaseException | None:
        """Return what the function raised, or None.

        :raises TimeoutError: it still runs
        """
        self.wait(timeout)
        return self._error


def run_in_thread(function: Callable[[], T]) -> Background[T]:
    """Start a function in a thread of its own."""
    return Background(function)


@contextlib.contextmanager
def on_each_record(function: Callable[[], T]) -> Iterator[list[T]]:
    """Let a log handler wait for *function* in another thread, each time the library logs.

    :returns: what the function has returned each time
    :raises TimeoutError: it waited for a lock that was held while the handler ran
    """
    outcomes: list[T] = []
    late: list[TimeoutError] = []

    class Waits(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                outcomes.append(run_in_thread(function).result())
            except TimeoutError as error:
                late.append(error)  # the library drops what a handler raises

    handler = Waits()
    logger = logging.getLogger("etoro_sync")
    logger.addHandler(handler)
    try:
        yield outcomes
    finally:
        logger.removeHandler(handler)
    if late:
        raise late[0]
