"""When to ping, and when a silent connection is dead. Pure: times are passed in.

A ping is sent after *interval* seconds without an inbound byte. After *timeout* more seconds
without one the connection is dead. Any byte counts, not only a pong, because eToro is said to leave
pings on quiet connections unanswered (protocol fact sheet, section 6).

An incomplete message delays all that follow it. So it must become complete within *interval* and
*timeout* together, also if bytes of it keep arriving.
"""

from enum import Enum, auto

__all__ = ["Keepalive", "Verdict"]


class Verdict(Enum):
    """What to do about a connection's silence."""

    WAIT = auto()  #: nothing to do yet
    PING = auto()  #: send a ping now
    DEAD = auto()  #: replace the connection
    STUCK = auto()  #: replace the connection: a message does not become complete


class Keepalive:
    """Decides when to ping on one connection, and when it is dead.

    All times are monotonic, in seconds.

    :param interval: seconds of silence before a ping; 0 disables pings and all deadlines.
    :param timeout: seconds of silence after a ping before the connection is dead; 0: never.
    :param now: when the connection was opened.
    """

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._received_at = now
        self._pinged_at: float | None = None
        self._ping_wanted_at: float | None = None
        self._slept = 0.0  # the machine's sleep since the last byte
        self._unfinished: int | None = None
        self._begun_at = now

    def received(self, now: float, unfinished: int | None = None) -> None:
        """Note that bytes were received.

        :param unfinished: the number of the message that is incomplete after them; None: none is.
        """
        self._received_at = now
        self._pinged_at = None
        self._slept = 0.0
        if unfinished != self._unfinished:
            self._unfinished = unfinished
            self._begun_at = now

    def ping_soon(self, now: float, slept: float) -> bool:
        """Make a ping due at once, unless one is unanswered.

        :param slept: seconds of the machine's sleep, which the monotonic clock has not counted.
        :returns: False: keepalive is disabled.
        """
        self._slept += slept
        if self._interval > 0 and self._pinged_at is None:
            self._ping_wanted_at = now
        return self._interval > 0

    def pinged(self, now: float) -> None:
        """Note that a ping was sent; the timeout for its answer counts from *now*."""
        self._pinged_at = now

    def silence(self, now: float) -> float:
        """Return the seconds since the last inbound byte, the machine's sleep included."""
        return now - self._received_at + self._slept

    def unfinished_for(self, now: float) -> float:
        """Return the seconds since the unfinished message began; 0.0 when there is none."""
        return 0.0 if self._unfinished is None else now - self._begun_at

    def judge(self, now: float) -> Verdict:
        """Return what to do now; PING is returned once per silence.

        Only valid when everything is read, because unread bytes show that the connection works.
        """
        deadline = self.deadline
        if deadline is None or now < deadline:
            return Verdict.WAIT
        if self._pinged_at is not None:
            return Verdict.DEAD
        if now >= self._silent_at:
            self._pinged_at, self._ping_wanted_at = now, None
            return Verdict.PING
        return Verdict.STUCK

    @property
    def deadline(self) -> float | None:
        """When :meth:`judge` may next return something other than WAIT; None: never."""
        if self._interval <= 0:
            return None
        if self._pinged_at is not None:
            return self._pinged_at + self._timeout if self._timeout > 0 else None
        if self._unfinished is None or self._timeout <= 0:
            return self._silent_at
        return min(self._silent_at, self._begun_at + self._interval + self._timeout)

    def next_check(self, now: float) -> float | None:
        """Return when :meth:`judge` can have something new to say at the earliest, or None.

        Whatever is received until then: behind the answer to a ping the next one is due.
        """
        deadline = self.deadline
        if self._pinged_at is None:
            return deadline
        return now + self._interval if deadline is None else min(deadline, now + self._interval)

    @property
    def _silent_at(self) -> float:
        """Monotonic time at which a ping is due."""
        if self._ping_wanted_at is not None:
            return self._ping_wanted_at
        return self._received_at + self._interval
