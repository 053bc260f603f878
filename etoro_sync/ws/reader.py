"""The reader thread: it alone touches the socket, and it keeps the stream alive.

One loop per connection reads, answers, sends what other threads have posted, and judges
deadlines; one loop around it reconnects. Other threads only post operations and wake it.
"""

import contextlib
import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import (
    EToroClosedError,
    EToroError,
    EToroWebSocketError,
    forget_locals,
)
from .backoff import Backoff
from .connection import Connection
from .credentials import Credentials, Keys
from .feed import Feed
from .lifecycle import ClientState
from .log import log
from .opener import Opener
from .options import WsClientOptions
from .protocol import Operation, Protocol
from .rate_book import RateBook
from .recovery import Recovery
from .replies import ConnectionFailed
from .stats import Counters
from .wire import Interrupted, Waker

__all__ = ["Reader"]

#: Messages that are handled before a look at whether the client is to stop: about a millisecond.
_SLICE = 256


class Reader:
    """Runs the connections of one session, from ``connect()`` to its end.

    :param name: of the thread.
    :param options: the client's.
    :param protocol: requests and replies; used by this thread alone.
    :param book: merged states; changed by this thread alone.
    :param feed: turns messages into events.
    :param advance: told where the session stands.
    :param counters: what is counted.
    :param resumed: the session before this one failed, so that there was a gap.
    :param on_end: called once, last of all, with None or the error that ended the session.
    """

    def __init__(
        self,
        name: str,
        options: WsClientOptions,
        protocol: Protocol,
        book: RateBook,
        feed: Feed,
        advance: Callable[[ClientState], None],
        counters: Counters,
        on_end: Callable[[EToroError | None], None],
        resumed: bool = False,
    ) -> None:
        self._options = options
        self._protocol = protocol
        self._book = book
        self._feed = feed
        self._advance = advance
        self._counters = counters
        self._on_end = on_end
        self._recovery = Recovery(options, protocol, book, feed, counters, advance, resumed)
        self._waker = Waker()
        self._outbox: deque[Operation] = deque()
        self._backoff = Backoff(
            options.reconnect_delay, options.reconnect_max_delay, options.reconnect_attempts
        )
        self._credentials = Credentials(options, self._waker, lambda: self._stopping)
        self._opener = Opener(options, self._waker, lambda: self._stopping)
        self._stopping = False
        self._aborting = False
        self._close_deadline: float | None = None
        self._over = False
        self._failure: ConnectionFailed | None = None
        self.is_connected = False
        self.last_pong_at = 0.0
        # A daemon, so that a script may end in mid-stream; disconnect() joins it.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    # -- any thread ----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def never_started(self) -> None:
        """Free what the thread would have freed, had it run."""
        self._waker.close()

    def post(self, operation: Operation) -> None:
        """Hand over an operation; one that comes too late is ended with EToroClosedError."""
        self._outbox.append(operation)
        self._waker.wake()
        if self._over:
            self._drop_outbox(_closed())

    def stop(self) -> None:
        """Ask for the end, with a closing handshake of at most ``close_timeout``."""
        self._stopping = True
        self._waker.wake()

    def abort(self) -> None:
        """Ask for the end at once."""
        self._aborting = True
        self.stop()

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end; False: it takes longer."""
        if not self.is_current and self._thread.is_alive():
            self._thread.join(min(max(timeout, 0.0), threading.TIMEOUT_MAX))
        return not self._thread.is_alive()

    @property
    def is_authenticated(self) -> bool:
        """Whether the present connection is authenticated."""
        return self._recovery.is_authenticated

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this thread."""
        return threading.current_thread() is self._thread

    # -- the session; from here on everything runs on the reader thread --------------------------

    def _run(self) -> None:
        error: EToroError | None = None
        _block_sigpipe()
        try:
            error = self._session()
        except BaseException as exc:  # a defect of this library must not become a silent end
            forget_locals(exc)
            words = self._options.redact(repr(exc))
            # With its place instead of as its cause, whose own words may hold a key.
            error = EToroWebSocketError(f"Internal error of etoro_sync: {words}")
            error.__traceback__ = exc.__traceback__
            log(logging.ERROR, "The reader thread failed; please report this", exc_info=error)
        finally:
            self._finish(error)

    def _session(self) -> EToroError | None:
        """Connect, and reconnect until stopped (None) or until it cannot go on (the error)."""
        while not self._stopping:
            failure = self._connection()
            if self._stopping or failure is None:
                return None
            if failure.fatal or not self._recovery.ever_live:
                return failure.error
            if self._recovery.stable:
                self._backoff.reset(lasting=self._recovery.lasting)
            delay = self._backoff.next(slow=failure.slow)
            if delay is None:
                return self._gave_up(failure.error)
            self._advance(ClientState.RECONNECTING)
            attempt = self._backoff.attempt
            log(
                logging.WARNING,
                "%s Reconnecting in %.1f s (attempt %d).",
                failure.error,
                delay,
                attempt,
            )
            self._feed.out.emit("reconnecting", attempt, delay)
            self._pause(delay)
        return None

    def _gave_up(self, last: EToroError) -> EToroError:
        attempts = self._options.reconnect_attempts
        if not attempts:
            return last
        error = EToroWebSocketError(
            f"Gave up after {attempts} attempts to reconnect. The last one: {last}",
            getattr(last, "error_code", None),
        )
        error.__cause__ = last
        return error

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            self._waker.wait(left)
            self._take_outbox()

    # -- one connection ------------------------------------------------------------------------

    def _connection(self) -> ConnectionFailed | None:
        """Live through one connection; return why it ended, None when the user wished so."""
        self._recovery.begin()
        self._counters.connect_attempts += 1
        deadline = time.monotonic() + self._options.connect_timeout
        connection: Connection | None = None
        try:
            keys = self._credentials.get(deadline)
            connection = self._open(deadline)
            self._serve(connection, keys)
        except Interrupted:
            failure = None
        except ConnectionFailed as exc:
            failure = exc
        except EToroError as exc:
            failure = ConnectionFailed(exc)
        else:
            failure = None
        finally:
            self.is_connected = False
            self._recovery.end()
            if connection is not None:
                connection.dispose()
        if failure is not None:
            forget_locals(failure, failure.error)
        reconnecting = self._recovery.ever_live and not self._stopping
        if connection is not None:
            self._closed(connection, failure)
        elif reconnecting and failure is not None and not failure.fatal:
            # What is fatal is told at the end.
            self._feed.out.error(failure.error)
        return failure

    def _open(self, deadline: float) -> Connection:
        connection = self._opener.open(deadline)
        self._counters.connections += 1
        self._counters.connected_at = time.monotonic()
        self.is_connected = True
        return connection

    def _serve(self, connection: Connection, keys: Keys) -> None:
        """Authenticate, then read until the connection or the session ends."""
        self._advance(self._state_while(ClientState.AUTHENTICATING))
        self._feed.out.emit("open")
        connection.send_text(
            self._protocol.authenticate(keys.api_key, keys.user_key, time.monotonic())
        )
        bytes_before = self._counters.bytes
        self._failure = None
        while True:
            texts = connection.receive()
            if texts is not None:
                self._take(connection, texts)
                self._counters.bytes = bytes_before + connection.bytes_received
                self._look_at(connection)
                if not connection.drained:
                    self._work(connection, time.monotonic())
                    continue
            self._idle(connection, heard=texts is not None)

    def _take(self, connection: Connection, texts: list[str]) -> None:
        """Handle the messages of one read, in slices: a server can send very many small ones."""
        self._feed.begin_read()
        if len(texts) <= _SLICE:
            self._feed.on_texts(texts, self._on_reply)
        else:
            for start in range(0, len(texts), _SLICE):
                self._feed.on_texts(texts[start : start + _SLICE], self._on_reply)
                if self._stopping:
                    self._work_on_closing(connection, time.monotonic())
        self._feed.out.flush()

    def _look_at(self, connection: Connection) -> None:
        """Note what a read has brought besides messages; raise what it means to the connection."""
        self.last_pong_at = connection.last_pong_at or self.last_pong_at
        if self._failure is not None:
            raise self._failure
        if connection.peer_close is not None:
            raise self._closed_by_peer(connection)
        # A second timeout's grace: the answer may be among the bytes not yet read.
        self._protocol.check_deadline(time.monotonic() - self._options.request_timeout)

    def _on_reply(self, reply: dict[str, Any]) -> None:
        """Handle a control message; keep what ends the connection until the read is dealt with."""
        if self._failure is None:
            try:
                self._recovery.on_reply(reply)
            except ConnectionFailed as exc:
                # Order events may stand behind it in the same read.
                self._failure = exc

    def _state_while(self, first: ClientState) -> ClientState:
        return ClientState.RECONNECTING if self._recovery.ever_live else first

    def _idle(self, connection: Connection, heard: bool) -> None:
        """Nothing to read: judge the deadlines, send what is due, and sleep.

        :param heard: something was read just now, so that an answer may have come since.
        """
        now = time.monotonic()
        self._work(connection, now)
        if self._close_deadline is not None:
            # The only one that is judged now; another would turn the wait into a busy loop.
            connection.wait(self._close_deadline)
            return
        connection.check(now)
        if not heard:
            self._protocol.check_deadline(now)
        deadline = self._recovery.next_stale_check
        answer_due = self._protocol.deadline
        connection.wait(deadline if answer_due is None else min(deadline, answer_due))

    def _work(self, connection: Connection, now: float) -> None:
        """Do what other threads have asked for."""
        if self._stopping:
            self._work_on_closing(connection, now)
            return
        if now >= self._recovery.next_stale_check:
            self._recovery.check_stale(now)
        if self._outbox:
            self._take_outbox()
        request = self._protocol.next_request(now)
        if request is not None:
            text, snapshots = request
            self._book.expect_snapshots(snapshots)
            connection.send_text(text)

    def _work_on_closing(self, connection: Connection, now: float) -> None:
        """Close politely, within ``close_timeout``, whatever the peer does."""
        if self._close_deadline is None:
            self._close_deadline = now + self._options.close_timeout
            connection.close(1000)
        if self._aborting or now >= self._close_deadline:
            raise Interrupted

    def _take_outbox(self) -> None:
        # As many as there are now: others may post faster than this thread takes.
        for _ in range(len(self._outbox)):
            operation = self._outbox.popleft()
            if operation.name == "Unsubscribe" and not self._protocol.authenticated:
                topics = operation.topics
                self._book.forget([t for t in topics if not self._protocol.is_of_use(t)])
            self._protocol.submit(operation)

    # -- ends ----------------------------------------------------------------------------------

    def _closed_by_peer(self, connection: Connection) -> Exception:
        if self._stopping:
            return Interrupted()
        code, reason = connection.close_words()
        words = f"code {code}" + (f", {reason!r}" if reason else "")
        return ConnectionFailed(
            EToroWebSocketError(f"The server closed the connection ({words})."), code=code
        )

    def _closed(self, connection: Connection, failure: ConnectionFailed | None) -> None:
        """Tell of the end of an open connection; exactly once for each."""
        self._counters.connected_at = None
        if connection.peer_close is not None:
            code, reason = connection.close_words()
        elif failure is not None:
            code, reason = failure.code, str(failure.error)
        else:
            code, reason = 1006, "the server did not answer the close in time"
        self._recovery.lost()
        if self._recovery.ever_live and not self._stopping:
            self._advance(ClientState.RECONNECTING)
        self._feed.out.emit("close", code, reason)

    def _finish(self, error: EToroError | None) -> None:
        """End everything that waits for this thread; the last thing it does."""
        self._over = True
        try:
            self._protocol.fail_all(error or _closed())
            self._drop_outbox(error or _closed())
            if error is not None:
                log(logging.ERROR, "The client ended: %s", error)
                self._feed.out.error(error)
            self._feed.out.flush()
        finally:
            self._on_end(error)
            self._waker.close()

    def _drop_outbox(self, error: EToroError) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._outbox.popleft().on_done(error)


def _closed() -> EToroClosedError:
    return EToroClosedError("The client was disconnected. Call connect() to use it again.")


def _block_sigpipe() -> None:
    """Make a reset an error of the write, also in programs that have put SIGPIPE to its default.

    Python ignores SIGPIPE; filters that restore it would be killed by a server that goes away.
    Only the calling thread is concerned.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
