"""One connection, from the authentication to its end: read, answer, send, judge deadlines.

Every method runs on the reader thread; nothing blocks but the wait at the end of ``_idle()``.

The clocks are looked at before each read, and deadlines are judged by that look once nothing is
left to read. So whatever came in time counts as such, also when the process stood still meanwhile,
and what was read last is known to be all that there was at that moment.
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

#: Messages that are handled before a look at whether the client is to stop: about a millisecond.
_SLICE = 256
#: Characters of a request or an answer in the log.
_LOGGED_SIZE = 300
#: Seconds between two looks at the clocks, at most: how much longer than the truth a gap may be,
#: and how soon a sleep of the machine is noticed.
_CLOCK_INTERVAL = 1.0
#: Seconds that the machine must have slept for the connection to be in doubt.
_SLEEP_SECONDS = 1.0
#: Seconds of reading without a pause after which deadlines are judged all the same.
_BUSY_SECONDS = 1.0


class ConnectionLoop:
    """Reads one open connection and writes to it, until it fails or the client is to stop.

    :param connection: open, nothing sent on it yet.
    :param options: the client's.
    :param redactor: masks the keys.
    :param controller: knows what to send, and judges replies and silence.
    :param commands: what other threads ask for.
    :param feed: turns messages into events.
    :param counters: what is counted.
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
        # The last look at the clocks, and how far apart they were at first.
        self._now, self._up = clocks.monotonic(), clocks.uptime()
        self._clock_difference = self._up - self._now
        # When all that had come was read for the last time, and since when that is not so.
        self._read_all_at = self._up
        self._busy_since: float | None = None
        # When there is something to judge again, and whether there may be something to send.
        self._next_check = 0.0
        self._may_send = True
        # Until when nothing is taken for missing, behind a time in which the process stood still.
        self._grace_until = self._now

    def run(self, keys: Keys) -> None:
        """Authenticate, then read until the connection or the session ends.

        :raises ConnectionFailed: why the connection is to be replaced, or the client must end.
        :raises Interrupted: when the client was to stop.
        """
        connection = self._connection
        self._controller.opened(self._up)
        self._feed.out.emit("open")
        connection.send_text(self._controller.authenticate(keys, clocks.monotonic()))
        self._log_message("Sent", "Authenticate")  # without its text, which has the keys
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
            # Once more: the process may have stood still between the looks at the two.
            slept = self._up - clocks.monotonic() - self._clock_difference
        if slept > _SLEEP_SECONDS or (late and before >= self._grace_until):
            # What had no room in the socket meanwhile is still to come. Not so each time, or a
            # machine that is always too slow would never judge anything.
            self._grace_until = self._now + clocks.TIME_TO_READ
        if slept > _SLEEP_SECONDS:
            self._clock_difference += slept
            # The clock of the deadlines has not gone on meanwhile, and the peer is to be asked now.
            self._next_check = 0.0
            asked = self._connection.ping_soon(slept)
            log(
                logging.WARNING,
                "The machine slept for %s, in which nothing was received. %s",
                duration(slept),
                "The server is asked for a sign of life."
                if asked
                else "Whether the server is still there is not asked, with heartbeat_interval=0.",
            )

    def _handle(self, texts: list[str]) -> None:
        """Handle the messages of one read, in slices: a server can send very many small ones."""
        # What they bring may have come at any time since then.
        self._controller.read_all_at = self._read_all_at
        # By a look behind the read: some of it may have come between the last one and the read.
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
        """Do what cannot wait until all is read; judge deadlines only if that never comes."""
        self._serve_commands()
        if self._busy_since is None:
            self._busy_since = self._now
        elif self._now > max(self._busy_since + _BUSY_SECONDS, self._grace_until):
            if self._waker.stopping:
                return
            # A second timeout's grace: the answer may be among the bytes not yet read.
            self._controller.check(self._now - self._options.request_timeout, self._up)

    def _on_reply(self, reply: dict[str, Any]) -> None:
        """Handle a control message; keep what ends the connection until the read is dealt with."""
        self._next_check, self._may_send = 0.0, True
        if self._failure is None:
            try:
                self._controller.on_reply(reply)
            except ConnectionFailed as exc:
                # Order events may stand behind it in the same read.
                self._failure = exc
            # Last, as the log's handlers may take their time; the feed then looks for the end.
            self._log_message("Received", reply)

    def _log_message(self, what: str, message: str | dict[str, Any]) -> None:
        """Write to the log, for those who look for a fault, what was asked and answered."""
        if debugging():
            text = message if isinstance(message, str) else json.dumps(message)
            log(logging.DEBUG, "%s %s", what, fit(text, self._redactor, _LOGGED_SIZE))

    def _idle(self) -> None:
        """All is read: judge the deadlines, send what is due, and sleep."""
        if self._may_send or self._commands.operations or self._waker.stopping:
            self._serve_commands()
        if self._close_deadline is not None:
            # The only one that is judged now; another would turn the wait into a busy loop.
            self._connection.wait(self._close_deadline)
            return
        if self._now >= self._next_check or self._connection.is_sending:
            self._check_deadlines(self._now)
        self._connection.wait(self._next_check)

    def _check_deadlines(self, now: float) -> None:
        """Act on the deadlines that are over, and note when the next one is.

        There is one next moment for all who have a deadline. Whatever is read can only put theirs
        off; what brings one closer, such as a request that was sent, sets :attr:`_next_check` back.
        """
        connection = self._connection
        connection.check(now)
        # As the check may have sent a ping, and looked at the clock for that.
        silent = connection.next_check(now)
        if now < self._grace_until:
            self._next_check = min(self._grace_until, silent)
            return
        self._controller.check(now, self._up)
        self._next_check = min(
            now + _CLOCK_INTERVAL, silent, self._controller.next_check(now, self._up)
        )

    def _serve_commands(self) -> None:
        """Do what other threads have asked for."""
        if self._waker.stopping:
            self._close_politely(self._now)
            return
        if self._commands.operations:
            self._controller.submit(self._commands.take())
            self._may_send = True
        if not self._may_send:
            return
        # Its time begins now, and not at the last look at the clocks: there may have been a pause.
        request = self._controller.next_request(clocks.monotonic())
        # One at a time: the next one waits for its answer.
        self._may_send = False
        if request is not None:
            self._next_check = 0.0
            self._connection.send_text(request)
            self._log_message("Sent", request)

    def _close_politely(self, now: float) -> None:
        """Close politely, within ``close_timeout``, whatever the peer does."""
        if self._close_deadline is None:
            self._close_deadline = clocks.monotonic() + self._options.close_timeout
            self._connection.close(1000)
        if self._commands.aborting or now >= self._close_deadline:
            raise Interrupted

    def _closed_by_peer(self) -> Exception:
        if self._waker.stopping:
            return Interrupted()
        code, reason = self._connection.close_status()
        words = f"code {code}" + (f", {reason!r}" if reason else "")
        return ConnectionFailed(
            EToroWebSocketError(f"The server closed the connection ({words})."), code=code
        )
