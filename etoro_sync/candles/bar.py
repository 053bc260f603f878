"""One bar, as users get it."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

__all__ = ["Bar", "make_bar"]


@dataclass(frozen=True)
class Bar:
    """Open, high, low and close of one instrument in one interval, by event time.

    Event time is eToro's ``Date`` of each price. There is no bar without a tick, and no volume:
    eToro does not send one.

    :param instrument_id: whose bar it is.
    :param interval: its length, such as ``"1m"``.
    :param start: its begin, in UTC, which belongs to it.
    :param end: its end, in UTC, which belongs to the next one.
    :param open: the first price, in the instrument's currency.
    :param high: the highest price.
    :param low: the lowest price.
    :param close: the last price; of several with the same time, the one that came last.
    :param ticks: how many messages carried the price.
    :param complete: False: the stream ended before the bar did.
    :param first: the instrument's first bar of this interval: prices before it were not received.
    :param gap: messages may be missing in it, because the connection was lost, or the instrument
        was not subscribed to for a time, or a recording has a hole. The high may have been higher,
        and the low lower.
    :param revision: how often it was emitted before, each time changed by a tick that came late.
    :param price: which price it is of: ``"bid"``, ``"ask"``, ``"mid"`` or ``"last_execution"``.
    """

    instrument_id: int
    interval: str
    start: datetime
    end: datetime
    open: float
    high: float
    low: float
    close: float
    ticks: int
    complete: bool = True
    first: bool = False
    gap: bool = False
    revision: int = 0
    price: str = "bid"

    def to_row(self) -> dict[str, Any]:
        """Return a new dictionary of all fields, in their order."""
        return {name: self.__dict__[name] for name in _NAMES}

    def __str__(self) -> str:
        """Return a short form: ``100000 1m 2026-03-16 23:11 open 1.5 high 1.6 ...``."""
        marks = [
            word
            for word, there in (
                ("incomplete", not self.complete),
                ("first", self.first),
                ("gap", self.gap),
                (f"revision {self.revision}", self.revision),
            )
            if there
        ]
        return (
            f"{self.instrument_id} {self.interval} {self.start:%Y-%m-%d %H:%M:%S} open {self.open} "
            f"high {self.high} low {self.low} close {self.close}, {self.ticks} ticks"
            + (f" ({', '.join(marks)})" if marks else "")
        )


_NAMES = tuple(field.name for field in fields(Bar))
_new = object.__new__
# The class is frozen. This does what object.__setattr__(bar, "__dict__", ...) does, but faster.
_set_fields = vars(Bar)["__dict__"].__set__


def make_bar(values: dict[str, Any]) -> Bar:
    """Return a bar of these values, of all fields, which then belong to it.

    Twelve thousand bars end at the same time: the class itself would take four times as long.
    """
    bar = _new(Bar)
    _set_fields(bar, values)
    return bar
