"""The state of one instrument."""

from dataclasses import MISSING, fields
from typing import Any

from ..models import WsInstrumentRate

__all__ = ["UNKNOWN", "Instrument"]

#: The state of an instrument of which no message has come.
UNKNOWN: dict[str, Any] = {
    field.name: None if field.default is MISSING else field.default
    for field in fields(WsInstrumentRate)
}


class Instrument:
    """The merged state of one instrument on the present connection.

    :param instrument_id: eToro's id of it.
    :param now: the time; its silence counts from here.
    :param awaits_snapshot: whether its rates are held back until its snapshot has come.
    """

    __slots__ = (
        "awaited_since",
        "awaits_snapshot",
        "beat",
        "closed",
        "id",
        "last_message_at",
        "reported_stale_at",
        "settled",
        "shown",
        "state",
        "visible",
    )

    def __init__(self, instrument_id: int, now: float, awaits_snapshot: bool) -> None:
        self.id = instrument_id
        #: The merged state by Python name. Never changed, but replaced, so threads may read it.
        self.state = UNKNOWN
        #: If somebody wants to know: the state at the last message that led to no rate, and its
        #: date.
        self.beat: tuple[dict[str, Any] | None, str] = (None, "")
        #: When the last message came.
        self.last_message_at = now
        self.reported_stale_at: float | None = None
        self.awaits_snapshot = awaits_snapshot
        self.awaited_since = now
        #: Whether eToro's last flag says that the instrument is not traded now.
        self.closed = False
        #: False once it is unsubscribed: messages that still come were on their way.
        self.shown = True
        #: Whether both sides are known and shown, so that the fast way may be taken.
        self.settled = False
        #: The last complete state, which ``client.rates`` shows.
        self.visible = UNKNOWN

    @property
    def stale(self) -> bool:
        """Whether ``"stale"`` was emitted since its last message."""
        return self.reported_stale_at == self.last_message_at

    @stale.setter
    def stale(self, reported: bool) -> None:
        self.reported_stale_at = self.last_message_at if reported else None
