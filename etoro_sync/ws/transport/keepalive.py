"""When to ping, and when a silent connection is dead. Pure: the clock's readings are passed in.

A ping goes out after *interval* seconds without a single inbound byte; *timeout* seconds later,
still without one, the connection is dead. Any byte counts as life, not only the pong: quiet
sockets at eToro are said to leave pings unanswered (protocol fact sheet, section 6).

But a message that has begun holds up all that come after it, so it has as long to become
complete as silence may last, whatever drips in meanwhile.
"""

from enum import Enum, auto

__all__ = ["Keepalive", "Verdict"]


class Verdict(Enum):
    """What the silence of a connection asks for."""

    WAIT = auto()  #: nothing to do yet
    PING = auto()  #: send a ping now
    DEAD = auto()  #: replace the connection
    STUCK = auto()  #: replace the connection: a message does not become complete


class Keepalive:
    """The ping clock of one connection.

    :param interval: seconds of silence before a ping; 0 switches all of it off.
    :param timeout: seconds of silence after a ping before the connection is dead; 0: never.
    :param now: monotonic time at which the connection opened.
    """

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._received_at = now
        self._pinged_at: float | None = None
        self._ping_wanted_at: float | None = None
        self._slept = 0.0  # since then
        self._unfinished: int | None = None
        self._begun_at = now

    def received(self, now: float, unfinished: int | None = None) -> None:
        """Note that bytes have come in.

        :param unfinished: a number for the message that they have left incomplete; None: none.
        """
        self._received_at = now
        self._pinged_at = None
        self._slept = 0.0
        if unfinished != self._unfinished:
            self._unfinished = unfinished
            self._begun_at = now

    def ping_soon(self, now: float, slept: float) -> bool:
        """Have the peer asked for a sign of life at once, unless it is being asked already.

        :param slept: seconds of silence that the monotonic clock has not counted.
        :returns: False: keepalive is switched off.
        """
        self._slept += slept
        if self._interval > 0 and self._pinged_at is None:
            self._ping_wanted_at = now
        return self._interval > 0

    def pinged(self, now: float) -> None:
        """Note that a ping has just been sent: its answer has the whole time from now on."""
        self._pinged_at = now

    def silence(self, now: float) -> float:
        """Return the seconds since the last inbound byte."""
        return now - self._received_at + self._slept

    def unfinished_for(self, now: float) -> float:
        """Return the seconds since the unfinished message began; 0.0 when there is none."""
        return 0.0 if self._unfinished is None else now - self._begun_at

    def judge(self, now: float) -> Verdict:
        """Say what to do now; PING is said once per silence.

        To be asked only after a read came back empty: unread bytes are life.
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
        """Monotonic time at which :meth:`judge` will have something new to say, or None."""
        if self._interval <= 0:
            return None
        if self._pinged_at is not None:
            return self._pinged_at + self._timeout if self._timeout > 0 else None
        if self._unfinished is None or self._timeout <= 0:
            return self._silent_at
        return min(self._silent_at, self._begun_at + self._interval + self._timeout)

    @property
    def _silent_at(self) -> float:
        """Monotonic time at which a ping is due."""
        if self._ping_wanted_at is not None:
            return self._ping_wanted_at
        return self._received_at + self._interval
