"""Starting programs that are to be interrupted by Ctrl-C."""

from __future__ import annotations

import sys

__all__ = ["interruptible"]

_WRAPPER = (
    "import os, signal, sys; "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def interruptible(arguments: list[str]) -> list[str]:
    """Return a command line that runs *arguments* with SIGINT in its normal state.

    A shell starts its background jobs with SIGINT ignored, and Python keeps it so: without this,
    the outcome of a test would depend on how the test run itself was started.

    :param arguments: absolute path of the program, and its arguments
    """
    return [sys.executable, "-c", _WRAPPER, *arguments]
