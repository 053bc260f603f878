"""How a command ends: with an exit code, and at most one line on stderr."""

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from ..errors import EToroAuthError, EToroError, EToroInstrumentError, EToroValidationError

__all__ = [
    "CommandError",
    "abandon_stdout",
    "carry_out",
    "prepare_output",
    "print_error",
    "report_failure",
]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class CommandError(Exception):
    """A command cannot be carried out, because of how the user called it.

    :param message: one line that says why, and what to do.
    """


_OF_THE_USER = (CommandError, EToroAuthError, EToroInstrumentError, EToroValidationError)


class _Interrupted(KeyboardInterrupt):
    """Raised in the main thread by a signal.

    :param number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def prepare_output() -> None:
    """Make writing to stdout and stderr safe.

    Characters that a terminal cannot show become question marks. If there is no stream at all, as
    under some process supervisors, output is discarded.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the exit
            setattr(sys, name, nowhere)
        elif name == "stdout" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def print_error(message: object) -> None:
    """Write one line to stderr.

    :param message: what happened; line breaks in it are replaced.
    """
    # stderr may be closed.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"etoro-sync: {' '.join(str(message).split())}\n")
        sys.stderr.flush()


def carry_out(work: Callable[[], None]) -> int:
    """Run a command's work and return the exit code.

    :param work: runs in this thread; Ctrl-C and SIGTERM raise an exception in it.
    :returns: 0: done, or the reader of a pipe has gone; 1: the network or the system failed; 2:
        wrong usage or credentials; 128 + the number of the signal that ended it.
    """
    try:
        with _signals():
            work()
    except _Interrupted as exc:
        # Else the interpreter would wait at its exit until a full pipe takes what is buffered.
        abandon_stdout()
        return 128 + exc.number
    except Exception as exc:
        return report_failure(exc)
    return 0


def report_failure(failure: Exception) -> int:
    """Print an error, if it is one for the user, and return the exit code.

    :param failure: raised again if it is not an expected error.
    :returns: see :func:`carry_out`.
    """
    if isinstance(failure, BrokenPipeError):
        abandon_stdout()
        return 0
    if isinstance(
        failure, (CommandError, EToroAuthError, EToroInstrumentError, EToroValidationError)
    ):
        print_error(failure)
        return 2
    if isinstance(failure, (EToroError, OSError)):
        print_error(failure)
        return 1
    raise failure


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Let signals raise in the block. After the first, others are ignored, as the process ends."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    # A shell lets its background jobs ignore SIGINT; that stays so.
    before = {n: h for n in _SIGNALS if (h := signal.getsignal(n)) is not signal.SIG_IGN}
    interrupted = False
    try:
        for number in before:
            signal.signal(number, _raise)
        yield
    except _Interrupted:
        interrupted = True
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if interrupted else handler)


def _raise(number: int, frame: FrameType | None) -> None:
    raise _Interrupted(number)


def abandon_stdout() -> None:
    """Discard what is still buffered for stdout, without an error."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, sys.stdout.fileno())
        finally:
            os.close(nowhere)
