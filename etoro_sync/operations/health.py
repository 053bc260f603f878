"""Whether a stream works and is fresh, in one sentence. Pure: it reads the stream and judges.

"Fresh" has two parts, because markets close. The connection itself is never silent for long: eToro
sends empty frames, and answers pings. Data may rightly be missing for days, but only while eToro
says that every market that the stream subscribes to is closed.
"""

import math
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import EToroValidationError
from ..lifecycle import AT_WORK
from ..numbers import real
from ..state import ClientState
from ..stats import WsStats
from ..stream import MarketStream
from ..stream.core import core_of
from ..text import duration, show

__all__ = ["HUNG", "Health", "Limits", "Watched", "watched"]

#: Seconds by which the reader may be late. It does one step a second; a slow log handler may delay
#: it, and a machine that is overloaded.
HUNG = 5.0
#: Seconds for the first data of a new connection to come.
_SETTLING = 10.0
#: Seconds without a byte on a connection without pings.
_WITHOUT_PINGS = 45.0


@dataclass(frozen=True)
class Health:
    """Whether a stream works.

    :param healthy: whether it is live, its thread works, and its data is fresh.
    :param state: its state, such as ``"live"``; ``"gone"`` if nothing refers to it any more.
    :param reason: one sentence; it has no key and no price.
    """

    healthy: bool
    state: str
    reason: str


@dataclass(frozen=True)
class Limits:
    """How old things may be in a stream that is healthy, in seconds.

    :param max_age: the newest data message, while a market may be open.
    :param max_silence: the newest byte of the connection. None: a little more than the keepalive
        of each client allows.
    :raises EToroValidationError: unless they are greater than 0.
    """

    max_age: float = 60.0
    max_silence: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_age", "max_silence"):
            value = real(getattr(self, name))
            if name == "max_silence" and self.max_silence is None:
                continue
            if value is None or not value > 0:
                raise EToroValidationError(
                    f"{name} must be a number of seconds greater than 0, not "
                    f"{show(getattr(self, name), 60)}.",
                    name,
                )


class Watched:
    """A stream that is watched, and not kept alive by that.

    :param name: distinguishes it from others of the same program.
    :param stream: the stream.
    """

    def __init__(self, name: str, stream: MarketStream) -> None:
        self.name = name
        self._stream = weakref.ref(stream)

    @property
    def stream(self) -> MarketStream | None:
        """The stream; None: nothing refers to it any more."""
        return self._stream()

    @property
    def state(self) -> ClientState | None:
        """Its state; None: nothing refers to it any more."""
        stream = self.stream
        return None if stream is None else stream.state

    @property
    def works(self) -> bool:
        """Whether it has or seeks a connection, and the thread that reads takes its steps."""
        stream = self.stream
        if stream is None or stream.state not in AT_WORK:
            return False
        # None: it has ended since, which is seen next time; or its source has no such figure.
        delay = stream.stats().reader_delay
        return delay is None or delay <= HUNG

    def health(self, limits: Limits) -> Health:
        """Return whether it works and is fresh. Any thread; never waits."""
        stream = self.stream
        if stream is None:
            return Health(False, "gone", "nothing refers to the client any more, so it was closed")
        state = stream.state
        if state is not ClientState.LIVE:
            return Health(False, state.value, f"the client is {state.value}")
        stats = stream.stats()
        trouble = _silence(stats, limits.max_silence or _longest_silence(stream))
        if trouble:
            return Health(False, state.value, trouble)
        fresh, reason = _data(stream, stats, limits)
        return Health(fresh, state.value, reason)


def watched(streams: MarketStream | Mapping[str, MarketStream]) -> tuple[Watched, ...]:
    """Return what is to be watched.

    :param streams: one stream, which gets the name ``"default"``, or several by name.
    :raises EToroValidationError: for anything else.
    """
    if isinstance(streams, MarketStream):
        streams = {"default": streams}
    named: Any = streams
    if not isinstance(named, Mapping) or not named:
        raise EToroValidationError(
            'Pass a client, or several by name, as in {"prices": client, "orders": other}; not '
            f"{show(streams, 60)}.",
            "streams",
        )
    for name, stream in named.items():
        if not isinstance(name, str) or not name or not isinstance(stream, MarketStream):
            raise EToroValidationError(
                f"Each name must be a text, and each stream a client: {show(name)} is "
                f"{type(stream).__name__}.",
                "streams",
            )
        core_of(stream)  # raises if a subclass has forgotten super().__init__()
    return tuple(Watched(name, stream) for name, stream in named.items())


def _longest_silence(stream: MarketStream) -> float:
    """Return the seconds after which the keepalive of a client has found a dead connection."""
    options = getattr(core_of(stream), "options", None)
    # A source without options has no bytes. Without pings, eToro's own frames break the silence.
    if options is None or not options.heartbeat_interval or not options.heartbeat_timeout:
        return _WITHOUT_PINGS
    return float(options.heartbeat_interval + options.heartbeat_timeout + HUNG)


def _silence(stats: WsStats, max_silence: float) -> str:
    """Return what is wrong with the connection or its thread, or ``""``."""
    late, silent = stats.reader_delay, stats.last_byte_age
    if late is not None and late > HUNG:
        if math.isinf(late):
            return "the thread that reads has died"
        return f"the thread that reads has been stuck for {duration(late)}"
    if silent is not None and silent > max_silence:
        return f"no byte has come for {duration(silent)}"
    return ""


def _data(stream: MarketStream, stats: WsStats, limits: Limits) -> tuple[bool, str]:
    """Return whether the data is fresh, and why or why not."""
    age, connected = stats.last_message_age, stats.connected_age
    if age is not None and age <= limits.max_age:
        return True, f"the last data came {duration(age)} ago"
    if age is None and stats.last_byte_age is None and stats.messages:
        return True, "data has come; its source does not say when"
    if connected is not None and connected < min(_SETTLING, limits.max_age):
        return True, f"connected {duration(connected)} ago; no data has come yet"
    if _expects_nothing(stream):
        return True, "connected, and no market that is subscribed to is open"
    when = "no data has come" if age is None else f"the last data came {duration(age)} ago"
    return False, f"{when}; at most {limits.max_age:g} s are allowed while a market may be open"


def _expects_nothing(stream: MarketStream) -> bool:
    """Return whether all instruments that are subscribed to are known not to be traded now."""
    topics = getattr(stream, "subscriptions", None)
    if topics is None:
        return False  # a source without subscriptions, of which nothing is known
    core = core_of(stream)
    latest, present = core.book.latest, core.generations or {core.book.generation}
    for topic in topics:
        if topic.startswith("instrument:"):
            known = latest.get(int(topic.partition(":")[2]))
            # Flags of a lost connection say nothing of now.
            if known is None or not known.closed or known.visible["generation"] not in present:
                return False
    return True
