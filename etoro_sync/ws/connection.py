"""One open WebSocket connection: frames in and out, keepalive, close codes.

Every method here runs on the reader thread; nothing blocks but :meth:`Connection.wait`.
"""

import time
from collections.abc import Callable

import websocket

from ..errors import EToroWebSocketError
from .frames import CLOSE, PING, FrameParser, read_close
from .keepalive import Keepalive, Verdict
from .message_parser import shorten
from .replies import ConnectionFailed
from .wire import Wire

__all__ = ["Connection"]

#: More than a session of 4,999 topics ever has to send at once.
_MAX_UNSENT = 4 * 1024 * 1024


class Connection:
    """An open WebSocket.

    :param wire: what the handshake was done on; owned by the connection from now on.
    :param early: bytes that came right behind the handshake.
    :param max_message_bytes: a longer message ends the connection.
    :param heartbeat_interval: seconds of silence before a ping; 0 is never.
    :param heartbeat_timeout: seconds of silence after a ping before the connection is dead.
    :param redact: removes the keys from text of the server.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        wire: Wire,
        early: bytes,
        *,
        max_message_bytes: int,
        heartbeat_interval: float,
        heartbeat_timeout: float,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wire = wire
        self._early = early
        self._redact = redact
        self._clock = clock
        self._parser = FrameParser(max_message_bytes)
        self._keepalive = Keepalive(heartbeat_interval, heartbeat_timeout, clock())
        # A peer that reads nothing is as dead as one that sends nothing.
        self._send_timeout = heartbeat_timeout or 10.0
        self._send_failed = False
        self._closing = False
        self.peer_close: tuple[int, str] | None = None
        self.last_pong_at = 0.0
        self.bytes_received = 0

    # -- reading -------------------------------------------------------------------------------

    def receive(self) -> list[str] | None:
        """Return the text messages of one read, which may be none; None: nothing is there.

        Pings are answered and pongs noted on the way. When the peer has closed, its code is in
        :attr:`peer_close`, and the messages before it are returned first.

        :raises ConnectionFailed: when the connection is lost or broken, after all messages
            before that have been returned.
        """
        if self._parser.violation is not None:
            self._fail_violation()
        data: bytes | None
        if self._early:
            data, self._early = self._early, b""
        else:
            try:
                data = self._wire.read()
            except OSError as exc:
                raise self._lost(exc) from exc
        if data is None:
            return None
        if not data:
            raise self._lost(None)
        self.bytes_received += len(data)
        self._keepalive.heard(self._clock())
        texts = self._parser.feed(data)
        if self._parser.controls:
            self._on_controls()
        return texts

    def _on_controls(self) -> None:
        controls, self._parser.controls = self._parser.controls, []
        ping: bytes | None = None
        for opcode, payload in controls:
            if self.peer_close is not None:
                return
            if opcode == CLOSE:
                self.peer_close = read_close(payload)
                self._echo_close(self.peer_close[0])
            elif opcode == PING:
                ping = payload
            else:
                self.last_pong_at = time.time()
        if ping is not None and self.peer_close is None:
            # RFC 6455, 5.5.3: answering the latest of several pings is enough.
            self._send(websocket.ABNF.OPCODE_PONG, ping)

    def _echo_close(self, code: int) -> None:
        if not self._closing:
            self.close(1000 if code == 1005 else code)

    def _fail_violation(self) -> None:
        violation = self._parser.violation
        assert violation is not None
        self.close(violation.code, violation.reason)
        raise ConnectionFailed(
            EToroWebSocketError(f"The server broke the WebSocket protocol: {violation.reason}."),
            code=violation.code,
        )

    def _lost(self, cause: OSError | None) -> ConnectionFailed:
        words = "without a close frame" if cause is None else f"({cause.strerror or cause})"
        return ConnectionFailed(EToroWebSocketError(f"The connection ended {words}."))

    # -- deadlines -----------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Ping, or give the connection up, as its silence demands.

        To be called only after :meth:`receive` has returned None: unread bytes are life.

        :raises ConnectionFailed: when the peer is silent, or does not read what is sent.
        """
        verdict = self._keepalive.judge(now)
        if verdict is Verdict.PING:
            self._send(websocket.ABNF.OPCODE_PING, b"")
        elif verdict is Verdict.DEAD:
            silence = self._keepalive.silence(now)
            raise ConnectionFailed(
                EToroWebSocketError(
                    f"The connection is dead: no byte for {silence:.1f} s, and no answer to a ping."
                )
            )
        if self._wire.stalled(now) > self._send_timeout:
            raise ConnectionFailed(
                EToroWebSocketError("The connection is dead: the server reads nothing any more.")
            )

    def wait(self, deadline: float | None) -> None:
        """Sleep until something can be done, a wake-up, or the earliest deadline.

        :param deadline: the caller's own, as absolute monotonic time; None is none.
        """
        times = [deadline, self._keepalive.deadline]
        if self._wire.unsent:
            times.append(self._clock() + self._send_timeout)
        known = [moment for moment in times if moment is not None]
        self._wire.wait(min(known) if known else None)
        self.flush()

    # -- sending -------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Send one text message; what the peer does not take now waits for :meth:`flush`."""
        self._send(websocket.ABNF.OPCODE_TEXT, text)

    def _send(self, opcode: int, payload: str | bytes) -> None:
        if self._send_failed or self._closing:
            return
        frame = websocket.ABNF.create_frame(payload, opcode).format()
        if self._wire.unsent + len(frame) > _MAX_UNSENT:
            raise ConnectionFailed(
                EToroWebSocketError("The connection is dead: the server reads nothing any more.")
            )
        try:
            self._wire.write(frame)
        except OSError:
            self._send_failed = True

    def flush(self) -> None:
        """Send what waits.

        A failure to send is not an end yet: what the peer sent before it went away, its close
        frame above all, is still to be read.
        """
        if not self._send_failed:
            try:
                self._wire.flush()
            except OSError:
                self._send_failed = True

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, once; failures are nothing, since the end is near anyway."""
        if self._closing:
            return
        payload = code.to_bytes(2, "big") + reason.encode()[:120]
        try:
            self._send(websocket.ABNF.OPCODE_CLOSE, payload)
        except ConnectionFailed:
            self._send_failed = True
        self._closing = True

    def close_words(self) -> tuple[int, str]:
        """Return the peer's close code and its reason, fit to be shown."""
        code, reason = self.peer_close or (1006, "")
        return code, shorten(self._redact(reason))

    def dispose(self) -> None:
        """Free the descriptor."""
        self._wire.close()
