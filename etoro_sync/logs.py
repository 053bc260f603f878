"""Writing to the log without ever being ended by it.

A filter or a handler that raises is user code; it must not end the thread that reports a trouble.
"""

import logging
import threading
import warnings
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

__all__ = ["debugging", "log", "name_of", "plain_name_of", "tidy"]

_logger = logging.getLogger("etoro_sync")
#: Whether it was said that the logger is disabled; once in a process is enough.
_said: list[bool] = []


def log(level: int, message: str, *arguments: Any, exc_info: BaseException | None = None) -> None:
    """Write one record to the logger ``etoro_sync``; whatever its handlers raise is dropped."""
    try:
        # The caller's file and line, not these here, which would be the same for all records.
        _logger.log(level, message, *arguments, exc_info=exc_info, stacklevel=2)
        if _logger.disabled and level >= logging.WARNING and not _said:
            _said.append(True)
            _say_disabled(message % arguments)
    except Exception:
        pass
    except BaseException:
        # The main thread's may be Ctrl-C; elsewhere a handler's exit would end the stream.
        if threading.current_thread() is threading.main_thread():
            raise


def _say_disabled(hidden: str) -> None:
    """Warn where records vanish, such as a callback's error and the end of a client."""
    warnings.warn(
        "The logger 'etoro_sync' is disabled: logging.config.dictConfig() and fileConfig() do that "
        "to loggers that exist already, unless disable_existing_loggers is False. What it has to "
        f"say from now on is lost, beginning with: {hidden}",
        RuntimeWarning,
        stacklevel=3,
    )


def debugging() -> bool:
    """Whether records of the level DEBUG are wanted, which are costly to write."""
    return _logger.isEnabledFor(logging.DEBUG)


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
