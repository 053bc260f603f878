"""Logging that never raises.

Filters and handlers of the log are user code: what they raise must not end the thread that logs.
"""

import logging
import threading
import warnings
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

__all__ = ["debugging", "log", "name_of", "plain_name_of", "tidy"]

_logger = logging.getLogger("etoro_sync")
#: Not empty once the warning about a disabled logger was given, which happens once per process.
_warned: list[bool] = []


def log(level: int, message: str, *arguments: Any, exc_info: BaseException | None = None) -> None:
    """Write one record to the logger ``etoro_sync``; whatever its handlers raise is dropped."""
    try:
        # stacklevel, so that a record shows the file and line of the caller.
        _logger.log(level, message, *arguments, exc_info=exc_info, stacklevel=2)
        if _logger.disabled and level >= logging.WARNING and not _warned:
            _warned.append(True)
            _warn_disabled(message % arguments)
    except Exception:
        pass
    except BaseException:
        # In the main thread this may be Ctrl-C. Elsewhere a handler's sys.exit() must end nothing.
        if threading.current_thread() is threading.main_thread():
            raise


def _warn_disabled(hidden: str) -> None:
    """Warn that records are lost, among them errors of callbacks and the end of a client."""
    warnings.warn(
        "The logger 'etoro_sync' is disabled: logging.config.dictConfig() and fileConfig() do that "
        "to loggers that exist already, unless disable_existing_loggers is False. Its records are "
        f"lost from now on, beginning with: {hidden}",
        RuntimeWarning,
        stacklevel=3,
    )


def debugging() -> bool:
    """Return whether DEBUG records are written, because composing them is costly."""
    return _logger.isEnabledFor(logging.DEBUG)


def tidy(*steps: Callable[[], object], report: Callable[[Exception], object] | None = None) -> None:
    """Run each of the *steps* of a cleanup, whatever the others raise.

    An error in a cleanup may cost a descriptor, but must not hide the error that led to it.

    :param report: called with each exception of a step; None logs it.
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

    Its ``repr`` is not used: it is user code, and that of a partial shows the arguments, which may
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
