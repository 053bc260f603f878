"""One client's connection: the queue of messages to it, and the thread that sends them."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from .transport import Interceptor, Transport


@dataclass(frozen=True)
class CloseFrame:
    """A close frame that is to be sent after everything queued before it.

    :param code: close code.
    :param reason: close reason.
    """

    code: int
    reason: str


#: Called on the sending thread when its turn in the queue comes; may raise OSError.
Action = Callable[["Link"], None]
Item = str | bytes | CloseFrame | Action


class Outbox:
    """A bounded queue of what is to be sent to a client.

    :param size: how many items may wait.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[Item] = deque()
        self._closed = False
        #: Guards the items and the flag; notified when either changes.
        self._changed = threading.Condition()

    def put(self, item: Item) -> bool:
        """Append an item; return False when the queue is full."""
        with self._changed:
            if len(self._items) >= self._size:
                return False
            if not self._closed:
                self._items.append(item)
                self._changed.notify()
            return True

    def get(self) -> Item | None:
        """Wait for the next item and return it; None when the outbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            return None if self._closed else self._items.popleft()

    def close(self) -> None:
        """Discard all items and wake the sending thread."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify()


class Link:
    """The sending half of a client's connection.

    Every client has a sending thread of its own, so that one that does not read delays no other.
    Such a client is cut off when its outbox is full, or when its socket accepts no data for the
    transport's send timeout.

    :param connection: the accepted WebSocket connection.
    :param transport: the socket below it.
    :param number: number of the connection, from 1.
    :param backlog: how many messages may wait for a client that reads too slowly.
    :param on_sent: called after each message, on the sending thread.
    """

    def __init__(
        self,
        connection: ServerConnection,
        transport: Transport,
        number: int,
        backlog: int,
        on_sent: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._on_sent = on_sent
        self._outbox = Outbox(backlog)
        self._thread = threading.Thread(
            target=self._run, name=f"etoro-simulator-send-{number}", daemon=True
        )
        self.id = number
        self.messages_sent = 0
        self._overflowed = False

    @property
    def too_slow(self) -> bool:
        """Whether the client was cut off because it read too slowly."""
        return self._overflowed or self._transport.stalled

    def start(self) -> None:
        """Start the sending thread."""
        self._thread.start()

    def send(self, message: str | bytes) -> bool:
        """Queue a message; never blocks.

        :returns: False when the queue is full; the client is then cut off.
        """
        if self._outbox.put(message):
            return True
        self._overflowed = True
        self.abort()
        return False

    def enqueue(self, action: Action) -> None:
        """Queue an action for the sending thread; dropped when the queue is full."""
        self._outbox.put(action)

    @property
    def transport(self) -> Transport:
        """The socket below the connection."""
        return self._transport

    def write(self, data: bytes, then: Interceptor | None = None) -> None:
        """Send raw bytes between two frames. Runs on the sending thread.

        :param data: usually whole frames, valid or not.
        :param then: an interceptor to attach before anything else is sent.
        """
        with self._connection.protocol_mutex:  # the receiving thread sends pongs
            self._transport.sendall(data)
            if then is not None:
                self._transport.attach(then)

    def close(self, code: int, reason: str) -> None:
        """Queue a close frame; a client whose outbox is full is cut off instead."""
        if not self._outbox.put(CloseFrame(code, reason)):
            self.abort()

    def abort(self) -> None:
        """Reset the TCP connection; never blocks."""
        self._outbox.close()
        self._transport.reset()

    def finish(self) -> None:
        """End the sending thread; the connection must be closed or closing."""
        self._outbox.close()
        if self._thread.ident is not None:  # the system may not have had a thread for it
            self._thread.join()

    def _run(self) -> None:
        """Send until the outbox or the connection is closed. Runs on the sending thread."""
        with contextlib.suppress(ConnectionClosed, OSError):
            while (item := self._outbox.get()) is not None:
                self._transport.before_message()
                if isinstance(item, CloseFrame):
                    self._connection.close(item.code, item.reason)
                    return
                if callable(item):
                    item(self)
                    continue
                self._connection.send(item)
                self.messages_sent += 1
                self._on_sent()
