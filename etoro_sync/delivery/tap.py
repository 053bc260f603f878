"""The interface of what is made of a stream's prices, such as candles: it gets all, in order."""

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["NEW_CONNECTION", "SNAPSHOT", "Tap"]

#: In the place of a state: the next one of the instrument is a snapshot's.
SNAPSHOT = "snapshot"
#: In the place of an event: a source that is played goes on with another connection, perhaps
#: without an event that says so.
NEW_CONNECTION = "new connection"


class Tap(Protocol):
    """Gets each merged state and the date of each message. Runs on the reader thread.

    It waits for nobody, so nothing is skipped or conflated on the way to it.
    """

    #: Dates before this one are not wanted of messages that led to no rate.
    quiet_end: str

    def take(self, entries: Sequence[tuple[int, Any]]) -> None:
        """Take what one read has brought. Must neither block, nor raise, nor keep *entries*.

        :param entries: pairs of an instrument id and a merged state, which nobody changes any more;
            or :data:`SNAPSHOT`; or, of a message that led to no rate, its date, when it was
            received, and whether the next state of the instrument takes this date.
        """

    def on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take an event that is no market event, or :data:`NEW_CONNECTION`.

        Must neither block nor raise.
        """

    def on_loss(self, topics: Sequence[str]) -> None:
        """Note that a connection with these topics was lost; others may go on.

        Must neither block nor raise.
        """

    def finish(self) -> None:
        """Emit the last, because nothing more will come. Any thread; idempotent."""
