"""Keeps what eToro was asked, what it has confirmed, and what users are shown in agreement.

The one place that knows the protocol, the book and the gap together: each request, reply, loss and
silence comes through here. It holds what survives a connection: whether the session was ever live,
since when there is a gap, and whether the last connection was restored. Everything here runs on the
reader thread. Ages and gaps are of the clock that counts the machine's sleep, as users are told of
them; deadlines of requests are of the monotonic one.
"""

import logging
from collections.abc import Callable, Iterable

from ... import clocks
from ...errors import EToroError, EToroSubscriptionError
from ...logs import log
from ...market.feed_handler import FeedHandler
from ...market.rate_book import RateBook
from ...models import WsGap
from ...state import ClientState
from ...stats import Counters
from ...text import count, duration, repeated
from ...throttle import LogThrottle
from ..protocol.control import ControlChannel
from ..protocol.requests import Operation
from .credentials import Keys

__all__ = ["Controller"]

#: A connection must have lived this long behind its restoration for the waits to begin anew. Else
#: two clients that throw each other out, each after its first snapshot, would never calm down.
_LASTING_SECONDS = 5.0
_NEVER = float("inf")


class Controller:
    """Brings each connection to what is wanted, and tells of what was missed.

    :param protocol: requests and replies.
    :param book: merged states; users read what it shows.
    :param feed: turns messages into events.
    :param counters: what is counted.
    :param advance: notes where the session stands.
    :param stale_after: seconds without a message after which an instrument is stale; 0: never.
    :param resumed: the session before this one failed, so that there was a gap.
    """

    def __init__(
        self,
        protocol: ControlChannel,
        book: RateBook,
        feed: FeedHandler,
        counters: Counters,
        advance: Callable[[ClientState], None],
        stale_after: float,
        resumed: bool,
    ) -> None:
        self._protocol = protocol
        self._book = book
        self._feed = feed
        self._out = feed.out
        self._counters = counters
        self._advance = advance
        self._stale_after = stale_after
        self._resumed = resumed
        self._gate = LogThrottle()
        self._gap_from: float | None = None
        #: Until when nothing that eToro has sent can be missing: when everything was read for the
        #: last time before the last message came. That may be long before it was read, if the
        #: process stood still meanwhile.
        self.complete_until = 0.0
        # What was wanted when the connection was opened, and whether with a snapshot.
        self._wanted_then: dict[str, bool] = {}
        self._restored: list[str] = []
        self._restored_at = _NEVER
        self.ever_live = False
        #: When everything was read for the last time before the present read.
        self.read_all_at = 0.0
        # When _check_stale() has something to look for.
        self._next_stale_check = _NEVER

    # -- a connection's beginning and end --------------------------------------------------------

    def begin(self) -> None:
        """Make ready for a new connection."""
        self._restored_at = self._next_stale_check = _NEVER

    def opened(self, now: float) -> None:
        """Note that a connection is open: what comes on it is of a new generation.

        Also what comes before eToro has accepted the keys; where a snapshot will be asked for, it
        waits for that one.
        """
        self.read_all_at = now
        self._advance(ClientState.RECONNECTING if self.ever_live else ClientState.AUTHENTICATING)
        self._out.barrier()
        self._wanted_then = wanted = self._protocol.restoration(with_snapshots=self.is_resumed)
        self._book.begin_generation(wanted)
        self._book.expect_snapshots([topic for topic, snapshot in wanted.items() if snapshot])

    def authenticate(self, keys: Keys, now: float) -> str:
        """Return the first request of a connection.

        :param now: monotonic time, from which eToro has ``auth_timeout`` to answer.
        """
        return self._protocol.authenticate(keys.api_key, keys.user_key, now)

    @property
    def is_authenticated(self) -> bool:
        """Whether eToro has accepted the keys on the present connection. Any thread."""
        return self._protocol.authenticated

    @property
    def is_resumed(self) -> bool:
        """Whether what is wanted has seen a gap; also one before this session, if it failed."""
        return self.ever_live or self._resumed

    def end(self) -> None:
        """Note that the connection is over; requests under way start anew on the next one."""
        self._next_stale_check = _NEVER
        self._protocol.connection_lost()
        if not self._feed.over:  # else the next session may have the book already
            self._book.connection_lost(self._protocol.wanted)

    def lost(self) -> None:
        """Note that data may be missing since the last message, if there was any before.

        Where no message came, since the authentication: what was sent into a connection that is
        dead for a while already, such as the first order event of the day, is missing, too.
        """
        if self._gap_from is None and self.ever_live:
            self._gap_from = self.complete_until

    @property
    def restored(self) -> bool:
        """Whether all that is wanted was acknowledged on the last connection."""
        return self._restored_at != _NEVER

    @property
    def lasting(self) -> bool:
        """Whether it lived long enough, too, for the next wait to be short again."""
        return clocks.uptime() >= self._restored_at + _LASTING_SECONDS

    def reconnecting(self) -> None:
        """Note that there is no connection, and that another one will be tried."""
        self._advance(ClientState.RECONNECTING)

    def finish(self, error: EToroError) -> None:
        """End all operations that wait for eToro: the session is over."""
        self._protocol.fail_all(error)

    # -- requests ------------------------------------------------------------------------------

    def submit(self, operations: Iterable[Operation]) -> None:
        """Take what users ask for; it is sent when its turn has come."""
        for operation in operations:
            if operation.name == "Unsubscribe" and not self._protocol.authenticated:
                # Nothing will be sent, so that no reply would do it.
                topics = operation.topics
                self._book.forget([t for t in topics if not self._protocol.is_needed(t)])
            self._protocol.submit(operation)

    def next_request(self, now: float) -> str | None:
        """Return what is to be sent next; None: nothing now.

        :param now: monotonic time, from which eToro has ``request_timeout`` to answer.
        """
        request = self._protocol.next_request(now)
        if request is None:
            return None
        text, snapshots = request
        self._book.expect_snapshots(snapshots)
        return text

    # -- replies -------------------------------------------------------------------------------

    def on_reply(self, reply: dict[str, object]) -> None:
        """Apply a control message.

        :raises ConnectionFailed: when the connection must be replaced, or the client must end.
        """
        restoring = self._protocol.restoring
        outcome = self._protocol.on_reply(reply)
        if outcome.error is not None:
            self._on_refusal(outcome.error, outcome.raised)
        elif outcome.name == "Authenticate":
            self._on_authenticated()
            restoring = True
        elif outcome.name == "Subscribe":
            self._book.subscribed(outcome.topics, clocks.uptime())
        elif outcome.name == "Unsubscribe":
            self._book.forget(outcome.topics)
        if outcome.name == "Subscribe" and (outcome.duplicate or outcome.error is not None):
            # Also of a refused topic, which another call may have asked for without a snapshot.
            self._publish(self._book.expect_none(outcome.topics))
        if restoring and not self._protocol.restoring:
            self._on_restored()

    def _on_refusal(self, error: EToroError, raised: bool) -> None:
        """Tell of a refusal; the log only where no caller raises it."""
        if isinstance(error, EToroSubscriptionError):
            topics = [topic for topic in error.topics if not self._protocol.is_needed(topic)]
            self._book.forget(topics)
        if not raised and self._gate.passes(getattr(error, "error_code", None)) is not None:
            log(logging.ERROR, "%s", error)
        self._out.error(error)

    def _on_authenticated(self) -> None:
        self.complete_until = self.read_all_at  # what is wanted was not sent before
        if self._stale_after:
            self._next_stale_check = clocks.uptime()
        snapshots = self._protocol.restoration(with_snapshots=self.is_resumed)
        self._restored = self._protocol.restore(with_snapshots=self.is_resumed)
        # Users may have changed their wishes since the connection was opened.
        then = self._wanted_then
        self._book.forget(topic for topic in then if topic not in snapshots)
        unasked = [
            topic for topic, snapshot in snapshots.items() if then.get(topic) and not snapshot
        ]
        self._publish(self._book.expect_none(unasked))
        log(logging.INFO, "Authenticated; this is connection %d.", self._book.generation)
        if not self.ever_live:
            self.ever_live = True
            self._advance(ClientState.LIVE)
        self._out.emit("authenticated")

    def _on_restored(self) -> None:
        """All subscriptions are acknowledged: the gap, if there was one, is over."""
        now = clocks.uptime()
        self._restored_at = now
        if self._gap_from is None:
            return
        topics = tuple(topic for topic in self._restored if self._protocol.is_confirmed(topic))
        # By the clock of now: somebody may have set it since.
        until = clocks.wall_clock()
        gap = WsGap(until - (now - self._gap_from), until, self._book.generation, topics)
        self._gap_from = None
        self._counters.reconnects += 1
        log(
            logging.INFO,
            "Reconnected; what was sent in the last %s may be missing; %s.",
            duration(gap.seconds),
            count(len(gap.topics), "topic"),
        )
        self._advance(ClientState.LIVE)
        self._out.emit("reconnected", gap)

    def _publish(self, released: list[tuple[int, dict[str, object]]]) -> None:
        """Publish what was held back until now."""
        for key, state in released:
            self._counters.rates += 1
            self._out.publish(key, state)

    # -- silence -------------------------------------------------------------------------------

    def next_check(self, now: float, up: float) -> float:
        """Return when :meth:`check` has something to look for, in monotonic time.

        :param now: monotonic time.
        :param up: the same moment of the clock that counts the machine's sleep.
        """
        silent = now + (min(self._next_stale_check, self._book.next_overdue) - up)
        answer_due = self._protocol.deadline
        return silent if answer_due is None else min(silent, answer_due)

    def check(self, now: float, up: float) -> None:
        """Act on instruments that are silent, snapshots that never came, and a missing answer.

        :param now: monotonic time.
        :param up: the same moment of the clock that counts the machine's sleep.
        :raises ConnectionFailed: when the answer to a request is overdue.
        """
        if up >= self._next_stale_check:
            self._check_stale(up)
        if up >= self._book.next_overdue:
            self._publish(self._book.give_up_waiting(up))
            self._out.flush()
        self._protocol.check_deadline(now)

    def _check_stale(self, now: float) -> None:
        """Emit ``"stale"`` for subscribed instruments that are too quiet, a few times per limit."""
        limit = self._stale_after
        self._next_stale_check = now + limit / 4 if limit else _NEVER
        unheard: list[tuple[int, float]] = []
        for topic, instrument in self._book.instruments:
            age = now - instrument.heard_at
            if age < limit or instrument.stale or instrument.closed:
                continue
            if self._protocol.is_confirmed(topic):
                instrument.stale = True
                if not self._out.is_heard("stale", instrument.id):
                    unheard.append((instrument.id, age))
                self._out.emit("stale", instrument.id, age)
        if unheard:
            self._log_silence(unheard)

    def _log_silence(self, unheard: list[tuple[int, float]]) -> None:
        """Write to the log what no handler and no queue of ``"stale"`` hears."""
        quiet = self._gate.passes("stale")
        if quiet is not None:
            first, age = unheard[0]
            log(
                logging.WARNING,
                "Silent for longer than stale_after: %s (first %d, for %s)%s. There is no handler "
                "of 'stale' to act on it.",
                count(len(unheard), "instrument"),
                first,
                duration(age),
                repeated(quiet),
            )
