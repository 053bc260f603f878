"""How the feed writes things, so that nothing else has to know what a price or date looks like."""

import json
import time
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from random import Random

RATE = "Trading.Instrument.Rate"
ACTIVE = "Trading.Instrument.Active"
SNAPSHOT = "Snapshot"
ORDER_UPDATE = "Trading.OrderForCloseMultiple.Update"
PRIVATE = "private"
NUL = b"\x00"

# .NET counts time in units of 100 ns, and so does the feed.
TICKS_PER_SECOND = 10_000_000


def compact(value: object) -> str:
    """Write a value as JSON without blanks, as the feed does."""
    return json.dumps(value, separators=(",", ":"))


def topic_of(instrument_id: int) -> str:
    """Name the topic of an instrument."""
    return f"instrument:{instrument_id}"


def instrument_of(topic: str) -> int | None:
    """Give the instrument id of a topic, or None when the topic is not an instrument's."""
    prefix, _, digits = topic.partition(":")
    if prefix != "instrument" or not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        return None
    # "instrument:018" would be a second name of instrument 18, which nothing is sent to.
    return None if digits != "0" and digits.startswith("0") else int(digits)


def new_uuid(random: Random) -> str:
    """Draw a version 4 UUID from a seeded generator, so that a run can be repeated exactly."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def envelope(topic: str, message_type: str, content: str, message_id: str) -> str:
    """
    Wrap one message. Every frame ever recorded carries exactly one.

    :param topic: ``instrument:<id>`` or ``private``.
    :param message_type: The wire's ``type``.
    :param content: The content, already written as JSON: it travels as a string.
    :param message_id: A UUID.
    """
    return (
        f'{{"messages":[{{"topic":"{topic}","content":{encode_basestring_ascii(content)},'
        f'"id":"{message_id}","type":"{message_type}"}}]}}'
    )


def price_text(units: int, decimals: int) -> str:
    """
    Write a price given in units of its last decimal place.

    Integers and not floats, so that no binary noise and no exponent can appear. Zeros at the end
    are left out, as the feed does.

    :param units: The price times ``10 ** decimals``; not negative.
    :param decimals: Number of decimal places; at least 1.
    """
    digits = f"{units:0{decimals + 1}d}"
    fraction = digits[-decimals:].rstrip("0")
    return f"{digits[:-decimals]}.{fraction}" if fraction else digits[:-decimals]


@lru_cache(maxsize=64)
def _second_text(seconds: int) -> str:
    """Write a whole second; cached because a busy feed writes each second thousands of times."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def date_text(ticks: int) -> str:
    """
    Write a UTC time the way .NET does: up to seven decimals, without the zeros at the end.

    :param ticks: 100 ns units since 1970.
    """
    seconds, rest = divmod(ticks, TICKS_PER_SECOND)
    fraction = f"{rest:07d}".rstrip("0")
    return f"{_second_text(seconds)}.{fraction}Z" if fraction else f"{_second_text(seconds)}Z"
