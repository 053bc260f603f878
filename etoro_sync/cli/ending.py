"""How a command ends: with an exit code, and at most one line on stderr."""

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from ..errors import EToroAuthError, EToroError, EToroValidationError

__all__ = ["CommandError", "carry_out", "complain", "prepare_output", "translate"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class CommandError(Exception):
    """What the user asked for cannot be done.

    :param message: one line that says why, and what to do.
    """


class _Interrupted(KeyboardInterrupt):
    """Raised in the main thread by a signal.

    :param number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def prepare_output() -> None:
    """Let nothing that is written fail for where it goes.

    A terminal that does not know a character shows a question mark; where there is no stream at
    all, as under some supervisors, words go nowhere.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # to the end
            setattr(sys, name, nowhere)
        elif name == "stdout" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def complain(message: object) -> None:
    """Write one line to stderr.

    :param message: what happened; line breaks in it are replaced.
    """
    # Nobody may be there to read it.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"etoro-sync: {' '.join(str(message).split())}\n")
        sys.stderr.flush()


def carry_out(work: Callable[[], None]) -> int:
    """Run a command's work and translate how it ended.

    :param work: to be run in the main thread; Ctrl-C and SIGTERM leave it as an exception.
    :returns: the exit code: 0 done, also when the reader of a pipe has gone; 1 the network or the
        system failed; 2 wrong usage or credentials; 128 + the number of a signal.
    """
    try:
        with _signals():
            work()
    except _Interrupted as exc:
        # What a full pipe has not taken would be waited for at the interpreter's exit.
        _abandon_stdout()
        return 128 + exc.number
    except Exception as exc:
        return translate(exc)
    return 0


def translate(failure: Exception) -> int:
    """Tell of a failure where somebody should hear of it, and translate it into an exit code.

    :param failure: one that nobody has thought of is raised again.
    :returns: see :func:`carry_out`.
    """
    if isinstance(failure, BrokenPipeError):
        _abandon_stdout()
        return 0
    if isinstance(failure, (CommandError, EToroAuthError, EToroValidationError)):
        complain(failure)
        return 2
    if isinstance(failure, (EToroError, OSError)):
        complain(failure)
        return 1
    raise failure


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Have signals raise in the block. After one, further ones are ignored: the process ends."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may have handlers
        return
    # What a shell has its background jobs ignore stays ignored.
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


def _abandon_stdout() -> None:
    """Let what is still buffered for stdout go nowhere, quietly."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, sys.stdout.fileno())
        finally:
            os.close(nowhere)
