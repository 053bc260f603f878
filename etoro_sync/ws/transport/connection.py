"""One open WebSocket connection: frames in and out, keepalive, close codes.

Every method here runs on the reader thread; nothing blocks but :meth:`Connection.wait`.
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

#: More than a session of 4,999 topics ever has to send at once.
_MAX_UNSENT = 4 * 1024 * 1024
#: What RFC 6455 leaves for a close frame's reason, in bytes.
_MAX_REASON = 123
_NEVER = float("inf")


class Connection:
    """An open WebSocket.

    :param stream: what the handshake was done on; owned by the connection from now on.
    :param early: bytes that came right behind the handshake.
    :param max_message_bytes: a longer message ends the connection.
    :param heartbeat_interval: seconds of silence before a ping; 0 is never.
    :param heartbeat_timeout: seconds of silence after a ping before the connection is dead.
    :param redact: removes the keys from text of the server.
    :param clock: monotonic seconds.
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
    ) -> None:
        self._stream = stream
        self._early = early
        self._redact = redact
        self._clock = clock
        self._parser = FrameParser(max_message_bytes)
        self._keepalive = Keepalive(heartbeat_interval, heartbeat_timeout, clock())
        # A peer that reads nothing is as dead as one that sends nothing.
        self._send_timeout = heartbeat_timeout or 10.0
        self._send_error: OSError | None = None
        self._closing = False
        # The newest ping that is not answered yet.
        self._ping: bytes | None = None
        self.peer_close: tuple[int, str] | None = None
        self.last_pong_at = 0.0
        self.bytes_received = 0
        #: Whether the last :meth:`receive` has taken all that was there, and knows of no failure.
        self.drained = False

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
        if self._stream.unsent:
            # A busy stream never gets as far as wait().
            self.flush()
        stream, parser = self._stream, self._parser
        data: bytes | None
        if self._early:
            data, self._early = self._early, b""
            # What the handshake's last read has left says nothing of now.
            stream.drained = False
        else:
            send_error = self._send_error
            try:
                data = stream.read()
            except OSError as exc:
                raise _lost(exc) from exc
            if data is None:
                if send_error is not None:
                    # Seen before this read, so all that the peer had sent until then is read.
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
                # Always the last one: the parser ignores what comes after it.
                self.peer_close = read_close(payload)
                self._echo_close(self.peer_close[0])
            elif opcode == PING:
                self._ping = payload
            else:
                self.last_pong_at = clocks.wall_clock()
        self._answer_ping()

    def _answer_ping(self) -> None:
        """Answer the newest ping, unless something waits to be sent.

        RFC 6455, 5.5.3: answering the latest of several is enough. So a peer that sends pings and
        reads nothing cannot make the answers pile up.
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

    def check(self, now: float) -> None:
        """Ping, or give the connection up, as its silence demands.

        To be called only when nothing was left to read: unread bytes are life.

        :raises ConnectionFailed: when the peer is silent, does not read what is sent, or does not
            finish a message.
        """
        verdict = self._keepalive.judge(now)
        if verdict is Verdict.PING:
            self._send(ABNF.OPCODE_PING, b"")
            # The process may have stood still since the look at the clock that *now* is.
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
        """Send a ping as soon as nothing is left to read: the peer may have gone meanwhile.

        :param slept: seconds for which the machine did.
        :returns: False: keepalive is switched off.
        """
        return self._keepalive.ping_soon(self._clock(), slept)

    def next_check(self, now: float) -> float:
        """Return when :meth:`check` has something new to say, as absolute monotonic time.

        What is read later can only put that off, so it holds until something is sent.
        """
        silent = self._keepalive.deadline
        if self._stream.unsent:
            stalled = now + self._send_timeout - self._stream.stalled(now)
            return stalled if silent is None else min(stalled, silent)
        return _NEVER if silent is None else silent

    @property
    def is_sending(self) -> bool:
        """Whether something waits that the peer has not taken yet."""
        return bool(self._stream.unsent)

    def wait(self, deadline: float | None) -> None:
        """Sleep until something can be done, a wake-up, or *deadline*.

        It does not sleep when sending has failed: :meth:`receive` then knows what is left.

        :param deadline: absolute monotonic time; None is never.
        """
        if self._send_error is not None:
            return
        self._stream.wait(deadline)
        # A ping is only unanswered while something waits to be sent.
        if self._stream.unsent:
            self.flush()

    # -- sending -------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Send one text message; what the peer does not take now waits for :meth:`flush`."""
        self._send(ABNF.OPCODE_TEXT, text)

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

        A failure to send is not an end yet: what the peer sent before it went away, its close
        frame above all, is still to be read.
        """
        if self._send_error is None:
            try:
                self._stream.flush()
            except OSError as exc:
                self._send_error = exc
            else:
                self._answer_ping()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, once; failures are nothing, since the end is near anyway."""
        if self._closing:
            return
        # Cut between two characters, or the reason is no UTF-8 any more.
        words = reason.encode()[:_MAX_REASON].decode(errors="ignore").encode()
        with contextlib.suppress(ConnectionFailed):
            self._send(ABNF.OPCODE_CLOSE, code.to_bytes(2, "big") + words)
        self._closing = True

    def close_status(self) -> tuple[int, str]:
        """Return the peer's close code and its reason, fit to be shown."""
        code, reason = self.peer_close or (1006, "")
        return code, shorten(self._redact(reason))

    def dispose(self) -> None:
        """Free the descriptor."""
        self._stream.close()


def _lost(cause: OSError | None) -> ConnectionFailed:
    words = "without a close frame" if cause is None else f"({reason(cause)})"
    return ConnectionFailed(EToroWebSocketError(f"The connection ended {words}."))


def _reads_nothing() -> ConnectionFailed:
    return ConnectionFailed(
        EToroWebSocketError("The connection is dead: the server reads nothing any more.")
    )
