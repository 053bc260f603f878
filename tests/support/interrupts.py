"""Ctrl-C at every place of a call at which CPython may raise KeyboardInterrupt, one at a time.

CPython looks for signals when a Python function begins and when a call has returned, before the
next instruction. It does not look between taking a lock of its own in a ``with`` statement and the
block. A profile function is called at just these places, and what it raises counts as raised there.
"""

from __future__ import annotations

import contextlib
import dis
import gc
import inspect
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

from etoro_sync import synchronization as monitor

__all__ = ["every_interrupt", "interrupted_in", "locks_held"]

#: Places seen before, one after the other, after which a call that blocks is taken for explored.
_NOTHING_NEW = 1000

Place = tuple[Any, ...]


def every_interrupt(call: Callable[[], object]) -> Iterator[tuple[str, BaseException | None]]:
    """Make *call* again and again, each time interrupted at the first place that was not yet.

    Yield, after each time, where that was and what came of it. The call may block: what it does
    between two slices of its wait is seen, too. It must do the same each time.
    """
    slice_, monitor._SLICE = monitor._SLICE, 0.001
    seen: set[Place] = set()
    try:
        while True:
            run = _Run(seen)
            outcome: list[BaseException | None] = [None]
            gc.disable()  # CPython drops what is raised in a finalizer
            sys.setprofile(run.look)
            try:
                call()
            except BaseException as error:
                outcome[0] = error
            finally:
                sys.setprofile(None)
                gc.enable()
            if run.where is None:
                return
            # Kept nowhere else: its traceback holds what the call has made.
            yield run.where, outcome.pop()
    finally:
        monitor._SLICE = slice_


@contextlib.contextmanager
def interrupted_in(function: str) -> Iterator[None]:
    """Send this process Ctrl-C once the main thread, which calls this, is in a function."""
    main, over = threading.get_ident(), threading.Event()

    def send() -> None:
        while not over.is_set():
            frame: FrameType | None = sys._current_frames()[main]
            while frame is not None and frame.f_code.co_name != function:
                frame = frame.f_back
            if frame is not None:
                signal.pthread_kill(main, signal.SIGINT)
                return

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()
        signal.signal(signal.SIGINT, before)


class _Run:
    """One call that is interrupted once."""

    def __init__(self, seen: set[Place]) -> None:
        self._seen = seen
        self._known = 0
        self.where: str | None = None

    def look(self, frame: FrameType, event: str, argument: object) -> None:
        if not _looks_for_signals(frame, event):
            return
        place: list[Any] = [event]
        names = []
        caller: FrameType | None = frame
        while caller is not None and caller.f_code.co_filename != __file__:
            place.append((caller.f_code, caller.f_lasti))
            names.append(f"{caller.f_code.co_name}:{caller.f_lineno}")
            caller = caller.f_back
        if _out_of_reach(place):
            return
        if tuple(place) not in self._seen:
            self._seen.add(tuple(place))
            self.where = f"{event} {argument or ''} in {' < '.join(names)}"
        else:
            self._known += 1
            if self._known < _NOTHING_NEW:
                return
        sys.setprofile(None)
        raise KeyboardInterrupt


def _looks_for_signals(frame: FrameType, event: str) -> bool:
    if event == "call":
        # What is raised here ends a generator of 3.10 without its finally; a signal does not.
        return not frame.f_code.co_flags & inspect.CO_GENERATOR
    if event != "return":
        return event == "c_return"
    # Not when an exception leaves the function, nor when no call instruction has called it.
    if not _instruction(frame).startswith("RETURN"):
        return False
    return frame.f_back is not None and _instruction(frame.f_back).startswith("CALL")


_instructions: dict[tuple[CodeType, int], str] = {}


def _instruction(frame: FrameType) -> str:
    key = frame.f_code, frame.f_lasti
    if key not in _instructions:
        _instructions[key] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    return _instructions[key]


def _out_of_reach(place: list[Any]) -> bool:
    """Whether it is for CPython alone to make such an interrupt harmless."""
    for code, _ in place[1:]:
        # Its wait for a new thread, and callbacks of weak references, whose exceptions it drops.
        if code.co_filename == threading.__file__ and code.co_name == "start":
            return True
        if code.co_name == "_remove" and "weakref" in code.co_filename:
            return True
    return False


def locks_held(root: object) -> int:
    """Count the re-entrant locks of *root*, and of what it is made of, that nobody gives back."""
    found: dict[int, Any] = {}
    waiting, known = [root], set()
    while waiting:
        one = waiting.pop()
        if id(one) in known:
            continue
        known.add(id(one))
        if isinstance(one, type(threading.RLock())):
            found[id(one)] = one
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif type(one).__module__.startswith("etoro_sync"):
            slots = [name for base in type(one).__mro__ for name in getattr(base, "__slots__", ())]
            waiting += [getattr(one, name) for name in slots if hasattr(one, name)]
            waiting += vars(one).values() if hasattr(one, "__dict__") else ()
    assert found
    held = []

    def take() -> None:
        for lock in found.values():
            if lock.acquire(timeout=1):
                lock.release()
            else:
                held.append(lock)

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return len(held)
