"""The loop of one connection, from authentication to its end: read, send, check deadlines.

Every method runs on the reader thread, but for two properties; nothing blocks but the wait at the
end of ``_idle()``.

The clocks are read before each read of the socket. Once nothing is left to read, deadlines are
compared with those clock values. So data that arrived before a deadline counts as in time, even if
the process was paused and read it later.
"""

import json
import logging
from typing import Any

from ... import clocks
from ...errors import EToroWebSocketError
from ...logs import debugging, log
from ...market.feed_handler import FeedHandler
from ...redaction import Redactor
from ...stats import Counters
from ...synchronization import Interrupted
from ...text import duration, fit
from ..failures import ConnectionFailed
from ..options import WsClientOptions
from ..transport.connection import Connection
from .commands import Commands
from .controller import Controller
from .credentials import Keys

__all__ = ["ConnectionLoop"]

#: Messages that are handled before the loop checks whether to stop; they take about a millisecond.
_SLICE = 256
#: Characters of a request or a reply in the log.
_LOGGED_SIZE = 300
#: Longest time between two readings of the clocks, in seconds: a gap may be reported longer by
#: this, and a sleep of the machine is noticed after this.
_CLOCK_INTERVAL = 1.0
#: Seconds of the machine's sleep after which the server is pinged at once.
_SLEEP_SECONDS = 1.0
#: Seconds of reading without a pause after which deadlines are checked all the same.
_BUSY_SECONDS = 1.0


