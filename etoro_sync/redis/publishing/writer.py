"""Writes what a publisher has read into Redis, in batches."""

import contextlib
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...errors import EToroValidationError
from ...models import WsInstrumentRate
from ..connection import Address
from ..layout.event_rows import encode_event
from ..layout.keys import Keys
from ..layout.order_rows import subject_of
from ..layout.rows import decode_state, encode_rate, encode_rates
from .engine import MOST, Fenced, Order, Past, Written
from .lease import Lease
from .scripts import SEEN, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

__all__ = ["RedisWriter"]

#: How many orders a publisher that starts looks at.
_PAST = 10_000
#: The least and the most entries that the stream of rates has.
_ENTRIES = (100, 1_000_000)


class _Batch:
    """What is to be written at once. Its numbers are given when it is sealed.

    :param rows: of rates.
    :param last: instrument id -> the place of its last rate in *rows*.
    """

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.last: dict[int, int] = {}
        self.orders: list[tuple[int, Order]] = []
        self.events: list[tuple[int, str, str]] = []
        self.args: list[Any] | None = None

    def seal(self, lease: Lease, batch: int, before: int, entries: int) -> list[Any]:
        """Return the arguments of the script, the same for each attempt to write the batch.

        :param batch: its number.
        :param before: the number of the last rate before it.
        :param entries: how many the stream of rates keeps.
        """
        if self.args is None:
            text = encode_rates(self.rows) if self.rows else b""
            self.args = args = [batch, before + 1, text, entries]
            args += (self._places(before + 1), len(self.orders), len(self.events))
            for place, order in self.orders:
                args += (before + place, order.message_id, order.digest, order.text)
            for place, name, details in self.events:
                args += (before + place, name, details)
        return [lease.token, lease.epoch, lease.milliseconds, *self.args]

    def _places(self, first: int) -> str:
        """Return id, number, and first and last byte in the entry, of each instrument's last rate.

        :param first: the number of the first rate.
        """
        starts = list(itertools.accumulate((len(row) + 1 for row in self.rows), initial=2))
        return " ".join(
            f"{key} {first + place} {starts[place]} {starts[place + 1] - 2}"
            for key, place in self.last.items()
        )


class RedisWriter:
    """Writes one feed; what the :class:`~etoro_sync.redis.publishing.engine.Writer` of Redis is.

    Its publisher's thread alone may use it.

    :param client: for Redis.
    :param address: of it, for errors.
    :param keys: of the feed.
    :param lease: of this publisher.
    :param stream_bytes: how many bytes of rates the stream keeps for readers that were away.
    :param redact: removes the keys from text.
    """

    def __init__(
        self,
        client: "redis.Redis",
        address: Address,
        keys: Keys,
        lease: Lease,
        stream_bytes: int,
        redact: "Callable[[str], str]" = str,
    ) -> None:
        self._client = client
        self._address = address
        self._keys = keys
        self._lease = lease
        self._budget = stream_bytes
        self._redact = redact
        # The average size of an entry, so that one odd entry does not empty the stream.
        self._size = 0.0
        self.begin()

    def begin(self) -> None:
        """Begin with the numbers of a new epoch, and forget the batch."""
        self._batch = _Batch()
        self._number = self._batches = 0

    def publish_rates(self, rates: Iterable[WsInstrumentRate]) -> int:
        """As :class:`Writer`."""
        batch, refused = self._batch, 0
        rows, last = batch.rows, batch.last
        for rate in rates:
            try:
                row = encode_rate(rate)
            except EToroValidationError:
                refused += 1
                continue
            last[rate.instrument_id] = len(rows)
            rows.append(row)
        return refused

    def publish_order(self, order: Order) -> None:
        """As :class:`Writer`."""
        self._batch.orders.append((len(self._batch.rows), order))

    def publish_event(self, name: str, args: tuple[Any, ...] = ()) -> None:
        """As :class:`Writer`."""
        text = encode_event(name, args, self._redact)
        self._batch.events.append((len(self._batch.rows), name, text))

    @property
    def is_full(self) -> bool:
        """Whether the batch has to be written before anything is added to it."""
        batch = self._batch
        return batch.args is not None or len(batch.rows) >= MOST or self.urgent >= MOST

    @property
    def room(self) -> int:
        """How many rates may be added to the batch."""
        return max(MOST - len(self._batch.rows), 1)

    @property
    def urgent(self) -> int:
        """How many orders and events are in the batch."""
        return len(self._batch.orders) + len(self._batch.events)

    def flush(self) -> Written:
        """As :class:`Writer`; :raises EToroRedisError: when Redis is away or refuses."""
        batch = self._batch
        rates = len(batch.rows)
        is_empty = not (rates or batch.orders or batch.events)
        # An empty one has the number of the last batch, so that it renews the lease and no more.
        number = self._batches if is_empty else self._batches + 1
        args = batch.seal(self._lease, number, self._number, self._entries())
        with self._address.calling():
            answer = WRITE.run(self._client, self._keys, args)
        if answer[0] != b"OK":
            raise Fenced(lost=answer[0] == b"LOST")
        self._batches = number
        self._number += rates
        self._batch = _Batch()
        digests = tuple(order.digest for _, order in batch.orders)
        standby = answer[2] / 1000 if answer[2] >= 0 else None
        return Written(digests, rates, answer[1], len(batch.events), standby)

    def _entries(self) -> int:
        """Return how many entries the stream of rates keeps, by their average size."""
        if self._batch.rows:
            size = sum(map(len, self._batch.rows))
            self._size += (size - self._size) * (0.05 if self._size else 1.0)
        least, most = _ENTRIES
        return min(max(int(self._budget / max(self._size, 1.0)), least), most)

    def last_states(self) -> dict[int, tuple[int, int, WsInstrumentRate]]:
        """As :class:`Writer`; :raises EToroError: when Redis is away, or has something else."""
        with self._address.calling():
            found = self._client.hgetall(self._keys.last)
        return {int(key): decode_state(text, self._keys.last) for key, text in found.items()}

    def past_orders(self) -> list[Past]:
        """As :class:`Writer`; :raises EToroRedisError: when Redis is away or refuses."""
        with self._address.calling():
            found: Any = self._client.xrevrange(self._keys.orders, count=_PAST)
        past = []
        for _, fields in reversed(found):
            # Another program may have written there; it is the readers who say so.
            with contextlib.suppress(AttributeError, KeyError, RecursionError, ValueError):
                subject = subject_of(fields[b"c"].decode())
                past.append(Past(subject, fields[b"d"].decode(), fields[b"m"].decode()))
        return past

    def seen(self, digests: list[str]) -> set[str]:
        """As :class:`Writer`; :raises EToroRedisError: when Redis is away or refuses."""
        with self._address.calling():
            found = SEEN.run(self._client, self._keys, digests)
        return {digest for digest, one in zip(digests, found, strict=True) if one}
