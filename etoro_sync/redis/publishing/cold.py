"""Connects a stream only while its publisher has the lease, so that there is one connection."""

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable

from ... import clocks
from ...delivery.queues import ItemQueue
from ...errors import EToroAuthError, EToroError, EToroValidationError
from ...logs import log
from ...stream import MarketStream
from ...synchronization import join_thread

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
        #: Why the last attempt to connect has failed.
        self.error: EToroError | None = None
        self._again_at = 0.0
        self._topics: tuple[str, ...] = ()

    @property
    def is_due(self) -> bool:
        """Whether it is time to connect."""
        return clocks.monotonic() >= self._again_at

    def connect(self) -> ItemQueue:
        """Begin to connect; return the queue of what will come."""
        new = self._new_queue()
        self._join()
        self.error = None
        name = f"etoro-sync-publisher-connect-{next(_numbers)}"
        self._thread = threading.Thread(target=self._connect, name=name, daemon=True)
        self._thread.start()
        return new

    def _connect(self) -> None:
        try:
            self._source.connect()
            subscribe = getattr(self._source, "subscribe", None)
            if subscribe is not None and self._topics:
                subscribe(self._topics, snapshot=True)
        except EToroError as exc:
            self.error = exc

    def failed(self, error: EToroError) -> bool:
        """Note that a session has ended with an error; return whether to connect again.

        That is so a second later, unless the keys or the settings are wrong.
        """
        self.error = None
        if isinstance(error, (EToroAuthError, EToroValidationError)):
            return False
        log(logging.WARNING, "Connecting again in a second: %s", error)
        self._again_at = clocks.monotonic() + _PAUSE
        self._keep_topics()
        return True

    def _keep_topics(self) -> None:
        self._topics = getattr(self._source, "subscriptions", ()) or self._topics

    def _join(self) -> None:
        if self._thread is not None:
            join_thread(self._thread, 10.0)
            self._thread = None

    def disconnect(self) -> None:
        """Disconnect, and remember what was subscribed to."""
        self._keep_topics()
        with contextlib.suppress(EToroError):
            self._source.disconnect()
        self._join()
        self.error, self._again_at = None, 0.0
