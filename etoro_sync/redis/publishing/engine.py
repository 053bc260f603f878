"""What a publisher needs of an engine: Redis is one, and another can stand beside it. Pure.

An engine keeps batches in order, hands out one right to write, with a number that only rises, and
refuses what is written under an older one. ``redis_engine`` does it with Redis;
``tests/redis/test_engine.py`` has one of a hundred lines that keeps all in memory.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from ...models import WsInstrumentRate, WsPrivateEvent
from ..layout.order_rows import digest_of, encode_order

__all__ = ["MOST", "Engine", "Fenced", "Order", "Past", "Right", "Writer", "Written"]

#: The most rates, and the most orders and events, of a batch.
MOST = 256


class Fenced(Exception):
    """Another publisher may write now, and not this one; or Redis has lost what was written.

    :param lost: whether it is the latter.
    """

    def __init__(self, *, lost: bool) -> None:
        super().__init__("lost" if lost else "fenced")
        self.lost = lost


class Order(NamedTuple):
    """An order event, ready to be written.

    :param digest: of its content, the same whoever has received it.
    """

    digest: str
    message_id: str
    text: str

    @classmethod
    def of(cls, event: WsPrivateEvent, redact: Callable[[str], str]) -> "Order":
        """Return an event without the keys.

        :param redact: removes them from text.
        """
        text = encode_order(event, redact)
        message_id = event.message_id if isinstance(event.message_id, str) else ""
        return cls(digest_of(text), redact(message_id), text)


class Past(NamedTuple):
    """An order event that was written before.

    :param subject: what tells its order from others.
    """

    subject: Any
    digest: str
    message_id: str


class Written(NamedTuple):
    """What a batch has come to.

    :param digests: of its orders, which are written now, by this publisher or by another.
    :param orders: how many of these this publisher has written.
    :param standby: seconds since another publisher has asked for the lease; None: there is none.
    """

    digests: tuple[str, ...]
    rates: int
    orders: int
    events: int
    standby: float | None


class Writer(Protocol):
    """Batches of rates, orders and events, each of which is written as a whole, or not at all."""

    @property
    def is_full(self) -> bool:
        """Whether the batch has to be written before anything is added to it."""

    @property
    def room(self) -> int:
        """How many rates may be added to the batch."""

    @property
    def urgent(self) -> int:
        """How many orders and events are in the batch."""

    def begin(self) -> None:
        """Forget the batch, and begin with the numbers of a new epoch."""

    def publish_rates(self, rates: Iterable[WsInstrumentRate]) -> int:
        """Add rates to the batch; return how many cannot be written and were left out."""

    def publish_order(self, order: Order) -> None:
        """Add an order event to the batch."""

    def publish_event(self, name: str, args: tuple[Any, ...] = ()) -> None:
        """Add another event to the batch, behind the rates that are in it."""

    def flush(self) -> Written:
        """Write the batch, even if it is empty, and renew the right to write.

        :raises Fenced: when this publisher may not write any more.
        :raises EToroError: when the engine cannot be used; then the same batch is written by the
            next call.
        """

    def last_states(self) -> dict[int, tuple[int, int, WsInstrumentRate]]:
        """Return the last rate of each instrument, with its epoch and number."""

    def seen(self, digests: list[str]) -> set[str]:
        """Return those of the orders that any publisher has written."""

    def past_orders(self) -> list[Past]:
        """Return the last orders that any publisher has written, the oldest first."""


class Right(Protocol):
    """The right to write, which one of several publishers has at a time.

    :ivar seconds: after the last write, for which it holds.
    :ivar epoch: the number under which this publisher may write, or the last such; 0: none yet.
    :ivar held: whether this publisher may write, as far as it knows.
    """

    seconds: float
    epoch: int
    held: bool

    def acquire(self) -> float | None:
        """Take it with a new epoch; None: done; else in how many seconds to ask again.

        :raises EToroRedisError: when the engine cannot be used.
        """

    def release(self) -> None:
        """Give it up, if this publisher has it; :raises EToroRedisError: it expires by itself."""


class Engine(Protocol):
    """One publisher's way to one feed. Its ``str`` says where that is, without passwords.

    The publisher's thread alone uses it. Errors of the engine are an
    :class:`~etoro_sync.EToroRedisError`, after which the publisher tries again.

    :ivar lease: the right to write.
    :ivar writer: writes, while this publisher has the right.
    """

    @property
    def lease(self) -> Right: ...  # noqa: D102

    @property
    def writer(self) -> Writer: ...  # noqa: D102

    def tidy(self) -> None:
        """Remove what is old, if it is time to; called after each write."""

    def close(self) -> None:
        """Close what was opened."""
