"""Envelopes, requests, and the gap between two connections."""

from dataclasses import dataclass, field
from typing import Any, Dict, List, Tuple  # noqa: UP035  # dataclasses-json wants them

from dataclasses_json import config

from ..codec import compile_fields, decode_as_text
from ..text import show
from .fields import WireModel, text, wire

__all__ = [
    "WsAuthenticateOperation",
    "WsEnvelope",
    "WsGap",
    "WsMessage",
    "WsSubscribeOperation",
    "WsUnsubscribeOperation",
    "decode_envelope",
    "decode_message",
]


@dataclass
class WsMessage(WireModel):
    """One message of an envelope, as received.

    :param topic: ``"instrument:<id>"`` or ``"private"``.
    :param content: JSON inside a string: it must be parsed a second time. Where eToro sends an
        object instead, this is the JSON of it.
    :param id: a uuid, unique per message; ``""`` where it is missing.
    :param type: such as ``"Trading.Instrument.Rate"`` or ``"Snapshot"``; ``""`` where it is
        missing.
    """

    topic: str = text("topic")
    content: str = wire("content", decode_as_text)
    id: str = wire("id", decode_as_text, "")
    type: str = wire("type", decode_as_text, "")


_message_fields = compile_fields(WsMessage)


def decode_message(data: Any) -> WsMessage:
    """Return or raise what ``WsMessage.from_dict`` does, about fifty times faster."""
    try:
        return WsMessage(**_message_fields(data))
    except Exception:  # from_dict says below what is wrong, in its own words
        pass
    return WsMessage.from_dict(data)


def _messages(value: Any) -> List[WsMessage]:
    if type(value) is not list:
        raise TypeError(f"{show(value)} is not a list")
    return [decode_message(item) for item in value]


@dataclass
class WsEnvelope(WireModel):
    """One data frame of the feed.

    :param messages: every recorded frame held exactly one, but more are legal.
    """

    messages: List[WsMessage] = field(
        default_factory=list, metadata=config(field_name="messages", decoder=_messages)
    )


_envelope_fields = compile_fields(WsEnvelope)


def decode_envelope(data: Any) -> WsEnvelope:
    """Return or raise what ``WsEnvelope.from_dict`` does, much faster."""
    try:
        return WsEnvelope(**_envelope_fields(data))
    except Exception:  # likewise
        pass
    return WsEnvelope.from_dict(data)


@dataclass(frozen=True)
class WsGap(WireModel):
    """A hole in the stream that has ended: what was sent in between is gone.

    It counts the time for which the process was stopped or the machine slept. To fetch what was
    missed, ask for the time from a few seconds before :attr:`from_` on: what was on its way then is
    gone, too.

    :param from_: when the client can last prove that it was listening, by the clock of
        :attr:`until`: a second at most before the last data was received, or, where the connection
        has brought none, before it was authenticated; earlier where the process had stood still, or
        had read without a pause. In seconds since the epoch, UTC.
    :param until: when the subscriptions were acknowledged again, likewise.
    :param generation: the number of the connection that follows the gap; each that was opened
        counts.
    :param topics: the topics that were restored, each with a snapshot to come.
    """

    from_: float = field(metadata=config(field_name="from"))
    until: float
    generation: int
    topics: Tuple[str, ...] = field(default=(), metadata=config(decoder=tuple))

    @property
    def seconds(self) -> float:
        """How long the gap lasted, to the microsecond."""
        return round(self.until - self.from_, 6)


@dataclass
class WsAuthenticateOperation(WireModel):
    """The first request on a connection; its ``repr`` does not show the keys.

    :param id: a uuid that the answer repeats.
    :param data: ``apiKey`` and ``userKey``.
    """

    id: str
    operation: str = "Authenticate"
    data: Dict[str, str] = field(default_factory=dict, repr=False, metadata=config(decoder=dict))


@dataclass
class WsSubscribeOperation(WireModel):
    """A request for topics.

    :param id: a uuid that the acknowledgement repeats.
    :param data: ``topics`` and ``snapshot``.
    """

    id: str
    operation: str = "Subscribe"
    data: Dict[str, Any] = field(default_factory=dict, metadata=config(decoder=dict))


@dataclass
class WsUnsubscribeOperation(WireModel):
    """A request to end topics.

    :param id: a uuid that the acknowledgement repeats.
    :param data: ``topics``.
    """

    id: str
    operation: str = "Unsubscribe"
    data: Dict[str, Any] = field(default_factory=dict, metadata=config(decoder=dict))
