"""What threads wait with, and how they learn that it is over.

:class:`Monitor` is a lock, and waiting for a change of what it guards, that Ctrl-C cannot break.
``threading.Condition`` is written in Python, so KeyboardInterrupt may be raised in the middle of
it: between taking its lock and the ``with`` block, and the lock is held for ever, with the reader
thread behind it; or between releasing it to wait and being ready to take it again, and the end is
"RuntimeError: cannot release un-acquired lock" in place of the KeyboardInterrupt. A user who
interrupts a notebook cell that reads a busy queue meets the former in one of six cases.
"""

import contextlib
import os
import threading
from collections.abc import Callable

from . import clocks
from .errors import EToroClosedError

__all__ = ["Bell", "Interrupted", "Monitor", "ProcessGuard", "join_thread"]

#: A wait on a lock without a timeout cannot be interrupted by Ctrl-C on Windows; and anywhere a
#: Ctrl-C that comes just before a wait is only seen when the wait ends. So all waits are cut into
#: slices of this many seconds.
_SLICE = 1.0


class Monitor:
    """A lock that is held by ``with monitor.lock`` alone, and the threads that wait for a change.

    CPython does not look for signals between taking a lock of its own and the ``with`` block, nor
    between the block and the release. So this class has no ``__enter__``, which it might; and a
    thread that waits does not hold the lock.
    """

    __slots__ = ("_bells", "lock")

    def __init__(self) -> None:
        #: Re-entrant, because the garbage collector may run a finalizer that wants it, too.
        self.lock = threading.RLock()
        # One locked lock for each thread that waits. Guarded by the lock.
        self._bells: list[threading.Lock] = []

    def changed(self) -> None:
        """Let all who wait look again; the caller holds the lock."""
        bells = self._bells
        while bells:
            bells.pop().release()

    def wait(self, ready: Callable[[], bool], deadline: float | None) -> bool:
        """Block until *ready* returns True; False: *deadline* has passed. Any thread.

        Time for which the process stood still does not count, since the thread that is waited for
        has stood still, too.

        :param ready: called with the lock held, at first and after each change.
        :param deadline: absolute monotonic time; None is without limit.
        """
        bell: threading.Lock | None = None
        while True:
            with self.lock:
                if bell is not None:
                    self._take_off(bell)
                if ready():
                    return True
                now = clocks.monotonic()
                left = _SLICE if deadline is None else min(deadline - now, _SLICE)
                if left <= 0:
                    return False
                # What Ctrl-C leaves on the list goes away with the next change.
                bell = threading.Lock()
                bell.acquire()
                self._bells.append(bell)
            if bell.acquire(timeout=left):
                bell = None  # rung, and off the list
            if deadline is not None:
                deadline = clocks.put_off(deadline, now + left, clocks.monotonic())

    def _take_off(self, bell: threading.Lock) -> None:
        try:
            self._bells.remove(bell)
        except ValueError:
            pass  # rung just now


def join_thread(thread: threading.Thread, timeout: float) -> bool:
    """Wait for the end of a thread that was started; False: it takes longer. Ctrl-C ends the wait.

    :param timeout: seconds.
    """
    deadline = clocks.monotonic() + timeout
    while thread.is_alive():
        left = deadline - clocks.monotonic()
        if left <= 0:
            return False
        thread.join(min(left, _SLICE))
    return True


class Interrupted(Exception):
    """Leaves whatever the reader thread is at: the client is to stop."""


class ProcessGuard:
    """Knows the process that an object belongs to: after ``fork()`` its threads are elsewhere."""

    __slots__ = ("_pid",)

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def foreign(self) -> bool:
        """Whether this is a forked child of the owner."""
        return os.getpid() != self._pid

    def check(self) -> None:
        """:raises EToroClosedError: in a forked child, before any lock is touched."""
        if os.getpid() != self._pid:
            raise EToroClosedError(
                f"This client belongs to process {self._pid}, and its threads were not copied by "
                "fork(). Make a new client in this process."
            )


class Bell:
    """Wakes the one thread that waits for it, at a third of what a condition costs.

    A ring is never lost: when nobody waits, the next :meth:`wait` returns at once. The lock is a
    binary semaphore, locked until somebody rings; it guards nothing.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the waiting thread. Any thread."""
        if self._lock.locked():
            with contextlib.suppress(RuntimeError):  # another thread was quicker
                self._lock.release()

    def wait(self) -> None:
        """Return once it has rung since the last time. One thread, and not the main one: on
        Windows Ctrl-C does not end this wait.
        """
        self._lock.acquire()
