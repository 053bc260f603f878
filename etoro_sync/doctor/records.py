"""What a report consists of: steps, deviations, and what long runs have shown."""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from statistics import median
from typing import Any

__all__ = ["Deviation", "End", "Outcome", "Spread", "Step", "Watched"]


class Outcome(str, Enum):
    """How a step has ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Step:
    """One step of an examination.

    :param name: such as ``"DNS"``.
    :param outcome: how it has ended.
    :param found: what was found, in one sentence.
    :param remedy: what to do about a failure, in one or two sentences; ``""``: it did not fail.
    :param notes: what else is worth knowing; a note is no failure.
    :param details: the same in data, for programs.
    :param seconds: how long it took.
    """

    name: str
    outcome: Outcome
    found: str
    remedy: str = ""
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def __str__(self) -> str:
        """Return name, finding and remedy, such as for a log."""
        return f"{self.name}: {self.found} {self.remedy}".rstrip()


@dataclass
class Deviation:
    """Something that the service does, and that nobody has publicly reported of it.

    :param kind: such as ``"unknown field"``.
    :param what: which one, such as ``"Volume in Trading.Instrument.Rate: string"``.
    :param example: a value, of market data only; ``""`` for all else.
    :param count: how often it was seen.
    :param first: seconds from the beginning of the examination until it was first seen.
    """

    kind: str
    what: str
    example: str = ""
    count: int = 1
    first: float = 0.0


@dataclass(frozen=True)
class Spread:
    """Least, median and greatest of several times, in seconds."""

    least: float
    median: float
    most: float

    def __str__(self) -> str:
        return f"{self.least:.3g} to {self.most:.3g} s, median {self.median:.3g} s"

    @classmethod
    def of(cls, values: Collection[float]) -> "Spread | None":
        """Return that of *values*; None: there are none."""
        if not values:
            return None
        return cls(*(round(each, 4) for each in (min(values), median(values), max(values))))


@dataclass(frozen=True)
class End:
    """How a connection has ended.

    :param code: of the server's close frame; 1006: none came.
    :param reason: in the close frame; without one, the error.
    :param seconds: since it was opened.
    """

    code: int
    reason: str
    seconds: float


@dataclass
class Watched:
    """What connections to the same topics have shown, one after another.

    :param topics: what was subscribed to.
    :param connections: how many were opened.
    :param seconds: how long they were open, in all.
    :param pings: how many were sent.
    :param pongs: how many of them were answered.
    :param round_trips: how long that took; None: none was answered.
    :param nuls: how many NUL keepalives came.
    :param nul_intervals: the time between two of one connection; None: there were no two.
    :param server_pings: how many pings the server has sent.
    :param longest_silence: the most seconds without any frame.
    :param ended: how many have ended, except by the doctor.
    :param ends: how; the first hundred.
    :param failed: how many attempts to connect have failed.
    :param failures: why; the first hundred.
    :param counts: messages and frames by kind.
    """

    topics: tuple[str, ...]
    connections: int = 0
    seconds: float = 0.0
    pings: int = 0
    pongs: int = 0
    round_trips: Spread | None = None
    nuls: int = 0
    nul_intervals: Spread | None = None
    server_pings: int = 0
    longest_silence: float = 0.0
    ended: int = 0
    ends: list[End] = field(default_factory=list)
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
