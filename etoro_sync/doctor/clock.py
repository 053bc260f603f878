"""How far this machine's clock is from eToro's. Pure: all times are passed in.

Two things carry eToro's time. The header ``Date`` of the handshake has whole seconds. Each price
has a date with more digits, but the price has travelled for a while, from 0.15 s on in recordings.
Each gives bounds; together they are rarely further apart than a second.
"""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime

__all__ = ["Difference", "difference", "header_time"]

#: Seconds: the longest that the fastest of several prices takes from its date to its reception.
_SLOWEST = 2.0


@dataclass(frozen=True)
class Difference:
    """Bounds of this machine's time minus eToro's, in seconds."""

    least: float
    most: float

    @property
    def beyond(self) -> float:
        """By how much the clocks differ at least; 0.0: they may agree. Negative: behind eToro."""
        if self.least > 0:
            return self.least
        return min(self.most, 0.0)

    def __str__(self) -> str:
        return f"between {self.least:+.1f} and {self.most:+.1f} s"


def header_time(value: str) -> float | None:
    """Return the time of a header ``Date``, in seconds since the epoch; None: it is no date."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def difference(
    header: float | None, asked: float, answered: float, least_delay: float | None
) -> Difference | None:
    """Return what can be said about the clocks; None: nothing has carried a time.

    :param header: the time in the answer to the handshake.
    :param asked: when it was asked for, by this machine's clock.
    :param answered: when the answer had come, by this machine's clock.
    :param least_delay: the least of reception minus date, of several prices.
    """
    bounds = []
    if header is not None:
        # The server's clock had shown the header's second for up to a second.
        bounds.append((asked - header - 1.0, answered - header))
    if least_delay is not None:
        bounds.append((least_delay - _SLOWEST, least_delay))
    if not bounds:
        return None
    least, most = max(low for low, _ in bounds), min(high for _, high in bounds)
    if least > most:  # a cache or a gateway has written the header; prices are eToro's own
        least, most = bounds[-1]
    return Difference(least, most)
