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

from ..errors import (
    EToroClosedError,
    EToroError,
    EToroSubscriptionError,
    EToroWebSocketError,
)
from ..models import WsGap
from .backoff import Backoff
from .connection import Connection
from .feed import Feed
from .gate import LogGate
from .lifecycle import ClientState
from .log import log
from .opener import Opener
from .options import WsClientOptions
from .protocol import Operation, Protocol
from .rate_book import RateBook
from .replies import ConnectionFailed
from .stats import Counters
from .wire import Interrupted, Waker

__all__ = ["Reader"]

#: A session that lived this long, or that brought data, sets the attempt counter back to zero.
_STABLE_SECONDS = 30.0


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
        self._resumed = resumed
        self._waker = Waker()
        self._outbox: deque[Operation] = deque()
        self._backoff = Backoff(
            options.reconnect_delay, options.reconnect_max_delay, options.reconnect_attempts
        )
        self._opener = Opener(options, self._waker, lambda: self._stopping)
        self._stopping = False
        self._aborting = False
        self._gate = LogGate()
        self._close_deadline: float | None = None
        self._next_stale_check = float("inf")
        self._over = False
        self._ever_live = False
        self._stable_at = float("inf")
        self._messages_before = 0
        self._gap_from: float | None = None
        self._restored: list[str] = []
        self.is_connected = False
        self.is_authenticated = False
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
    def is_current(self) -> bool:
        """Whether the caller runs on this thread."""
        return threading.current_thread() is self._thread

    # -- the session; from here on everything runs on the reader thread --------------------------

    def _run(self) -> None:
        error: EToroError | None = None
        _block_sigpipe()
        try:
            error = self._session()
        except Exception as exc:  # a defect of this library must not become a silent end
            error = EToroWebSocketError(f"Internal error of etoro_sync: {exc!r}")
            error.__cause__ = exc
            log(logging.ERROR, "The reader thread failed; please report this", exc_info=exc)
        finally:
            self._finish(error)

    def _session(self) -> EToroError | None:
        """Connect, and reconnect until stopped (None) or until it cannot go on (the error)."""
        while not self._stopping:
            failure = self._connection()
            if self._stopping or failure is None:
                return None
            if failure.fatal or not self._ever_live:
                return failure.error
            if self._is_stable():
                self._backoff.reset()
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
            self._feed.emit("reconnecting", attempt, delay)
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

    def _is_stable(self) -> bool:
        """Whether the last connection earned a new start of the attempt counter."""
        if self._stable_at == float("inf"):
            return False
        brought_data = self._counters.messages > self._messages_before
        return brought_data or time.monotonic() >= self._stable_at

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopping and (left := deadline - time.monotonic()) > 0:
            self._waker.wait(left)
            self._take_outbox()

    # -- one connection ------------------------------------------------------------------------

    def _connection(self) -> ConnectionFailed | None:
        """Live through one connection; return why it ended, None when the user wished so."""
        self._stable_at = self._next_stale_check = float("inf")
        self._messages_before = self._counters.messages
        connection: Connection | None = None
        try:
            connection = self._open()
            self._serve(connection)
        except Interrupted:
            failure = None
        except ConnectionFailed as exc:
            failure = exc
        except EToroError as exc:
            failure = ConnectionFailed(exc)
        else:
            failure = None
        finally:
            self.is_connected = self.is_authenticated = False
            self._protocol.connection_lost()
            if connection is not None:
                connection.dispose()
        if connection is not None:
            self._closed(connection, failure)
        elif failure is not None and self._ever_live and not self._stopping:
            self._feed.error(failure.error)
        return failure

    def _open(self) -> Connection:
        self._counters.connect_attempts += 1
        connection = self._opener.open()
        self._counters.connections += 1
        self._counters.connected_at = time.monotonic()
        self.is_connected = True
        return connection

    def _serve(self, connection: Connection) -> None:
        """Authenticate, then read until the connection or the session ends."""
        options = self._options
        self._advance(self._state_while(ClientState.AUTHENTICATING))
        self._feed.emit("open")
        connection.send_text(
            self._protocol.authenticate(options.api_key, options.user_key, time.monotonic())
        )
        bytes_before = self._counters.bytes
        while True:
            texts = connection.receive()
            if texts is None:
                self._idle(connection)
                continue
            self._feed.begin_read()
            failure = self._take(texts)
            self._feed.flush()
            self._counters.bytes = bytes_before + connection.bytes_received
            self.last_pong_at = connection.last_pong_at or self.last_pong_at
            if failure is not None:
                raise failure
            if connection.peer_close is not None:
                raise self._closed_by_peer(connection)
            now = time.monotonic()
            # A second timeout's grace: the answer may be among the bytes not yet read.
            self._protocol.check_deadline(now - options.request_timeout)
            self._work(connection, now)

    def _take(self, texts: list[str]) -> ConnectionFailed | None:
        """Handle what a read has brought, to its end; return what ends the connection."""
        failure: ConnectionFailed | None = None
        for text in texts:
            reply = self._feed.on_text(text)
            if reply is not None and failure is None:
                try:
                    self._on_reply(reply)
                except ConnectionFailed as exc:
                    # Order events may stand behind it in the same read.
                    failure = exc
        return failure

    def _state_while(self, first: ClientState) -> ClientState:
        return ClientState.RECONNECTING if self._ever_live else first

    def _idle(self, connection: Connection) -> None:
        """Nothing to read: judge the deadlines, send what is due, and sleep."""
        now = time.monotonic()
        self._work(connection, now)
        if self._close_deadline is None:
            connection.check(now)
            self._protocol.check_deadline(now)
        times = [self._protocol.deadline, self._close_deadline, self._next_stale_check]
        known = [moment for moment in times if moment is not None]
        connection.wait(min(known) if known else None)

    def _work(self, connection: Connection, now: float) -> None:
        """Do what other threads have asked for."""
        if self._stopping:
            self._work_on_closing(connection, now)
            return
        if now >= self._next_stale_check:
            self._check_stale(now)
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

    # -- replies -------------------------------------------------------------------------------

    def _on_reply(self, reply: dict[str, object]) -> None:
        restoring = self._protocol.restoring
        outcome = self._protocol.on_reply(reply)
        if outcome.error is not None:
            self._on_refusal(outcome.error)
        elif outcome.name == "Authenticate":
            self._on_authenticated()
            restoring = True
        elif outcome.name == "Subscribe":
            self._book.subscribed(outcome.topics, time.monotonic())
            if outcome.duplicate:
                self._book.expect_none(outcome.topics)
        elif outcome.name == "Unsubscribe":
            self._book.forget(outcome.topics)
        if restoring and not self._protocol.restoring:
            self._on_restored()

    def _on_refusal(self, error: EToroError) -> None:
        if isinstance(error, EToroSubscriptionError):
            topics = [topic for topic in error.topics if not self._protocol.is_of_use(topic)]
            self._book.forget(topics)
        if self._gate.passes(getattr(error, "error_code", None)) is not None:
            log(logging.ERROR, "%s", error)
        self._feed.error(error)

    def _on_authenticated(self) -> None:
        if self._options.stale_after:
            self._next_stale_check = time.monotonic()
        self._feed.barrier()
        # Also where connect() was called after a failure: what was wanted has seen a gap.
        resumed = self._ever_live or self._resumed
        self._restored = self._protocol.restore(with_snapshots=resumed)
        generation = self._book.begin_generation(self._restored)
        log(logging.INFO, "Authenticated; this is connection %d.", generation)
        self.is_authenticated = True
        if not self._ever_live:
            self._ever_live = True
            self._advance(ClientState.LIVE)
        self._feed.emit("authenticated")

    def _on_restored(self) -> None:
        """All subscriptions are acknowledged: the gap, if there was one, is over."""
        # Not before: a session that cannot restore its topics is not stable, whatever it brings.
        self._stable_at = time.monotonic() + _STABLE_SECONDS
        if self._gap_from is None:
            return
        topics = tuple(topic for topic in self._restored if self._protocol.is_confirmed(topic))
        gap = WsGap(self._gap_from, time.time(), self._book.generation, topics)
        self._gap_from = None
        self._counters.reconnects += 1
        log(logging.INFO, "Reconnected after %.1f s; %d topics.", gap.seconds, len(gap.topics))
        self._advance(ClientState.LIVE)
        self._feed.emit("reconnected", gap)

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
        if self._gap_from is None and self._ever_live:
            last = self._counters.last_message_at
            self._gap_from = time.time() - (0.0 if last is None else time.monotonic() - last)
        if self._ever_live and not self._stopping:
            self._advance(ClientState.RECONNECTING)
        self._feed.emit("close", code, reason)

    def _check_stale(self, now: float) -> None:
        """Emit ``"stale"`` for subscribed instruments that are too quiet, a few times per limit."""
        limit = self._options.stale_after
        self._next_stale_check = now + limit / 4 if limit else float("inf")
        for topic, instrument in self._book.instruments:
            age = now - instrument.heard_at
            if age < limit or instrument.stale or instrument.closed:
                continue
            if self._protocol.is_confirmed(topic):
                instrument.stale = True
                self._feed.emit("stale", instrument.id, age)

    def _finish(self, error: EToroError | None) -> None:
        """End everything that waits for this thread; the last thing it does."""
        self._over = True
        try:
            self._protocol.fail_all(error or _closed())
            self._drop_outbox(error or _closed())
            if error is not None:
                log(logging.ERROR, "The client ended: %s", error)
                self._feed.error(error)
            self._feed.flush()
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
