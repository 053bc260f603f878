"""Connects a stream only while its publisher has the lease, so that there is one connection."""

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable

from .. import clocks
from ..delivery.queues import ItemQueue
from ..errors import EToroAuthError, EToroError, EToroValidationError
from ..logs import log
from ..stream import MarketStream
from ..synchronization import join_thread

__all__ = ["ColdStart"]

#: Seconds between two attempts to connect.
_PAUSE = 1.0
_numbers = itertools.count(1)


class ColdStart:
    """Connects and disconnects a stream. Its publisher's thread alone may use it.

    Connecting takes seconds, in which the lease has to be renewed; so it has a thread of its own.

    :param source: the stream. What was subscribed to before is subscribed to again.
    :param new_queue: makes the queue that reads it.
    """

    def __init__(self, source: MarketStream, new_queue: Callable[[], ItemQueue]) -> None:
        self._source = source
        self._new_queue = new_queue
        self._thread: threading.Thread | None = None
        self._error: EToroError | None = None
        self._again_at = 0.0
        self._topics: tuple[str, ...] = ()

    def connect(self) -> ItemQueue:
        """Begin to connect; return the queue of what will come."""
        new = self._new_queue()
        self._begin()
        return new

    def _begin(self) -> None:
        self._error = None
        name = f"etoro-sync-publisher-connect-{next(_numbers)}"
        self._thread = threading.Thread(target=self._connect, name=name, daemon=True)
        self._thread.start()

    def _connect(self) -> None:
        try:
            self._source.connect()
            subscribe = getattr(self._source, "subscribe", None)
            if subscribe is not None and self._topics:
                subscribe(self._topics, snapshot=True)
        except EToroError as exc:
            self._error = exc

    def failed(self) -> EToroError | None:
        """Return the error with which no attempt to connect will succeed; else try again.

        Any other error is logged, and tried again a second later.
        """
        thread = self._thread
        if thread is not None:
            if thread.is_alive():
                return None
            self._thread = None
            if isinstance(self._error, (EToroAuthError, EToroValidationError)):
                return self._error
            if self._error is not None:
                log(logging.WARNING, "Connecting again in a second: %s", self._error)
                self._again_at = clocks.monotonic() + _PAUSE
        elif self._error is not None and clocks.monotonic() >= self._again_at:
            self._begin()
        return None

    def disconnect(self) -> None:
        """Disconnect, and remember what was subscribed to."""
        topics = getattr(self._source, "subscriptions", ())
        self._topics = topics or self._topics
        with contextlib.suppress(EToroError):
            self._source.disconnect()
        if self._thread is not None:
            join_thread(self._thread, 10.0)
            self._thread = None
        self._error = None
