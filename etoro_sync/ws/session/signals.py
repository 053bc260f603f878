"""Signals in the client's threads: SIGPIPE must not end the program."""

import signal

__all__ = ["block_sigpipe"]


def block_sigpipe() -> set[int] | None:
    """Block SIGPIPE in the calling thread, so that writing to a lost connection raises an error.

    Python ignores SIGPIPE, but some programs restore its default, which kills the process when a
    write finds the connection closed. Threads and processes that this thread starts inherit the
    mask.

    :returns: the signals that were blocked before; None where the system has no signal masks.
    """
    if not hasattr(signal, "pthread_sigmask"):
        return None
    return {*signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})}
