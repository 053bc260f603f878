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
      and ``"clear"``: the topics for which a method of the rate book was called.
    """

    @property
    def has_room(self) -> bool:
        """Whether a source that can wait may go on."""

    def note(self, kind: str, details: Any) -> None:
        """Take one of the above. Must neither block nor raise."""