class ConnectionLoop:
    """Reads one open connection and writes to it, until it fails or the client is to stop.

    :param connection: open; nothing was sent on it yet.
    :param options: the client's.
    :param redactor: masks the keys.
    :param controller: knows what to send, and handles replies and silence.
    :param commands: what other threads request.
    :param feed: turns messages into events.
    :param counters: the client's.
    """

    def __init__(
        self,
        connection: Connection,
        options: WsClientOptions,
        redactor: Redactor,
        controller: Controller,
        commands: Commands,
        feed: FeedHandler,
        counters: Counters,
    ) -> None:
        self._connection = connection
        self._options = options
        self._redactor = redactor
        self._feed = feed
        self._counters = counters
        self._controller = controller
        self._commands = commands
        self._waker = commands.waker
        self._close_deadline: float | None = None
        self._failure: ConnectionFailed | None = None
        # The clocks when they were last read, and the difference that they had at first.
        self._now, self._up = clocks.monotonic(), clocks.uptime()
        self._clock_difference = self._up - self._now
        # When everything was last read, and since when there is always more to read.
        self._read_all_at = self._up
        self._busy_since: float | None = None
        # When to check deadlines again, and whether there may be something to send.
        self._next_check = 0.0
        self._may_send = True
        # Until when no reply or snapshot counts as overdue, because the process was paused before.
        self._grace_until = self._now

    @property
    def due(self) -> float:
        """When the clocks are to be read again at the latest, in monotonic seconds. Any thread."""
        return max(self._now + _CLOCK_INTERVAL, self._close_deadline or 0.0)

    @property
    def silence(self) -> float:
        """Seconds since the last inbound byte. Any thread."""
        return self._connection.silence

    def run(self, keys: Keys) -> None:
        """Authenticate, then read until the connection or the session ends; never returns.

        :param keys: for the authentication.
        :raises ConnectionFailed: when the connection must be replaced, or the client must end.
        :raises Interrupted: when the client has stopped.
        """
        connection = self._connection
        self._controller.opened(self._up)
        self._feed.out.emit("open")
        connection.send_text(self._controller.authenticate(keys, clocks.monotonic()))
        self._log_message("Sent", "Authenticate")  # without the text, which contains the keys
        bytes_before = self._counters.bytes
        while True:
            self._read_clocks()
            texts = connection.receive()
            if texts is not None:
                self._handle(texts)
                self._counters.bytes = bytes_before + connection.bytes_received
                if connection.last_pong_at:
                    self._counters.last_pong_at = connection.last_pong_at
                if self._failure is not None:
                    raise self._failure
                if connection.peer_close is not None:
                    raise self._closed_by_peer()
                if not connection.drained:
                    self._go_on_reading()
                    continue
            self._read_all_at, self._busy_since = self._up, None
            self._idle()

    def _read_clocks(self) -> None:
        before = self._now
        self._now, self._up = clocks.monotonic(), clocks.uptime()
        late = self._now - before > _CLOCK_INTERVAL + clocks.STANDSTILL
        slept = self._up - self._now - self._clock_difference
        if slept > _SLEEP_SECONDS:
            # Again, because the process may have been paused between reading the two clocks.
            slept = self._up - clocks.monotonic() - self._clock_difference
        if slept > _SLEEP_SECONDS or (late and before >= self._grace_until):
            # Data that did not fit into the socket's buffer meanwhile is still to arrive. One
            # extension at a time, or on a slow machine no deadline would ever be enforced.
            self._grace_until = self._now + clocks.TIME_TO_READ
        if slept > _SLEEP_SECONDS:
            self._clock_difference += slept
            # The monotonic clock stood still meanwhile, and the ping is due now.
            self._next_check = 0.0
            pinging = self._connection.ping_soon(slept)
            log(
                logging.WARNING,
                "The machine slept for %s, in which nothing was received. %s",
                duration(slept),
                "The server is pinged, to see whether the connection still works."
                if pinging
                else "The server is not pinged, because of heartbeat_interval=0.",
            )

    def _handle(self, texts: list[str]) -> None:
        """Handle the messages of one read, in slices, because a read can bring very many."""
        # They may have arrived at any time since then.
        self._controller.read_all_at = self._read_all_at
        # Not self._up, which was read before some of them may have arrived.
        self._feed.begin_read(clocks.uptime())
        if len(texts) <= _SLICE:
            self._feed.on_texts(texts, self._on_reply)
        else:
            for start in range(0, len(texts), _SLICE):
                self._feed.on_texts(texts[start : start + _SLICE], self._on_reply)
                if self._waker.stopping:
                    self._close_politely(clocks.monotonic())
        self._feed.out.flush()
        if self._feed.brought_messages:
            self._controller.complete_until = self._read_all_at

    def _go_on_reading(self) -> None:
        """Handle commands although there is more to read; check deadlines if there always is."""
        self._serve_commands()
        if self._busy_since is None:
            self._busy_since = self._now
        elif self._now > max(self._busy_since + _BUSY_SECONDS, self._grace_until):
            if self._waker.stopping:
                return
            # Twice the timeout, because the reply may be among the bytes that are not read yet.
            self._controller.check(self._now - self._options.request_timeout, self._up)

    def _on_reply(self, reply: dict[str, Any]) -> None:
        """Handle a control message; an error that ends the connection is kept in ``_failure``."""
        self._next_check, self._may_send = 0.0, True
        if self._failure is None:
            try:
                self._controller.on_reply(reply)
            except ConnectionFailed as exc:
                # Raised after this read, because order events may follow in it.
                self._failure = exc
            # Last, because log handlers may block; the feed then checks whether to stop.
            self._log_message("Received", reply)

    def _log_message(self, what: str, message: str | dict[str, Any]) -> None:
        """Log a request or a reply at the level DEBUG, shortened and without the keys."""
        if debugging():
            text = message if isinstance(message, str) else json.dumps(message)
            log(logging.DEBUG, "%s %s", what, fit(text, self._redactor, _LOGGED_SIZE))

    def _idle(self) -> None:
        """Handle commands, check deadlines and sleep; called when everything is read."""
        if self._may_send or self._commands.operations or self._waker.stopping:
            self._serve_commands()
        if self._close_deadline is not None:
            # The only deadline now; another one would turn the wait into a busy loop.
            self._connection.wait(self._close_deadline)
            return
        if self._now >= self._next_check or self._connection.is_sending:
            self._check_deadlines(self._now)
        self._connection.wait(self._next_check)

    def _check_deadlines(self, now: float) -> None:
        """Act on deadlines that have passed, and set :attr:`_next_check` to the next one.

        Reading only makes deadlines later, so the value may become too early, but never too late.
        Whatever makes a deadline earlier, such as sending a request, sets it to 0.
        """
        connection = self._connection
        connection.check(now)
        # After check(), which may have sent a ping and so begun a new wait.
        silent = connection.next_check(now)
        if now < self._grace_until:
            self._next_check = min(self._grace_until, silent)
            return
        self._controller.check(now, self._up)
        self._next_check = min(
            now + _CLOCK_INTERVAL, silent, self._controller.next_check(now, self._up)
        )

    def _serve_commands(self) -> None:
        """Carry out what other threads have requested, and send the next request."""
        if self._waker.stopping:
            self._close_politely(self._now)
            return
        if self._commands.operations:
            self._controller.submit(self._commands.take())
            self._may_send = True
        if not self._may_send:
            return
        # Not self._now: there may have been a pause since, and the timeout counts from sending.
        request = self._controller.next_request(clocks.monotonic())
        # One request is in flight at a time; its reply allows the next one.
        self._may_send = False
        if request is not None:
            self._next_check = 0.0
            self._connection.send_text(request)
            self._log_message("Sent", request)

    def _close_politely(self, now: float) -> None:
        """Start the closing handshake; stop when the client aborts or ``close_timeout`` is over.

        :raises Interrupted: then.
        """
        if self._close_deadline is None:
            self._close_deadline = clocks.monotonic() + self._options.close_timeout
            self._connection.close(1000)
        if self._commands.aborting or now >= self._close_deadline:
            raise Interrupted

    def _closed_by_peer(self) -> Exception:
        if self._waker.stopping:
            return Interrupted()
        code, reason = self._connection.close_status()
        details = f"code {code}" + (f", {reason!r}" if reason else "")
        return ConnectionFailed(
            EToroWebSocketError(f"The server closed the connection ({details})."), code=code
        )
