"""Envelopes and their messages, requests, and the gap between two connections."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple  # noqa: UP035  # dataclasses-json wants them

from dataclasses_json import config

from ..codec import compile_fields, decode_as_text
from ..text import show
from .fields import ShownModel, WireModel, text, wire

__all__ = [
    "WsAuthenticateOperation",
    "WsEnvelope",
    "WsGap",
    "WsMessage",
    "WsSubscribeOperation",
    "WsUnsubscribeOperation",
    "concerns_orders",
    "decode_envelope",
    "decode_message",
]


@dataclass
class WsMessage(ShownModel):
    """One message of an envelope, as received.

    :param topic: ``"instrument:<id>"`` or ``"private"``.
    :param content: the message's fields, as JSON text that is still to be parsed. If eToro sends an
        object instead of a text, this is its JSON.
    :param id: a uuid, unique for each message; ``""`` if it is missing.
    :param type: such as ``"Trading.Instrument.Rate"`` or ``"Snapshot"``; ``""`` if it is missing.
    """

    topic: str = text("topic")
    content: str = wire("content", decode_as_text)
    id: str = wire("id", decode_as_text, "")
    type: str = wire("type", decode_as_text, "")


_message_fields = compile_fields(WsMessage)


def decode_message(data: Any) -> WsMessage:
    """Do what ``WsMessage.from_dict`` does, about fifty times faster."""
    try:
        return WsMessage(**_message_fields(data))
    except Exception:  # from_dict raises the error, below
        pass
    return WsMessage.from_dict(data)


def _messages(value: Any) -> List[WsMessage]:
    if type(value) is not list:
        raise TypeError(f"{show(value)} is not a list")
    return [decode_message(item) for item in value]


@dataclass
class WsEnvelope(ShownModel):
    """One data frame of the feed.

    :param messages: its messages. All recorded frames have exactly one, but more are legal.
    """

    messages: List[WsMessage] = field(
        default_factory=list, metadata=config(field_name="messages", decoder=_messages)
    )


_envelope_fields = compile_fields(WsEnvelope)


def decode_envelope(data: Any) -> WsEnvelope:
    """Do what ``WsEnvelope.from_dict`` does, much faster."""
    try:
        return WsEnvelope(**_envelope_fields(data))
    except Exception:  # as above
        pass
    return WsEnvelope.from_dict(data)


@dataclass(frozen=True)
class WsGap(ShownModel):
    """The time between a lost connection and its replacement, in which messages were missed.

    eToro does not send them again. To fetch them by REST, ask for the time from a few seconds
    before :attr:`from_` until :attr:`until`, because messages that were on their way at
    :attr:`from_` are missing, too. The time for which the process was stopped or the machine slept
    is part of the gap.

    :param from_: when the client had last read all that had come; seconds since the epoch, UTC. At
        most a second before the last data, or before the authentication if there was no data;
        earlier if the process had stood still, or data had come without a pause.
    :param until: when all subscriptions were acknowledged again; seconds since the epoch, UTC.
    :param generation: the number of the new connection; see :attr:`WsInstrumentRate.generation`.
    :param topics: the topics that were restored; a snapshot of each instrument follows.
    """

    from_: float = field(metadata=config(field_name="from"))
    until: float
    generation: int
    topics: Tuple[str, ...] = field(default=(), metadata=config(decoder=tuple))

    @property
    def seconds(self) -> float:
        """How long the gap lasted, in seconds, rounded to microseconds."""
        return round(self.until - self.from_, 6)


def concerns_orders(gap: WsGap) -> bool:
    """Return whether order events may be missing: not if another connection alone was lost."""
    return not gap.topics or "private" in gap.topics


@dataclass
class WsAuthenticateOperation(WireModel):
    """The request that logs in, first on each connection. Its ``repr`` does not show the keys.

    :param id: a uuid that the answer repeats.
    :param data: ``apiKey`` and ``userKey``.
    """

    id: str
    operation: str = "Authenticate"
    data: Dict[str, str] = field(default_factory=dict, repr=False, metadata=config(decoder=dict))


@dataclass
class WsSubscribeOperation(WireModel):
    """A request to subscribe to topics.

    :param id: a uuid that the acknowledgement repeats.
    :param data: ``topics``, a list of strings, and ``snapshot``, a bool.
    """

    id: str
    operation: str = "Subscribe"
    data: Dict[str, Any] = field(default_factory=dict, metadata=config(decoder=dict))


@dataclass
class WsUnsubscribeOperation(WireModel):
    """A request to unsubscribe from topics.

    :param id: a uuid that the acknowledgement repeats.
    :param data: ``topics``, a list of strings.
    """

    id: str
    operation: str = "Unsubscribe"
    data: Dict[str, Any] = field(default_factory=dict, metadata=config(decoder=dict))
