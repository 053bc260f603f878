"""What a consumer of orders asks of Redis: each call is one round trip, and may raise."""

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ...errors import EToroRedisError, EToroValidationError
from ...models import WsPrivateEvent
from ..connection import Address
from ..layout.keys import Keys
from ..layout.order_rows import decode_order
from . import order_scripts

__all__ = ["Claim", "Delivery", "GroupCommands", "decoded"]


class Delivery(NamedTuple):
    """An order as it stands in Redis.

    :param id: of its entry.
    :param attempt: how often it was delivered, this time included.
    :param fields: of the entry.
    """

    id: str
    attempt: int
    fields: Mapping[bytes, bytes]

    @property
    def digest(self) -> str:
        """That of the order's content; ``""`` if there is none."""
        return self.fields.get(b"d", b"").decode("ascii", "replace")


class Claim(NamedTuple):
    """What the search for orders that nobody has acknowledged in time has found.

    :param kind: ``"none"``; ``"order"``: it is this consumer's now; ``"dead"``: it was delivered
        too often, and is set aside; ``"gone"``: it was removed from the stream.
    :param position: of the group.
    :param delivery: the order; None: there is none.
    """

    kind: str
    position: str
    delivery: Delivery | None


class GroupCommands:
    """The commands of one consumer, on a connection of its own. One thread at a time.

    :param address: of Redis.
    :param keys: of the feed.
    :param group: the group's name.
    :param consumer: the consumer's.
    :param timeout: seconds for each answer.
    """

    def __init__(
        self, address: Address, keys: Keys, group: str, consumer: str, timeout: float = 5.0
    ) -> None:
        self._address = address
        self._keys = keys
        self._group = group
        self._consumer = consumer
        #: Also for the removal of old orders.
        self.client = address.client(timeout)
        self._scripts: dict[str, Any] = {}
        #: What identifies the data in Redis; another one, if all was lost. ``""``: not known yet.
        self.feed_id = ""
        #: The id of an entry up to which the group has acknowledged all; ``""``: not known yet.
        self.position = ""

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    @contextlib.contextmanager
    def _calling(self) -> Iterator[None]:
        """:raises EToroRedisError: when Redis does not answer, or refuses."""
        try:
            with self._address.calling():
                yield
        except EToroRedisError:
            raise
        except BaseException:
            # Ctrl-C between a command and its answer: the next command must not get that answer.
            self.client.connection_pool.disconnect()
            raise

    def _run(self, script: str, *arguments: Any) -> Any:
        keys = [self._keys.orders, self._keys.groups, self._keys.dead]
        if script not in self._scripts:
            self._scripts[script] = self.client.register_script(script)
        with self._calling():
            return self._scripts[script](keys=keys, args=arguments)

    def _note(self, position: bytes) -> None:
        # Empty, where the group is lost: what is remembered is needed then.
        self.position = position.decode() or self.position

    # -- the group ---------------------------------------------------------------------------------

    def ensure(self, begin: str) -> bool:
        """Make the group at its last known position; return False if it is there.

        :param begin: where it begins if nothing is known of it: ``"0-0"`` is with all orders that
            Redis has, ``"$"`` behind them.
        """
        feed_id, position, made = self._run(
            order_scripts.ENSURE, self._group, self.position, self.feed_id, uuid.uuid4().hex, begin
        )
        self.feed_id, self.position = feed_id.decode(), position.decode()
        return bool(made)

    def leave(self) -> None:
        """Take the consumer off the group, if it holds no order."""
        self._run(order_scripts.LEAVE, self._group, self._consumer)

    def remove(self) -> None:
        """Remove the group."""
        self._run(order_scripts.REMOVE, self._group)
        self.position = ""

    # -- orders ------------------------------------------------------------------------------------

    def read(self, seconds: float) -> Delivery | None:
        """Return an order that no consumer has had; None: none came in time.

        :param seconds: to wait.
        """
        streams: Any = {self._keys.orders: ">"}
        # A time of 0 would be without end.
        wait = max(int(seconds * 1000), 1)
        with self._calling():
            found: Any = self.client.xreadgroup(
                self._group,
                self._consumer,
                streams,
                count=1,
                block=wait,
            )
        for _, entries in found or ():
            for number, fields in entries:
                return Delivery(number.decode(), 1, fields or {})
        return None

    def claim(self, idle: float, attempts: int) -> Claim:
        """Take over the oldest order that was delivered long ago and is not acknowledged.

        :param idle: how many seconds ago.
        :param attempts: how often an order is delivered before it is set aside.
        """
        found = self._run(
            order_scripts.CLAIM, self._group, self._consumer, int(idle * 1000), attempts
        )
        self._note(found[1])
        kind = found[0].decode()
        if kind == "none":
            return Claim(kind, self.position, None)
        number, times, flat = found[2:]
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        return Claim(kind, self.position, Delivery(number.decode(), int(times), fields))

    def acknowledge(self, number: str) -> bool:
        """Note that an order was handled; return whether it was to be."""
        count, position = self._run(order_scripts.ACKNOWLEDGE, self._group, number)
        self._note(position)
        return bool(count)

    def set_aside(self, delivery: Delivery, reason: str) -> None:
        """Move an order to those that are set aside."""
        arguments = (self._group, delivery.id, delivery.attempt, reason)
        self._note(self._run(order_scripts.SET_ASIDE, *arguments))

    def dead(self) -> list[Delivery]:
        """Return what the group has set aside, the oldest first."""
        with self._calling():
            entries: Any = self.client.xrange(self._keys.dead)
        return [
            Delivery(fields[b"i"].decode(), int(fields[b"t"]), fields)
            for _, fields in entries
            if fields.get(b"g") == self._group.encode()
        ]

    def forget(self, number: str) -> bool:
        """Remove an order from what was set aside; return whether it was there."""
        return bool(self._run(order_scripts.FORGET, self._group, number))


def decoded(delivery: Delivery, keys: Keys) -> WsPrivateEvent:
    """Return the event of an order.

    :raises EToroValidationError: if it is none.
    """
    where = f"{keys.orders} {delivery.id}"
    content = delivery.fields.get(b"c")
    if content is None or b"d" not in delivery.fields:
        raise EToroValidationError(f"{where} in Redis is no order event.", keys.orders)
    return decode_order(content, where)
