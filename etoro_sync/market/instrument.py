"""What is known of one instrument on the present connection."""

from dataclasses import MISSING, fields
from typing import Any

from ..models import WsInstrumentRate

__all__ = ["UNKNOWN", "Instrument"]

UNKNOWN: dict[str, Any] = {
    field.name: None if field.default is MISSING else field.default
    for field in fields(WsInstrumentRate)
}


class Instrument:
    """What is known of one instrument on the present connection."""

    __slots__ = (
        "awaited_since",
        "awaits_snapshot",
        "closed",
        "heard_at",
        "id",
        "reported_stale_at",
        "settled",
        "shown",
        "state",
        "visible",
    )

    def __init__(self, instrument_id: int, now: float, awaits_snapshot: bool) -> None:
        self.id = instrument_id
        self.state = UNKNOWN
        self.heard_at = now
        self.reported_stale_at: float | None = None
        self.awaits_snapshot = awaits_snapshot
        self.awaited_since = now
        #: Whether eToro has said that the instrument is not traded now.
        self.closed = False
        self.shown = True  # False: unsubscribed; what still comes was on its way
        #: Whether both sides are known and shown, so that news needs no second look.
        self.settled = False
        #: The state that users see; the last complete one.
        self.visible = UNKNOWN

    @property
    def stale(self) -> bool:
        """Whether its present silence was reported already."""
        return self.reported_stale_at == self.heard_at

    @stale.setter
    def stale(self, reported: bool) -> None:
        self.reported_stale_at = self.heard_at if reported else None
