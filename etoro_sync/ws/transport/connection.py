"""An open WebSocket connection: reads and sends frames, pings, and handles close codes.

Every method runs on the reader thread, but for one property; only :meth:`Connection.wait` blocks.
"""

import contextlib
from collections.abc import Callable

from ... import clocks
from ...errors import EToroWebSocketError
from ...text import duration, shorten
from ..failures import ConnectionFailed
from .frames import CLOSE, PING, FrameParser, read_close
from .keepalive import Keepalive, Verdict
from .reasons import reason
from .socket_stream import SocketStream
from .websocket_client import ABNF

__all__ = ["Connection"]

#: In bytes: more than subscribing to 4,999 topics needs.
_MAX_UNSENT = 4 * 1024 * 1024
#: Longest reason of a close frame in RFC 6455, in bytes.
_MAX_REASON = 123
_NEVER = float("inf")


class Connection:
    """An open WebSocket.

    :param stream: with the opening handshake complete; owned by the connection from now on.
    :param early: bytes that were received after the handshake.
    :param max_message_bytes: a longer message ends the connection.
    :param heartbeat_interval: seconds of silence before a ping; 0: never.
    :param heartbeat_timeout: seconds of silence after a ping before the connection is dead.
    :param redact: removes the keys from text of the server.
    :param clock: monotonic seconds.
    :param parser: parses the frames; None: a parser with that limit.
    """

    def __init__(
        self,
        stream: SocketStream,
        early: bytes,
        *,
        max_message_bytes: int,
        heartbeat_interval: float,
        heartbeat_timeout: float,
        redact: Callable[[str], str],
        clock: Callable[[], float] = clocks.monotonic,
        parser: FrameParser | None = None,
    ) -> None:
        self._stream = stream
        self._early = early
        self._redact = redact
        self._clock = clock
        self._parser = parser or FrameParser(max_message_bytes)
        self._keepalive = Keepalive(heartbeat_interval, heartbeat_timeout, clock())
        # A peer that reads nothing for this long is treated as dead, like a silent one.
        self._send_timeout = heartbeat_timeout or 10.0
        self._send_error: OSError | None = None
        self._closing = False
        # The payload of the newest ping that is not answered yet.
        self._ping: bytes | None = None
        #: Code and reason of the peer's close frame; None: none was received.
        self.peer_close: tuple[int, str] | None = None
        #: Seconds since the epoch; 0.0: no pong was received.
        self.last_pong_at = 0.0
        self.bytes_received = 0
        #: Whether the last :meth:`receive` has read all that was there, and nothing has failed.
        self.drained = False

    # -- reading -------------------------------------------------------------------------------

    def receive(self) -> list[str] | None:
        """Read once and return the complete text messages; None: there is nothing to read now.

        Pings are answered and pongs recorded. When the peer has sent a close frame, the messages
        before it are returned, and :attr:`peer_close` is set.

        :raises ConnectionFailed: when the connection is lost, or the server has violated the
            protocol; all messages before that were returned by earlier calls.
        """
        if self._parser.violation is not None:
            self._fail_violation()
        if self._stream.unsent:
            # On a busy stream wait() is not called, which otherwise flushes.
            self.flush()
        stream, parser = self._stream, self._parser
        data: bytes | None
        if self._early:
            data, self._early = self._early, b""
            # It was set by the handshake's last read, and may not be true any more.
            stream.drained = False
        else:
            send_error = self._send_error
            try:
                data = stream.read()
            except OSError as exc:
                raise _lost(exc) from exc
            if data is None:
                if send_error is not None:
                    # It came before this read, so everything that the peer has sent is read.
                    raise _lost(send_error) from send_error
                return None
            if not data:
                raise _lost(None)
        self.bytes_received += len(data)
        texts = parser.feed(data)
        self._keepalive.received(self._clock(), parser.unfinished)
        if parser.controls:
            self._on_controls()
        self.drained = stream.drained and self._send_error is None and parser.violation is None
        return texts

    def _on_controls(self) -> None:
        controls, self._parser.controls = self._parser.controls, []
        for opcode, payload in controls:
            if opcode == CLOSE:
                # Always the last frame: the parser ignores what follows.
                self.peer_close = read_close(payload)
                self._echo_close(self.peer_close[0])
            elif opcode == PING:
                self._ping = payload
            else:
                self.last_pong_at = clocks.wall_clock()
        self._answer_ping()

    def _answer_ping(self) -> None:
        """Answer the newest ping, unless something waits to be sent.

        RFC 6455, 5.5.3, allows to answer only the latest of several. So answers cannot pile up
        when a peer sends pings and does not read.
        """
        if self._ping is not None and not self._stream.unsent:
            payload, self._ping = self._ping, None
            self._send(ABNF.OPCODE_PONG, payload)

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

    # -- deadlines -----------------------------------------------------------------------------

    @property
    def silence(self) -> float:
        """Seconds since the last inbound byte, the machine's sleep included. Any thread."""
        return self._keepalive.silence(self._clock())

    def check(self, now: float) -> None:
        """Send a ping if one is due, and raise if the connection is dead.

        Call it only when everything is read, because unread bytes show that the peer is alive.

        :param now: monotonic time.
        :raises ConnectionFailed: when the peer is silent, does not read what is sent, or does not
            finish a message.
        """
        verdict = self._keepalive.judge(now)
        if verdict is Verdict.PING:
            self._send(ABNF.OPCODE_PING, b"")
            # By the clock, not *now*: the process may have been paused since that was read.
            self._keepalive.pinged(self._clock())
        elif verdict is Verdict.DEAD:
            silence = self._keepalive.silence(now)
            raise ConnectionFailed(
                EToroWebSocketError(
                    f"The connection is dead: no byte for {duration(silence)}, and no answer to a "
                    "ping."
                )
            )
        elif verdict is Verdict.STUCK:
            age = self._keepalive.unfinished_for(now)
            raise ConnectionFailed(
                EToroWebSocketError(
                    f"The connection is dead: a message that began {duration(age)} ago is not "
                    "complete."
                )
            )
        if self._stream.stalled(now) >= self._send_timeout:
            raise _reads_nothing()

    def ping_soon(self, slept: float) -> bool:
        """Make the next :meth:`check` send a ping: the peer may have gone while the machine slept.

        :param slept: seconds of that sleep.
        :returns: False: keepalive is disabled, so no ping is sent.
        """
        return self._keepalive.ping_soon(self._clock(), slept)

    def next_check(self, now: float) -> float:
        """Return the absolute monotonic time at which to call :meth:`check` next.

        Reading can only make it later, so it needs no update until something is sent.
        """
        silent = self._keepalive.next_check(now)
        if self._stream.unsent:
            stalled = now + self._send_timeout - self._stream.stalled(now)
            return stalled if silent is None else min(stalled, silent)
        return _NEVER if silent is None else silent

    @property
    def is_sending(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._stream.unsent)

    def wait(self, deadline: float | None) -> None:
        """Sleep until something can be read or sent, until a wake-up, or until *deadline*.

        Returns at once when sending has failed, so that :meth:`receive` reads what is left and then
        raises.

        :param deadline: absolute monotonic time; None: no deadline.
        """
        if self._send_error is not None:
            return
        self._stream.wait(deadline)
        # Also answers a ping; one is only left unanswered while something waits to be sent.
        if self._stream.unsent:
            self.flush()

    # -- sending -------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Send one text message; what cannot be sent now is sent by :meth:`flush`."""
        self._send(ABNF.OPCODE_TEXT, text)

    def send_ping(self, payload: bytes) -> None:
        """Send one ping, besides those of the keepalive; its answer repeats *payload*."""
        self._send(ABNF.OPCODE_PING, payload)

    def _send(self, opcode: int, payload: str | bytes) -> None:
        if self._send_error is not None or self._closing:
            return
        frame = ABNF.create_frame(payload, opcode).format()
        if len(self._stream.unsent) + len(frame) > _MAX_UNSENT:
            raise _reads_nothing()
        try:
            self._stream.write(frame)
        except OSError as exc:
            self._send_error = exc

    def flush(self) -> None:
        """Send what waits.

        If that fails, :meth:`receive` raises later, after it has read what the peer sent before,
        such as a close frame.
        """
        if self._send_error is None:
            try:
                self._stream.flush()
            except OSError as exc:
                self._send_error = exc
            else:
                self._answer_ping()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, once; failures are ignored, because the connection ends anyway."""
        if self._closing:
            return
        # Shortened at a character's end, because it must be valid UTF-8.
        payload = reason.encode()[:_MAX_REASON].decode(errors="ignore").encode()
        with contextlib.suppress(ConnectionFailed):
            self._send(ABNF.OPCODE_CLOSE, code.to_bytes(2, "big") + payload)
        self._closing = True

    def close_status(self) -> tuple[int, str]:
        """Return the peer's close code and its reason, shortened and without the keys.

        1006 and ``""``: the peer has not sent a close frame.
        """
        code, reason = self.peer_close or (1006, "")
        return code, shorten(self._redact(reason))

    def dispose(self) -> None:
        """Free the descriptor."""
        self._stream.close()


def _lost(cause: OSError | None) -> ConnectionFailed:
    how = "without a close frame" if cause is None else f"({reason(cause)})"
    return ConnectionFailed(EToroWebSocketError(f"The connection ended {how}."))


def _reads_nothing() -> ConnectionFailed:
    return ConnectionFailed(
        EToroWebSocketError("The connection is dead: the server reads nothing any more.")
    )
