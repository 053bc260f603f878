"""The reader thread, which alone uses the socket, and reconnects.

For each connection it gets the keys, connects, runs the connection loop and finds out why that
ended; then it waits and tries again. Other threads only post commands.
"""

import logging
import math
import threading
from collections.abc import Callable
from functools import partial

from ... import clocks
from ...errors import EToroAuthError, EToroError, EToroWebSocketError, forget_locals
from ...logs import log, tidy
from ...market.feed_handler import FeedHandler
from ...own_threads import READER, OwnThreads
from ...redaction import Redactor
from ...stats import Counters
from ...synchronization import Interrupted, join_thread
from ...text import count, duration, repeated
from ...throttle import LogThrottle
from ..failures import ConnectionFailed
from ..options import WsClientOptions
from ..protocol.requests import Operation
from ..transport.addresses import Addresses
from ..transport.connection import Connection
from .backoff import Backoff
from .commands import Commands, closed
from .connection_loop import ConnectionLoop
from .connector import Connector
from .controller import Controller
from .credentials import Credentials
from .signals import block_sigpipe

__all__ = ["Reader"]

#: Seconds beyond ``connect_timeout`` that an attempt may take without being late: systems ask
#: several name servers several times, and cannot be interrupted.
_NAME_RESOLUTION = 60.0


