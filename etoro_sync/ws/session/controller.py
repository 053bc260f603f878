"""Keeps three things consistent: eToro's subscriptions, the rate book and the gap.

The controller alone knows all three, so each request, reply, loss and silence passes through it. It
holds what outlives a connection: whether the session was ever live, since when there is a gap, and
whether the last connection was restored. Everything here runs on the reader thread. Ages and gaps
are measured by ``clocks.uptime``, which counts the machine's sleep, because users see them;
deadlines of requests are monotonic times.
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
from .owner import Owner

__all__ = ["Controller"]

#: Seconds that a connection must last after its restoration for the waits to become short again.
#: Otherwise two clients with the same keys could disconnect each other all the time.
_LASTING_SECONDS = 5.0
_NEVER = float("inf")


class Controller:
    """Subscribes each connection to what is wanted, and emits what users must know about gaps.

    :param protocol: builds requests and matches replies.
    :param book: the merged state of each instrument.
    :param feed: turns messages into events.
    :param counters: the client's.
    :param advance: sets the client's state.
    :param stale_after: seconds without a message after which an instrument is stale; 0: never.
    :param resumed: whether the session before this one failed, so that there was a gap.
    :param owner: has other connections, perhaps, for topics that this one does not take.
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
        owner: Owner,
    ) -> None:
        self._protocol = protocol
        self._book = book
        self._feed = feed
        self._out = feed.out
        self._counters = counters
        self._advance = advance
        self._stale_after = stale_after
        self._resumed = resumed
        self._throttle = LogThrottle()
        self._owner = owner
        if owner.has_others:
            protocol.move = self._move
        # Topic that came from another connection -> since when messages of it are missing.
        self._moved_here: dict[str, float] = {}
        self._gap_from: float | None = None
        #: Where a gap would begin: nothing that eToro has sent before this moment can be missing.
        #: It is the last time at which everything was read before the last message was received.
        #: If the process was paused, that may be long before the message was read.
        self.complete_until = 0.0
        # Topics wanted when the connection was opened -> whether a snapshot is due.
        self._wanted_at_open: dict[str, bool] = {}
        self._restored: list[str] = []
        self._restored_at = _NEVER
        self.ever_live = False
        #: The last time at which everything was read before the present read.
        self.read_all_at = 0.0
        # When to call _check_stale() next.
        self._next_stale_check = _NEVER

    # -- a connection's beginning and end --------------------------------------------------------

    def begin(self) -> None:
        """Reset what belongs to the last connection, before the next attempt."""
        self._restored_at = self._next_stale_check = _NEVER

    def opened(self, now: float) -> None:
        """Begin a new generation, because a connection is open.

        Messages may arrive before eToro has accepted the keys. Where a snapshot will be requested,
        they are not published before that snapshot.

        :param now: by ``clocks.uptime``.
        """
        self.read_all_at = now
        self._advance(ClientState.RECONNECTING if self.ever_live else ClientState.AUTHENTICATING)
        self._out.barrier()
        self._wanted_at_open = wanted = self._protocol.restoration(with_snapshots=self.is_resumed)
        self._book.begin_generation(wanted)
        self._book.expect_snapshots([topic for topic, snapshot in wanted.items() if snapshot])

    def authenticate(self, keys: Keys, now: float) -> str:
        """Return the text of the Authenticate request.

        :param now: monotonic time, from which ``auth_timeout`` counts.
        """
        return self._protocol.authenticate(keys.api_key, keys.user_key, now)

    @property
    def is_authenticated(self) -> bool:
        """Whether eToro has accepted the keys on the present connection. Any thread."""
        return self._protocol.authenticated

    @property
    def is_resumed(self) -> bool:
        """Whether there may have been a gap, in this session or because the last one failed."""
        return self.ever_live or self._resumed

    def end(self) -> None:
        """Note that the connection is over; unfinished operations start again on the next one."""
        self._next_stale_check = _NEVER
        self._protocol.connection_lost()
        if not self._feed.over:  # otherwise the next session may use the book already
            self._book.connection_lost(self._protocol.wanted)

    def lost(self) -> None:
        """Begin a gap, unless there is one already or the session was never live.

        It begins before the last message, or at the authentication if there was no message: what
        was sent into a connection that had died without notice, such as the first order event of
        the day, is missing, too.
        """
        if self._gap_from is None and self.ever_live:
            self._gap_from = self.complete_until
            wanted = self._protocol.wanted
            if "private" in wanted:
                self._feed.order_states.note_loss(self._gap_from)
            self._out.lose(wanted)

    @property
    def restored(self) -> bool:
        """Whether all wanted topics were acknowledged on the last connection."""
        return self._restored_at != _NEVER

    @property
    def lasting(self) -> bool:
        """Whether the last connection lasted long enough for the next wait to be short again."""
        return clocks.uptime() >= self._restored_at + _LASTING_SECONDS

    def reconnecting(self) -> None:
        """Set the state to RECONNECTING."""
        self._advance(ClientState.RECONNECTING)

    def finish(self, error: EToroError) -> None:
        """End all unfinished operations with *error*, because the session is over."""
        self._protocol.fail_all(error)

    # -- requests ------------------------------------------------------------------------------

    def submit(self, operations: Iterable[Operation]) -> None:
        """Queue users' operations, to be sent one after the other."""
        for operation in operations:
            if operation.name == "Unsubscribe" and not self._protocol.authenticated:
                # No request will be sent whose acknowledgement would remove them from the book.
                topics = operation.topics
                self._book.forget([t for t in topics if not self._protocol.is_needed(t)])
            self._protocol.submit(operation)

    def next_request(self, now: float) -> str | None:
        """Return the text of the next request; None: there is nothing to send now.

        :param now: monotonic time, from which ``request_timeout`` counts.
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
            if outcome.moved:
                self._book.forget(outcome.moved)
            if self._moved_here:
                self._end_gap_of_moved(outcome.topics)
            if self._gap_from is None and "private" in outcome.topics:
                # What was missed since an earlier session, for which no "reconnected" is emitted.
                self._feed.order_states.note_return(
                    self._book.generation, clocks.uptime(), clocks.wall_clock()
                )
            if outcome.unproven and self._throttle.passes("unproven") is not None:
                log(
                    logging.WARNING,
                    "eToro says that %s is subscribed already, but this connection had not asked "
                    "for it. If nothing comes of it, unsubscribe and subscribe again.",
                    outcome.topics[0],
                )
        elif outcome.name == "Unsubscribe":
            self._book.forget(outcome.topics)
        if outcome.name == "Subscribe" and (outcome.duplicate or outcome.error is not None):
            # Also for a refused topic: it may be subscribed by another call, without a snapshot.
            self._publish(self._book.expect_none(outcome.topics))
        if restoring and not self._protocol.restoring:
            self._on_restored()

    def _move(self, operations: list[Operation], topics: list[str], room: int) -> bool:
        """Hand topics that this connection does not take on to another one."""
        lost = {t: at for t in topics if (at := self._moved_here.get(t)) is not None}
        if operations[0].restoring and self._gap_from is not None:
            lost = dict.fromkeys(topics, self._gap_from) | lost
        moved = self._owner.move(operations, topics, room, lost)
        if moved:
            for topic in topics:
                self._moved_here.pop(topic, None)
        return moved

    def expect_moved(self, lost: dict[str, float]) -> None:
        """Report a gap of topics that came from another connection, once they are subscribed.

        Any thread.

        :param lost: topic -> since when messages of it are missing, by ``clocks.uptime``.
        """
        self._moved_here.update(lost)

    def _end_gap_of_moved(self, topics: Iterable[str]) -> None:
        """Report the gap of those of *topics* that came from another connection."""
        lost = {t: at for t in topics if (at := self._moved_here.pop(t, None)) is not None}
        now, until = clocks.uptime(), clocks.wall_clock()
        for lost_at in sorted(set(lost.values())):
            moved = tuple(topic for topic, at in lost.items() if at == lost_at)
            gap = WsGap(until - (now - lost_at), until, self._book.generation, moved)
            self._feed.end_gap(gap, now)

    def _on_refusal(self, error: EToroError, raised: bool) -> None:
        """Emit a refusal, and log it unless a caller raises it."""
        if isinstance(error, EToroSubscriptionError):
            topics = [topic for topic in error.topics if not self._protocol.is_needed(topic)]
            self._book.forget(topics)
        if not raised and self._throttle.passes(getattr(error, "error_code", None)) is not None:
            log(logging.ERROR, "%s", error)
        self._out.error(error)

    def _on_authenticated(self) -> None:
        self.complete_until = self.read_all_at  # before this, eToro sends nothing that is wanted
        if self._stale_after:
            self._next_stale_check = clocks.uptime()
        snapshots = self._protocol.restoration(with_snapshots=self.is_resumed)
        self._restored = self._protocol.restore(with_snapshots=self.is_resumed)
        # Users may have changed what is wanted since the connection was opened.
        then = self._wanted_at_open
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
        """End the gap, if there was one, because all subscriptions are acknowledged."""
        now = clocks.uptime()
        self._restored_at = now
        if self._gap_from is None:
            return
        topics = tuple(topic for topic in self._restored if self._protocol.is_confirmed(topic))
        # Both ends by the wall clock of now, because it may have been set since the gap began.
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
        self._feed.end_gap(gap, now)

    def _publish(self, released: list[tuple[int, dict[str, object]]]) -> None:
        """Publish rates that were held back until now."""
        for key, state in released:
            self._counters.rates += 1
            self._out.publish(key, state)

    # -- silence -------------------------------------------------------------------------------

    def next_check(self, now: float, up: float) -> float:
        """Return the monotonic time at which to call :meth:`check` next.

        :param now: monotonic time.
        :param up: the same moment by ``clocks.uptime``.
        """
        silent = now + (min(self._next_stale_check, self._book.next_overdue) - up)
        answer_due = self._protocol.deadline
        return silent if answer_due is None else min(silent, answer_due)

    def check(self, now: float, up: float) -> None:
        """Act on silent instruments, on snapshots that did not arrive, and on an overdue reply.

        :param now: monotonic time.
        :param up: the same moment by ``clocks.uptime``.
        :raises ConnectionFailed: when the reply to a request is overdue.
        """
        if up >= self._next_stale_check:
            self._check_stale(up)
        if up >= self._book.next_overdue:
            self._publish(self._book.give_up_waiting(up))
            self._out.flush()
        self._protocol.check_deadline(now)

    def _check_stale(self, now: float) -> None:
        """Emit ``"stale"`` for subscribed instruments without a message for ``stale_after``.

        Called four times per ``stale_after``, so an event is late by a quarter of it at most.
        """
        limit = self._stale_after
        self._next_stale_check = now + limit / 4 if limit else _NEVER
        unhandled: list[tuple[int, float]] = []
        for topic, instrument in self._book.instruments:
            age = now - instrument.last_message_at
            if age < limit or instrument.stale or instrument.closed:
                continue
            if self._protocol.is_confirmed(topic):
                instrument.stale = True
                if not self._out.has_listeners("stale", instrument.id):
                    unhandled.append((instrument.id, age))
                self._out.emit("stale", instrument.id, age)
        if unhandled:
            self._log_silence(unhandled)

    def _log_silence(self, unhandled: list[tuple[int, float]]) -> None:
        """Log the stale instruments for which ``"stale"`` has no handler and no queue."""
        quiet = self._throttle.passes("stale")
        if quiet is not None:
            first, age = unhandled[0]
            log(
                logging.WARNING,
                "Silent for longer than stale_after: %s (first %d, for %s)%s. No handler or queue "
                "receives 'stale'.",
                count(len(unhandled), "instrument"),
                first,
                duration(age),
                repeated(quiet),
            )
