"""What taps of the pipeline, such as candles, get of a message besides the state it leads to."""

from typing import Any

from ..delivery.tap import SNAPSHOT
from .instrument import Instrument
from .message_parser import SNAPSHOT_TYPE

__all__ = ["tap_message"]


def tap_message(
    tapped: list[tuple[int, Any]],
    instrument: Instrument,
    before: dict[str, Any],
    content: dict[str, Any],
    type_: str,
    is_rate: bool,
    received_at: float,
) -> None:
    """Append the date of a message without a rate, and what its rate does not say itself.

    :param tapped: of the publisher.
    :param before: the state of the instrument before the message.
    :param content: the parsed content, by wire name.
    :param type_: the message's type on the wire.
    :param is_rate: whether it led to a rate.
    :param received_at: seconds since the epoch.
    """
    key, date = instrument.id, content.get("Date")
    if "Date" not in content:
        behind, date = instrument.beat
        if behind is before:  # no rate has come since that date
            instrument.beat = instrument.state, date
            if is_rate:
                tapped.append((key, (date, received_at, True)))
    elif not is_rate and type(date) is str:
        instrument.beat = instrument.state, date
        tapped.append((key, (date, received_at, False)))
    if is_rate and type_ == SNAPSHOT_TYPE:
        tapped.append((key, SNAPSHOT))