class Reader:
    """Runs the connections of one session, from ``connect()`` to its end.

    :param name: of the thread.
    :param options: the client's.
    :param redactor: masks the keys; those that users' callables return are added to it.
    :param controller: subscribes each connection to what is wanted.
    :param feed: turns messages into events.
    :param counters: the client's.
    :param own_threads: the client's; this thread is added to these while it runs.
    :param addresses: which of the server's addresses have worked; used by this thread alone.
    :param on_end: called once, last of all, with None or the error that ended the session.
    :param reports_failure: returns whether to emit the error that ended the session.
    """

    def __init__(
        self,
        name: str,
        options: WsClientOptions,
        redactor: Redactor,
        controller: Controller,
        feed: FeedHandler,
        counters: Counters,
        own_threads: OwnThreads,
        addresses: Addresses,
        on_end: Callable[[EToroError | None], None],
        reports_failure: Callable[[], bool],
    ) -> None:
        self._options = options
        self._redactor = redactor
        self._controller = controller
        self._feed = feed
        self._counters = counters
        self._own_threads = own_threads
        self._on_end = on_end
        self._reports_failure = reports_failure
        self._commands = Commands()
        self._backoff = Backoff(
            options.reconnect_delay, options.reconnect_max_delay, options.reconnect_attempts
        )
        self._waker = self._commands.waker
        self._credentials = Credentials(options, redactor, self._waker, own_threads)
        self._connector = Connector(options, redactor, self._waker, addresses)
        self._throttle = LogThrottle()
        # Allocated in advance, so that running out of memory ends the session as a failure, and not
        # as a disconnect.
        self._unknown_error = EToroWebSocketError(
            "Internal error of etoro_sync; its details could not be recorded. The system may have "
            "run out of memory."
        )
        self._begun = False
        # The loop of the open connection, and when this thread takes its next step without one.
        self._open_loop: ConnectionLoop | None = None
        self._due = math.inf
        #: Whether the first connection is tried again as any later one; set before the start.
        self.retries_first = False
        self.is_connected = False
        # A daemon, so that a program can end without disconnect(), which joins it.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    # -- any thread ----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def post(self, operation: Operation) -> None:
        """Hand over an operation; after the session's end it ends with EToroClosedError."""
        self._commands.post(operation)

    def stop(self) -> None:
        """Request the end, with a closing handshake of at most ``close_timeout``."""
        self._commands.stop()

    def abort(self) -> None:
        """Request the end at once.

        If the thread has not begun, its resources are freed here; if it begins later, it ends at
        once and does not use them.
        """
        self._feed.over = True
        self._commands.abort()
        if not self._begun:
            self._commands.close()

    def join(self, timeout: float) -> bool:
        """Wait for the thread's end, for *timeout* seconds; return whether it has ended.

        On the thread itself this returns False at once.
        """
        if self.is_current:
            return False
        return join_thread(self._thread, timeout)

    @property
    def is_authenticated(self) -> bool:
        """Whether the present connection is authenticated."""
        return self._controller.is_authenticated

    @property
    def is_resumed(self) -> bool:
        """Whether this session, or the failed one before it, was ever live."""
        return self._controller.is_resumed

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this thread."""
        return threading.current_thread() is self._thread

    @property
    def silence(self) -> float | None:
        """Seconds since the last byte of the open connection; None: there is none."""
        loop = self._open_loop
        return None if loop is None else loop.silence

    @property
    def delay(self) -> float:
        """Seconds by which this thread is late for its next step; infinite: it has died."""
        if not self._begun:
            return 0.0
        if not self._thread.is_alive():
            return math.inf
        loop = self._open_loop
        due = self._due if loop is None else loop.due
        return max(clocks.monotonic() - due, 0.0)

    # -- the session; from here on everything runs on the reader thread --------------------------

    def _run(self) -> None:
        self._begun = True  # before it first checks whether to stop; see abort()
        error: EToroError | None = self._unknown_error
        with self._own_threads.working(READER):
            try:
                self._credentials.signals = block_sigpipe()
                error = self._session()
            except BaseException as exc:  # a defect must end the session with an error, too
                error = self._report_defect(exc)
            finally:
                self._finish(error)

    def _session(self) -> EToroError | None:
        """Connect and reconnect until the session ends; return what ended it, None: the user."""
        while not self._waker.stopping:
            failure = self._connection()
            if self._waker.stopping or failure is None:
                return None
            if failure.fatal or not self._recovers:
                return failure.error
            if not self._pause(failure):
                return self._final_error(failure.error)
        return None

    @property
    def _recovers(self) -> bool:
        """Whether a connection that fails is followed by another attempt."""
        return self._controller.ever_live or self.retries_first

    def _pause(self, failure: ConnectionFailed) -> bool:
        """Wait before the next attempt; False: no attempt is left.

        If something fails in here, such as an allocation, the client waits and tries again.
        """
        deadline = clocks.monotonic() + self._options.reconnect_delay
        try:
            if self._controller.restored:
                self._backoff.reset(lasting=self._controller.lasting)
            delay = self._backoff.next(slow=failure.slow, retry_after=failure.retry_after)
            if delay is None:
                return False
            deadline = clocks.monotonic() + delay
            self._controller.reconnecting()
            attempt = self._backoff.attempt
            log(
                logging.WARNING,
                "%s Reconnecting in %s (attempt %d).",
                failure.error,
                duration(delay),
                attempt,
            )
            self._due = deadline  # of the wait
            self._feed.out.emit("reconnecting", attempt, delay)
            self._wait(deadline)
        except Exception as exc:
            self._report_defect(exc)
            self._due = deadline
            self._commands.poll_until(deadline)
        return True

    def _wait(self, deadline: float) -> None:
        """Wait until *deadline* or :meth:`stop`, and submit what users request meanwhile."""
        while not self._waker.stopping and (left := deadline - clocks.monotonic()) > 0:
            self._waker.wait(left)
            self._controller.submit(self._commands.take())

    def _final_error(self, last: EToroError) -> EToroError:
        attempts = self._options.reconnect_attempts
        if not attempts:
            return last
        message = f"Gave up after {count(attempts, 'attempt')} to reconnect. The last one: {last}"
        if isinstance(last, EToroAuthError):
            # The same class as from connect(), so that one handler can ask for other keys.
            refusal = EToroAuthError(message, last.error_code)
            refusal.__cause__ = last.__cause__
            return refusal
        error = EToroWebSocketError(message, getattr(last, "error_code", None))
        error.__cause__ = last
        return error

    # -- one connection ------------------------------------------------------------------------

    def _connection(self) -> ConnectionFailed | None:
        """Open and run one connection; return why it ended, None if the user ended it."""
        connection: Connection | None = None
        failure: ConnectionFailed | None = None
        try:
            self._counters.connect_attempts += 1
            self._controller.lost()  # again, in case reporting the last end has failed
            self._controller.begin()
            deadline = clocks.monotonic() + self._options.connect_timeout
            self._due = deadline + _NAME_RESOLUTION
            keys, deadline = self._credentials.get(deadline)
            connection = self._open(deadline)
            self._open_loop = self._loop(connection)
            self._open_loop.run(keys)
        except Interrupted:
            pass
        except ConnectionFailed as exc:
            failure = exc
        except EToroError as exc:
            failure = ConnectionFailed(exc)
        except Exception as exc:  # a defect ends this attempt, but the next one may succeed
            failure = ConnectionFailed(self._report_defect(exc))
        finally:
            self._clean_up(connection)
        tidy(
            _nothing if failure is None else partial(forget_locals, failure, failure.error),
            partial(self._report_end, connection, failure),
            report=self._report_defect,
        )
        return failure

    def _clean_up(self, connection: Connection | None) -> None:
        """Free what belongs to an attempt; a step that fails is reported, and the others run."""
        self.is_connected = False
        self._due, self._open_loop = clocks.monotonic(), None
        authenticated = self._controller.is_authenticated
        tidy(
            self._connector.mark_address_proven if authenticated else _nothing,
            self._controller.end,
            _nothing if connection is None else connection.dispose,
            report=self._report_defect,
        )

    def _report_end(self, connection: Connection | None, failure: ConnectionFailed | None) -> None:
        reconnecting = self._recovers and not self._waker.stopping
        if connection is not None:
            self._report_close(connection, failure)
        elif reconnecting and failure is not None and not failure.fatal:
            # A fatal error is emitted at the session's end.
            self._feed.out.error(failure.error)

    def _open(self, deadline: float) -> Connection:
        connection = self._connector.open(deadline)
        self._counters.connections += 1
        self._counters.connected_at = clocks.uptime()
        self.is_connected = True
        return connection

    def _loop(self, connection: Connection) -> ConnectionLoop:
        return ConnectionLoop(
            connection,
            self._options,
            self._redactor,
            self._controller,
            self._commands,
            self._feed,
            self._counters,
        )

    # -- ends ----------------------------------------------------------------------------------

    def _report_defect(self, exc: BaseException) -> EToroError:
        """Log an unexpected exception, and return the error that users get for it."""
        error = self._unknown_error
        try:
            forget_locals(exc)
            # With its traceback instead of as its cause, whose message may contain a key.
            error = EToroWebSocketError(
                f"Internal error of etoro_sync: {self._redactor(repr(exc))}. Please report it, "
                "with the traceback in the log."
            )
            error.__traceback__ = exc.__traceback__
            quiet = self._throttle.passes(type(exc).__name__)
            if quiet is not None:
                message = f"Internal error; please report this{repeated(quiet)}"
                log(logging.ERROR, "%s", message, exc_info=error)
        except Exception:
            pass  # out of memory, perhaps; the error made so far is returned
        return error

    def _report_close(self, connection: Connection, failure: ConnectionFailed | None) -> None:
        """Emit ``"close"`` for an open connection; called exactly once for each."""
        if self._feed.over:
            return  # the next session may have begun, and uses the counters and the registry
        self._counters.connected_at = None
        if connection.peer_close is not None:
            code, reason = connection.close_status()
        elif failure is not None:
            code, reason = failure.code, str(failure.error)
        else:
            code, reason = 1006, "the server did not answer the close in time"
        self._controller.lost()
        if self._recovers and not self._waker.stopping:
            self._controller.reconnecting()
        self._feed.out.emit("close", code, reason)

    def _finish(self, error: EToroError | None) -> None:
        """End everything that waits for this thread; runs last on it."""
        out = self._feed.out
        reports = error is not None and self._reports_failure()
        try:
            tidy(
                partial(self._commands.finish, error),
                partial(self._controller.finish, error or closed()),
                partial(out.error, error) if error is not None and reports else _nothing,
                out.flush,
                report=self._report_defect,
            )
        finally:
            tidy(
                partial(self._end_session, error), self._commands.close, report=self._report_defect
            )

    def _end_session(self, error: EToroError | None) -> None:
        try:
            self._on_end(error)
        except Exception as exc:
            self._report_defect(exc)
            # Again: if memory ran out, waiting threads do not know of the end yet.
            self._on_end(error)


def _nothing() -> None:
    """Do nothing; a cleanup step that does not apply."""
