"""Tells an event that comes twice from an order that returns to an earlier state. Pure.

An order that waits for its market every night says the same every night, and each time it is news.
So the digest of an event has the number of times that its content came, with others between.
Publishers that have received the same agree on it; one that starts learns it from Redis.
"""

from collections import OrderedDict
from typing import Any

from ..layout.order_rows import numbered, parted

__all__ = ["Occurrences"]

#: Of how many orders, and contents, the last is remembered.
_MOST = 100_000


class Occurrences:
    """Numbers the events of orders, in the order in which they come."""

    def __init__(self) -> None:
        # Order -> the digest of its last content.
        self._last: OrderedDict[Any, str] = OrderedDict()
        # Digest of a content -> how often it came, and with which message the last time.
        self._counts: OrderedDict[str, tuple[int, str]] = OrderedDict()

    def learn(self, subject: Any, digest: str, message_id: str) -> None:
        """Note an event that is in Redis.

        :param subject: the order.
        :param digest: as it stands there.
        """
        content, number = parted(digest)
        self._note(subject, content, number, message_id)

    def digest(self, subject: Any, content: str, message_id: str) -> str | None:
        """Return the digest of an event; None: it has come before.

        :param subject: the order.
        :param content: the digest of its content.
        """
        count, known_id = self._counts.get(content, (0, ""))
        is_same_message = bool(count and message_id) and message_id == known_id
        if is_same_message or (count and self._last.get(subject) == content):
            return None
        self._note(subject, content, count + 1, message_id)
        return numbered(content, count + 1)

    def _note(self, subject: Any, content: str, count: int, message_id: str) -> None:
        self._last[subject] = content
        self._last.move_to_end(subject)
        self._counts[content] = count, message_id
        self._counts.move_to_end(content)
        for table in (self._last, self._counts):
            if len(table) > _MOST:
                table.popitem(last=False)
