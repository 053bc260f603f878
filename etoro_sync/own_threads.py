"""Refuses calls that would wait for the very thread on which they are made.

User code may run on a client's own threads without its author's knowing: a logging handler, a
finalizer, a callback of an SSL context, the callable that returns a key.
"""

import contextlib
import os
import threading
from collections.abc import Iterator

from .errors import EToroWebSocketError

__all__ = ["KEYS", "READER", "OwnThreads"]

#: What the threads do, and whose code may run there.
READER = "reads the connection (by a logging handler, a finalizer or a callback of TLS, perhaps)"
KEYS = "reads the keys (by the callable that returns one, perhaps)"

#: The threads that read, of whichever client -> the process that they belong to: the numbers of
#: threads that a fork has ended are given out again. No threading.local(): gevent and eventlet do
#: not replace it in what is imported already, and all their threads would be one.
_readers: dict[int, int] = {}


class OwnThreads:
    """The threads of one client that others wait for, apart from that of the callbacks.

    No lock is needed: a thread notes and removes itself, each in one step.
    """

    def __init__(self) -> None:
        self._work: dict[int, str] = {}

    @contextlib.contextmanager
    def working(self, work: str) -> Iterator[None]:
        """Count the calling thread among them.

        :param work: what it does, for errors.
        """
        me = threading.get_ident()
        self._work[me] = work
        if work == READER:
            _readers[me] = os.getpid()
        try:
            yield
        finally:
            _readers.pop(me, None)
            self._work.pop(me, None)

    def check(self, call: str, instead: str) -> None:
        """Refuse *call*, which waits, on a thread that works for the client, and on any reader.

        While the reader of another client waits in a logging handler, it holds the handler's lock,
        for which the reader of this client waits as soon as it logs.

        :param call: its name.
        :param instead: a sentence on what to do.
        :raises EToroWebSocketError: there, at once.
        """
        me = threading.get_ident()
        work = self._work.get(me)
        if work is not None:
            raise EToroWebSocketError(
                f"{call} was called on the client's own thread that {work}, and would wait for "
                f"that very thread. {instead}"
            )
        if _readers.get(me) == os.getpid():
            raise EToroWebSocketError(
                f"{call} was called on the thread on which another client {READER}, and nothing "
                f"would be read there while it waits. {instead}"
            )
