"""When to ping, and when a silent connection is dead. Pure: the clock's readings are passed in.

A ping goes out after *interval* seconds without a single inbound byte; *timeout* seconds later,
still without one, the connection is dead. Any byte counts as life, not only the pong: quiet
sockets at eToro are said to leave pings unanswered (protocol fact sheet, section 6).
"""

from enum import Enum, auto

__all__ = ["Keepalive", "Verdict"]


class Verdict(Enum):
    """What the silence of a connection asks for."""

    WAIT = auto()  #: nothing to do yet
    PING = auto()  #: send a ping now
    DEAD = auto()  #: replace the connection


class Keepalive:
    """The ping clock of one connection.

    :param interval: seconds of silence before a ping; 0 switches all of it off.
    :param timeout: seconds of silence after a ping before the connection is dead; 0: never.
    :param now: monotonic time at which the connection opened.
    """

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._heard_at = now
        self._pinged_at: float | None = None

    def heard(self, now: float) -> None:
        """Note that bytes have come in."""
        self._heard_at = now
        self._pinged_at = None

    def silence(self, now: float) -> float:
        """Return the seconds since the last inbound byte."""
        return now - self._heard_at

    def judge(self, now: float) -> Verdict:
        """Say what to do now; PING is said once per silence.

        To be asked only after a read came back empty: unread bytes are life.
        """
        deadline = self.deadline
        if deadline is None or now < deadline:
            return Verdict.WAIT
        if self._pinged_at is None:
            self._pinged_at = now
            return Verdict.PING
        return Verdict.DEAD

    @property
    def deadline(self) -> float | None:
        """Monotonic time at which :meth:`judge` will have something new to say, or None."""
        if self._interval <= 0:
            return None
        if self._pinged_at is None:
            return self._heard_at + self._interval
        return self._pinged_at + self._timeout if self._timeout > 0 else None
