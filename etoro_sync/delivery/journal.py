"""The interface of what records a stream: it notes all that goes into the pipeline, in order."""

from typing import Any, Protocol

__all__ = ["Journal"]


class Journal(Protocol):
    """Notes what goes into the pipeline, before it takes effect. Runs on the reader thread.

    These kinds, put in again in the same order, give the same rates and events:

    - ``"texts"``: ``(received_at, texts)``, the text frames of one read;
    - ``"rate"``: ``(instrument_id, state)``, of a source whose rates are merged already;
    - ``"event"``: ``(event, arguments)``, what was emitted, market events excepted;
    - ``"generation"``, ``"lost"``, ``"expect"``, ``"expect-none"``, ``"subscribed"``, ``"forget"``
      and ``"clear"``: the topics for which a method of the rate book was called;
    - ``"restored"``: the :class:`~etoro_sync.market.book_state.BookState` that the book becomes.
    """

    #: The time of what is noted next, in seconds since the epoch, of a source with a time of its
    #: own, such as a recording; None: now.
    at: float | None

    @property
    def has_room(self) -> bool:
        """Whether a source that can wait may go on."""

    def note(self, kind: str, details: Any) -> None:
        """Take one of the above. Must neither block nor raise."""

    def end_read(self) -> None:
        """Note that the texts that were noted last have taken effect."""
