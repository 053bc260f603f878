"""Writing to the log without ever being ended by it.

A filter or a handler that raises is user code; it must not end the thread that reports a trouble.
"""

import logging
import threading
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

__all__ = ["log", "name_of", "plain_name_of", "tidy"]

_logger = logging.getLogger("etoro_sync")


def log(level: int, message: str, *arguments: Any, exc_info: BaseException | None = None) -> None:
    """Write one record to the logger ``etoro_sync``; whatever its handlers raise is dropped."""
    try:
        # The caller's file and line, not these here, which would be the same for all records.
        _logger.log(level, message, *arguments, exc_info=exc_info, stacklevel=2)
    except Exception:
        pass
    except BaseException:
        # The main thread's may be Ctrl-C; elsewhere a handler's exit would end the stream.
        if threading.current_thread() is threading.main_thread():
            raise


def tidy(*steps: Callable[[], object], report: Callable[[Exception], object] | None = None) -> None:
    """Run each of the *steps* of a cleanup, whatever the others raise.

    A defect in a cleanup may cost a descriptor, but must not hide why it was cleaned up.

    :param report: gets what a step raises; None is the log.
    """
    for step in steps:
        try:
            step()
        except Exception as exc:
            if report is not None:
                report(exc)
            else:
                log(logging.ERROR, "Cleaning up failed; please report this", exc_info=exc)


def name_of(function: Any) -> str:
    """Return a name for a callback.

    Never its ``repr``: that is user code, and of a partial it would show the arguments, which may
    be keys.
    """
    try:
        function = getattr(function, "func", function)
        name = getattr(function, "__qualname__", None)
    except Exception:  # attributes may be user code, too
        name = None
    return name if isinstance(name, str) else type(function).__qualname__


def plain_name_of(function: Any) -> str:
    """Return a name for a callback without running user code, for a thread that must not hang."""
    if type(function) is MethodType:
        function = function.__func__
    return function.__qualname__ if type(function) is FunctionType else type(function).__qualname__
