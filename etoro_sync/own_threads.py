"""Refuses calls that would wait for the thread on which they are made.

User code may run on a client's own threads, and its author may not know it: a logging handler, a
finalizer, a callback of an SSL context, the function that returns a key.
"""

import contextlib
import os
import threading
from collections.abc import Iterator

from .errors import EToroWebSocketError

__all__ = ["KEYS", "READER", "OwnThreads"]

#: What the threads do, and which code of the user may run there; both are used in errors.
READER = "reads the connection (by a logging handler, a finalizer or a callback of TLS, perhaps)"
KEYS = "reads the keys (by the callable that returns one, perhaps)"

#: The id of each reader thread, of any client -> its process, because after a fork the ids are used
#: again. Not a threading.local(): where gevent or eventlet patch it too late, all their threads
#: would share one.
_readers: dict[int, int] = {}


class OwnThreads:
    """The threads of one client that calls wait for, except the one that runs the callbacks.

    No lock is needed: each thread adds and removes itself, in one step each.
    """

    def __init__(self) -> None:
        self._work: dict[int, str] = {}

    @contextlib.contextmanager
    def working(self, work: str) -> Iterator[None]:
        """Count the calling thread among them, for the ``with`` block.

        :param work: :data:`READER` or :data:`KEYS`, for errors.
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
        """Refuse a call that waits, on the client's own threads and on any client's reader thread.

        The reader of another client is refused because of logging handlers: while it waits in one,
        it holds the handler's lock, and the reader of this client blocks as soon as it logs.

        :param call: the name of the call, for the error.
        :param instead: a sentence on what to do, for the error.
        :raises EToroWebSocketError: on such a thread.
        """
        me = threading.get_ident()
        work = self._work.get(me)
        if work is not None:
            raise EToroWebSocketError(
                f"{call} was called on the stream's own thread that {work}, and would wait for "
                f"that very thread. {instead}"
            )
        if _readers.get(me) == os.getpid():
            raise EToroWebSocketError(
                f"{call} was called on the thread on which another client {READER}, and nothing "
                f"would be read there while it waits. {instead}"
            )
