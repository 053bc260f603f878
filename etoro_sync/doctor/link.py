"""One connection of the doctor: opened, authenticated and read with the client's own parts.

It has no thread: the calling one sends, reads and waits. Pings are sent on request only, so that
what the server does is not hidden by what a client usually does about silence.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .. import clocks
from ..errors import EToroError, EToroWebSocketError
from ..ws.failures import ConnectionFailed
from ..ws.options import WsClientOptions
from ..ws.protocol.control import ControlChannel, Operation
from ..ws.protocol.replies import is_refusal
from ..ws.protocol.tracker import WsSubscriptionTracker
from ..ws.session.credentials import Keys
from ..ws.transport.connection import Connection
from ..ws.transport.dialer import Dialer
from ..ws.transport.handshake import open_websocket
from ..ws.transport.socket_stream import SocketStream
from .privacy import Scrubber
from .traffic import Traffic, WatchedFrames

__all__ = ["Link"]


class Link:
    """A WebSocket that was opened.

    :param stream: with the handshake complete; owned by the link from now on.
    :param early: bytes that were received after the handshake.
    :param options: limits and timeouts.
    :param redact: makes a server's words fit to be shown.
    :param traffic: counts what comes.
    """

    def __init__(
        self,
        stream: SocketStream,
        early: bytes,
        options: WsClientOptions,
        redact: Callable[[str], str],
        traffic: Traffic,
    ) -> None:
        self.traffic = traffic
        self._request_timeout = options.request_timeout
        traffic.begin()
        self._parser = WatchedFrames(options.max_message_bytes, self.traffic.on_frame)
        self._tracker = WsSubscriptionTracker()
        self._channel = ControlChannel(
            self._tracker, options.auth_timeout, options.request_timeout, redact
        )
        self._connection = Connection(
            stream,
            early,
            max_message_bytes=options.max_message_bytes,
            heartbeat_interval=0,
            heartbeat_timeout=0,
            redact=redact,
            parser=self._parser,
        )
        self._opened_at = clocks.monotonic()
        #: Code and reason of the server's close frame; None: none has come.
        self.closed_with: tuple[int, str] | None = None
        #: The error code of the last answer that refused a request, ``""`` if that had none; None:
        #: nothing was refused.
        self.refused_with: str | None = None

    @classmethod
    def open(
        cls,
        stream: SocketStream,
        dialer: Dialer,
        options: WsClientOptions,
        scrubber: Scrubber,
        traffic: Traffic,
        on_head: Callable[[bytes], object] = lambda head: None,
    ) -> "Link":
        """Do the opening handshake on *stream*, which is closed if that fails.

        :raises ConnectionFailed: when the answer is an HTTP error.
        :raises EToroWebSocketError: when the handshake fails otherwise.
        """
        try:
            early = open_websocket(options.ws_url, stream, dialer, scrubber.redactor, on_head)
            return cls(stream, early, options, scrubber.foreign, traffic)
        except BaseException:
            stream.close()
            raise

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return clocks.monotonic() - self._opened_at

    @property
    def bytes_received(self) -> int:
        """Bytes after the handshake."""
        return self._connection.bytes_received

    def authenticate(self, keys: Keys) -> None:
        """Send the keys, and wait for the answer.

        :raises ConnectionFailed: when they are refused, or the connection ends.
        """
        # No variable holds the text, which has the keys: debuggers and crash reports print those.
        self._connection.send_text(
            self._channel.authenticate(keys.api_key, keys.user_key, clocks.monotonic())
        )
        self.read(lambda: self._channel.authenticated)

    def subscribe(self, topics: Sequence[str], snapshot: bool) -> None:
        """Subscribe, and wait for the acknowledgement.

        :raises EToroSubscriptionError: when a topic is refused.
        :raises ConnectionFailed: when the connection ends, or there is no answer in time.
        """
        version = self._tracker.add(topics, snapshot)
        done: list[EToroError | None] = []
        wanted = dict.fromkeys(topics, True) if snapshot else {}
        self._channel.submit(Operation("Subscribe", list(topics), wanted, done.append, version))
        self.read(lambda: bool(done))
        if done[0] is not None:
            raise done[0]

    def ping(self, payload: bytes) -> None:
        """Send one ping."""
        self.traffic.ping_sent(payload)
        self._connection.send_ping(payload)

    def read(self, done: Callable[[], bool], seconds: float | None = None) -> bool:
        """Read until *done*, or for some seconds.

        :param seconds: None: as long as the request in flight may take.
        :returns: whether it is done.
        :raises ConnectionFailed: when the connection ends, or an answer is overdue.
        """
        deadline = None if seconds is None else clocks.monotonic() + seconds
        while not done():
            now = clocks.monotonic()
            if deadline is not None and now >= deadline:
                return False
            self._send_requests(now)
            texts = self._receive()
            if texts is None:
                # Everything is read, so what is overdue by the time before has not come.
                self._channel.check_deadline(now)
                self._connection.wait(_earlier(deadline, self._channel.deadline))
            else:
                # There may always be more to read. A longer timeout then, because the answer may be
                # among what is not read yet.
                self._channel.check_deadline(now - self._request_timeout)
        return True

    def _send_requests(self, now: float) -> None:
        while (request := self._channel.next_request(now)) is not None:
            self._connection.send_text(request[0])

    def _receive(self) -> list[str] | None:
        if self._connection.peer_close is not None:
            # It came in one read with texts, which were handled first.
            raise self._closed()
        try:
            texts = self._connection.receive()
        except ConnectionFailed as failure:
            violation = self._parser.violation
            self.traffic.ended(failure.code, violation.reason if violation else "")
            raise
        for text in texts or ():
            reply = self.traffic.on_text(text)
            if reply is not None:
                self._on_reply(reply)
        if not texts and self._connection.peer_close is not None:
            raise self._closed()
        return texts

    def _on_reply(self, reply: dict[str, Any]) -> None:
        if is_refusal(reply):
            self.refused_with = str(reply.get("errorCode") or "")
        self._channel.on_reply(reply)

    def _closed(self) -> ConnectionFailed:
        self.closed_with = code, reason = self._connection.close_status()
        self.traffic.ended(code)
        said = f" ({reason})" if reason else ""
        how = "without a code" if code == 1005 else f"with code {code}{said}"
        return ConnectionFailed(
            EToroWebSocketError(f"The server closed the connection {how}."), code=code
        )

    def close(self) -> None:
        """Send a close frame, without waiting for the answer, and free the descriptor."""
        self._connection.close()
        self._connection.dispose()


def _earlier(one: float | None, other: float | None) -> float | None:
    known = [each for each in (one, other) if each is not None]
    return min(known, default=None)
