"""The wire format: topics, message types, and how prices and dates are written."""

import json
import time
from collections.abc import Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from random import Random
from typing import Any

RATE = "Trading.Instrument.Rate"
ACTIVE = "Trading.Instrument.Active"
SNAPSHOT = "Snapshot"
ORDER_UPDATE = "Trading.OrderForCloseMultiple.Update"
PRIVATE = "private"
NUL = b"\x00"

# The feed's times have the resolution of .NET: 100 ns.
TICKS_PER_SECOND = 10_000_000


def compact(value: object) -> str:
    """Write a value as JSON without spaces, as the feed does."""
    return json.dumps(value, separators=(",", ":"))


def topic_of(instrument_id: int) -> str:
    """Return the topic of an instrument."""
    return f"instrument:{instrument_id}"


def instrument_of(topic: str) -> int | None:
    """Return the instrument id of a topic, or None when the topic is not an instrument's."""
    prefix, _, digits = topic.partition(":")
    if prefix != "instrument" or not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        return None
    # "instrument:018" is not a topic of instrument 18; nothing is sent to it.
    return None if digits != "0" and digits.startswith("0") else int(digits)


def new_uuid(random: Random) -> str:
    """Return a version 4 UUID from a seeded generator, so that runs are repeatable."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def envelope(topic: str, message_type: str, content: str, message_id: str) -> str:
    """Wrap one message in an envelope. All recorded frames have exactly one message.

    :param topic: ``instrument:<id>`` or ``private``.
    :param message_type: the ``type``.
    :param content: the content as JSON text, which is sent as a string.
    :param message_id: a UUID.
    """
    return (
        f'{{"messages":[{{"topic":"{topic}","content":{encode_basestring_ascii(content)},'
        f'"id":"{message_id}","type":"{message_type}"}}]}}'
    )


def messages_of(text: str) -> list[tuple[str, dict[str, Any], str]]:
    """Take a frame of the feed apart: topic, message, and text of each; none of any other text.

    :param text: an envelope, as :func:`envelope` writes it.
    """
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return []
    messages = frame.get("messages") if isinstance(frame, dict) else None
    if not isinstance(messages, list):
        return []
    found = [(m.get("topic"), m) for m in messages if isinstance(m, dict)]
    alone = len(messages) == 1
    return [
        (topic, message, text if alone else compact({"messages": [message]}))
        for topic, message in found
        if isinstance(topic, str)
    ]


def content_of(message: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a message as text; none of one that cannot be read."""
    content = message.get("content")
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            return {}
    if not isinstance(content, dict):
        return {}
    return {k: v if isinstance(v, str) else compact(v) for k, v in content.items() if v is not None}


def price_text(units: int, decimals: int) -> str:
    """Write a price that is given in units of its last decimal place.

    It is computed with integers, so that it has no rounding error and no exponent. Trailing zeros
    are left out, as in the real feed.

    :param units: the price times ``10 ** decimals``; not negative.
    :param decimals: number of decimal places; at least 1.
    """
    digits = f"{units:0{decimals + 1}d}"
    fraction = digits[-decimals:].rstrip("0")
    return f"{digits[:-decimals]}.{fraction}" if fraction else digits[:-decimals]


@lru_cache(maxsize=64)
def _second_text(seconds: int) -> str:
    """Write a time in whole seconds; cached, since a busy feed writes each many times."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def date_text(ticks: int) -> str:
    """Write a UTC time as .NET does: up to seven decimals, without trailing zeros.

    :param ticks: 100 ns units since 1970.
    """
    seconds, rest = divmod(ticks, TICKS_PER_SECOND)
    fraction = f"{rest:07d}".rstrip("0")
    return f"{_second_text(seconds)}.{fraction}Z" if fraction else f"{_second_text(seconds)}Z"
