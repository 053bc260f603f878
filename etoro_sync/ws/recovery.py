"""What a reply of eToro means for the stream: authenticated, restored, refused; gaps and silence.

It holds what survives a connection: whether the session was ever live, since when there is a gap,
and whether the last connection was stable. Everything here runs on the reader thread.
"""

import logging
import time

from ..errors import EToroError, EToroSubscriptionError
from ..models import WsGap
from ..text import count, duration, repeated
from .gate import LogGate
from .lifecycle import ClientState
from .log import log
from .parts import Parts

__all__ = ["Recovery"]

#: A session that lived this long, or that brought data, sets the attempt counter back to zero.
_STABLE_SECONDS = 30.0
#: One that brought data must have lived this long for the waits to begin anew, too. Else two
#: clients that throw each other out, each after its first snapshot, would never calm down.
_LASTING_SECONDS = 5.0
_NEVER = float("inf")


class Recovery:
    """Brings each connection to what is wanted, and tells of what was missed.

    :param parts: of the session.
    :param resumed: the session before this one failed, so that there was a gap.
    """

    def __init__(self, parts: Parts, resumed: bool) -> None:
        self._options = parts.options
        self._protocol = parts.protocol
        self._book = parts.book
        self._feed = parts.feed
        self._out = parts.feed.out
        self._counters = parts.counters
        self._advance = parts.advance
        self._resumed = resumed
        self._gate = LogGate()
        self._gap_from: float | None = None
        self._authenticated_at = 0.0  # monotonic; nothing that is wanted came before that
        self._restored: list[str] = []
        self._restored_at = _NEVER
        self._messages_before = 0
        self.ever_live = False
        self.is_authenticated = False
        #: Monotonic time at which :meth:`_check_stale` has something to look for.
        self._next_stale_check = _NEVER

    # -- a connection's beginning and end --------------------------------------------------------

    def begin(self) -> None:
        """Make ready for a new connection."""
        self._restored_at = self._next_stale_check = _NEVER

    def end(self) -> None:
        """Note that the connection is over; requests under way start anew on the next one."""
        self.is_authenticated = False
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
            last = max(self._counters.last_message_at or 0.0, self._authenticated_at)
            self._gap_from = time.time() - (time.monotonic() - last)

    @property
    def stable(self) -> bool:
        """Whether the last connection earned a new start of the attempt counter."""
        if self._restored_at == _NEVER:
            return False
        brought_data = self._counters.messages > self._messages_before
        return brought_data or time.monotonic() >= self._restored_at + _STABLE_SECONDS

    @property
    def lasting(self) -> bool:
        """Whether it lived long enough, too, for the next wait to be short again."""
        return self.stable and time.monotonic() >= self._restored_at + _LASTING_SECONDS

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
            self._book.subscribed(outcome.topics, time.monotonic())
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
            topics = [topic for topic in error.topics if not self._protocol.is_of_use(topic)]
            self._book.forget(topics)
        if not raised and self._gate.passes(getattr(error, "error_code", None)) is not None:
            log(logging.ERROR, "%s", error)
        self._out.error(error)

    def _on_authenticated(self) -> None:
        self._authenticated_at = time.monotonic()
        if self._options.stale_after:
            self._next_stale_check = self._authenticated_at
        self._out.barrier()
        # Also where connect() was called after a failure: what was wanted has seen a gap.
        resumed = self.ever_live or self._resumed
        self._restored = self._protocol.restore(with_snapshots=resumed)
        generation = self._book.begin_generation(self._restored)
        log(logging.INFO, "Authenticated; this is connection %d.", generation)
        self.is_authenticated = True
        if not self.ever_live:
            self.ever_live = True
            self._advance(ClientState.LIVE)
        self._out.emit("authenticated")

    def _on_restored(self) -> None:
        """All subscriptions are acknowledged: the gap, if there was one, is over."""
        # Not before: a session that cannot restore its topics is not stable, whatever it brings.
        self._restored_at = time.monotonic()
        self._messages_before = self._counters.messages
        if self._gap_from is None:
            return
        topics = tuple(topic for topic in self._restored if self._protocol.is_confirmed(topic))
        gap = WsGap(self._gap_from, time.time(), self._book.generation, topics)
        self._gap_from = None
        self._counters.reconnects += 1
        log(
            logging.INFO,
            "Reconnected after %s; %s.",
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

    @property
    def next_check(self) -> float:
        """Monotonic time at which :meth:`check` has something to look for."""
        return min(self._next_stale_check, self._book.next_overdue)

    def check(self, now: float) -> None:
        """Tell of instruments that are silent, and of prices whose snapshot never came."""
        if now >= self._next_stale_check:
            self._check_stale(now)
        if now >= self._book.next_overdue:
            self._publish(self._book.give_up_waiting(now))
            self._out.flush()

    def _check_stale(self, now: float) -> None:
        """Emit ``"stale"`` for subscribed instruments that are too quiet, a few times per limit."""
        limit = self._options.stale_after
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
