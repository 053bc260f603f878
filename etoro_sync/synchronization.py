"""How threads wait for each other.

:class:`Monitor` does what ``threading.Condition`` does, and Ctrl-C cannot break it. A Condition is
written in Python, so KeyboardInterrupt may be raised in the middle of it. If that is between taking
its lock and entering the ``with`` block, the lock is never released, and the reader thread waits
for it for ever: this happens to one of six users who interrupt a notebook cell that reads a busy
queue. If it is while the Condition releases its lock to wait, "RuntimeError: cannot release
un-acquired lock" takes the place of the KeyboardInterrupt.
"""

import contextlib
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from . import clocks
from .errors import EToroClosedError

__all__ = ["Bell", "Interrupted", "Monitor", "ProcessGuard", "join_thread", "renew_lock_in_child"]

#: On Windows, Ctrl-C does not end a wait for a lock without a timeout; and on any system, a Ctrl-C
#: that comes just before a wait is noticed only when the wait ends. So waits are cut into slices of
#: this many seconds.
_SLICE = 1.0
#: Seconds between two looks at a thread that is to end.
_SHORTEST, _LONGEST = 0.0002, 0.01


class Monitor:
    """A lock, and a way to wait for a change of what it guards.

    Take the lock by ``with monitor.lock`` only: CPython handles no signal between taking a built-in
    lock and entering the block, nor between leaving the block and releasing it. That is why this
    class has no ``__enter__`` of its own. Threads do not hold the lock while they wait.
    """

    __slots__ = ("_bells", "lock")

    def __init__(self) -> None:
        #: Re-entrant, because the garbage collector may run a finalizer that takes it, too.
        self.lock = threading.RLock()
        # One locked lock for each waiting thread, which waits until it is released. Guarded by the
        # lock above.
        self._bells: list[threading.Lock] = []

    def changed(self) -> None:
        """Wake all waiting threads, so that they check again. The caller holds the lock."""
        bells = self._bells
        while bells:
            bells.pop().release()

    def wait(self, ready: Callable[[], bool], deadline: float | None) -> bool:
        """Block until *ready* returns True; return False once *deadline* has passed. Any thread.

        Time for which the process stood still does not count, because the thread that makes *ready*
        true stood still, too.

        :param ready: called with the lock held, at first and after each change.
        :param deadline: in monotonic seconds; None is no limit.
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
                # If Ctrl-C leaves it on the list, the next change removes it.
                bell = threading.Lock()
                bell.acquire()
                self._bells.append(bell)
            if bell.acquire(timeout=left):
                bell = None  # changed() has released it, and taken it off the list
            if deadline is not None:
                deadline = clocks.put_off(deadline, now + left, clocks.monotonic())

    def _take_off(self, bell: threading.Lock) -> None:
        try:
            self._bells.remove(bell)
        except ValueError:
            pass  # changed() was quicker


def join_thread(thread: threading.Thread, timeout: float) -> bool:
    """Wait until a started thread has ended; return False if it takes longer than *timeout*.

    Ctrl-C ends the wait.

    :param timeout: seconds.
    """
    deadline = clocks.monotonic() + timeout
    bell, pause = threading.Lock(), _SHORTEST
    bell.acquire()
    while thread.is_alive():
        left = deadline - clocks.monotonic()
        if left <= 0:
            return False
        # Not join(): after a Ctrl-C in it, CPython up to 3.12 takes a thread that runs for one that
        # has ended, and whoever closes what the thread writes would not wait for it.
        bell.acquire(timeout=min(left, pause))
        pause = min(pause * 1.5, _LONGEST)
    return True


class Interrupted(Exception):
    """Raised on a source's thread, to leave whatever it is doing: the stream is to stop."""


class ProcessGuard:
    """Remembers the process that an object belongs to. ``fork()`` copies objects but no threads."""

    __slots__ = ("_pid",)

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def foreign(self) -> bool:
        """Whether this is a forked child, in which the object cannot work."""
        return os.getpid() != self._pid

    def check(self) -> None:
        """Refuse to go on in a forked child, where locks may be held by threads that are gone.

        :raises EToroClosedError: there.
        """
        if os.getpid() != self._pid:
            raise EToroClosedError(
                f"This was made in process {self._pid}, and fork() does not copy its threads. Make "
                "a new client or stream in this process."
            )


#: What has a ``_lock`` that is to be free in a forked child.
_owners: weakref.WeakSet[Any] = weakref.WeakSet()


def renew_lock_in_child(owner: Any) -> None:
    """Give *owner* a new ``_lock`` in each forked child, so that it can be used there, too.

    In the parent, another thread may hold the lock at that moment, and the child does not have that
    thread. What the lock guards must be of use after any step of its changes.
    """
    _owners.add(owner)


def _renew_locks() -> None:
    for owner in list(_owners):
        owner._lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # elsewhere there is no fork
    os.register_at_fork(after_in_child=_renew_locks)


class Bell:
    """Lets other threads wake one waiting thread, at a third of the cost of a Condition.

    No call of :meth:`ring` is lost: if the thread does not wait, its next :meth:`wait` returns at
    once. The lock is a binary semaphore, locked until :meth:`ring`; it guards nothing.
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
        """Block until :meth:`ring` was called since the last wait.

        Only one thread may wait, and not the main one: on Windows Ctrl-C does not end this wait.
        """
        self._lock.acquire()
