"""What a thread of the client does about signals."""

import signal

__all__ = ["block_sigpipe"]


def block_sigpipe() -> set[int] | None:
    """Make a reset an error of the write, also in programs that have put SIGPIPE to its default.

    Python ignores SIGPIPE; filters that restore it would be killed by a server that goes away.
    Only the calling thread is concerned, and those that it starts: they inherit what is blocked.

    :returns: what was blocked before; None where the system has no such thing.
    """
    if not hasattr(signal, "pthread_sigmask"):
        return None
    return {*signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})}
