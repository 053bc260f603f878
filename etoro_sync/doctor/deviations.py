"""Compares what the service sends with what is publicly known of it.

The client tolerates nearly everything, and so shows little of what it tolerates. Here each text is
read a second time, strictly. Of market data a value is kept as an example; of all else only names
and types, since it may be of the account.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from .. import codec
from ..errors import EToroValidationError
from ..market.message_parser import instrument_id_of, parse_envelope, parse_messages
from ..models import WsInstrumentDelta
from ..models.fields import parse_date
from ..text import show
from . import facts
from .facts import json_type
from .privacy import Scrubber
from .records import Deviation

__all__ = ["Deviations", "Inspector", "is_one_of", "place_of"]

#: Kinds that are kept; a server may make up any number.
_MOST = 100
_LONGEST_EXAMPLE = 60
_LONGEST_WORD = 60
_LARGEST_CODE = 10_000
#: Names of fields whose values may be of the account, wherever they stand.
_PERSONAL = re.compile(r"cid|user|account|customer|client|owner|mail|token|session", re.IGNORECASE)
_FIELDS = codec.wire_fields(WsInstrumentDelta)


class Deviations:
    """Collects deviations, each kind once, with how often it was seen.

    :param scrub: makes a server's words fit to be shown.
    :param elapsed: returns the seconds since the examination has begun.
    """

    def __init__(self, scrub: Scrubber, elapsed: Callable[[], float]) -> None:
        self._scrub = scrub
        self._elapsed = elapsed
        self._found: dict[tuple[str, str], Deviation] = {}
        self._left_out: set[int] = set()

    def add(self, kind: str, what: str, example: str = "") -> None:
        """Note one.

        :param kind: such as ``"unknown field"``.
        :param what: which one; words of the server in it have gone through :meth:`word`.
        :param example: a value of market data, or ``""``.
        """
        key = kind, what
        known = self._found.get(key)
        if known is not None:
            known.count += 1
        elif len(self._found) < _MOST:
            example = self._scrub(example)[:_LONGEST_EXAMPLE]
            self._found[key] = Deviation(*key, example, 1, round(self._elapsed(), 1))
        elif len(self._left_out) < 10 * _MOST:
            self._left_out.add(hash(key))

    def word(self, value: object) -> str:
        """Return a name or a code of the server, short and without what may be of the account."""
        text = value if isinstance(value, str) else show(value)
        return self._scrub.foreign(text, _LONGEST_WORD)

    def another(self) -> "Deviations":
        """Return an empty one of the same beginning, for another thread; see :meth:`merge`."""
        return Deviations(self._scrub, self._elapsed)

    def merge(self, other: "Deviations") -> None:
        """Add what another one has collected, after its thread has ended."""
        for key, each in list(other._found.items()):
            known = self._found.get(key)
            if known is not None:
                known.count += each.count
                known.first = min(known.first, each.first)
            elif len(self._found) < _MOST:
                self._found[key] = each
            else:
                self._left_out.add(hash(key))
        self._left_out |= other._left_out

    @property
    def found(self) -> list[Deviation]:
        """Copies of those that were kept, in the order in which they were first seen."""
        return [replace(each) for each in list(self._found.values())]

    @property
    def left_out(self) -> int:
        """How many further kinds were seen, as far as they were counted."""
        return len(self._left_out)


def place_of(topic: object) -> str:
    """Return where a message belongs: ``"instrument"``, ``"private"`` or ``""``: unknown."""
    if topic == "private":
        return "private"
    return "instrument" if instrument_id_of(topic if isinstance(topic, str) else "") else ""


def is_one_of(value: object, known: Collection[str]) -> bool:
    """Whether *value* is one of the known words; a server may send a list or an object instead."""
    return isinstance(value, str) and value in known


class Inspector:
    """Reads each text strictly, and notes what deviates.

    :param deviations: where it is noted.
    """

    def __init__(self, deviations: Deviations) -> None:
        self._add = deviations.add
        self._word = deviations.word

    def parse(self, text: str) -> dict[str, Any] | None:
        """Return the JSON object of a frame; None: it has none, which is noted."""
        try:
            value = codec.loads(text)
        except ValueError:
            if not text.strip(codec.PADDING):
                self._add("frame", "a text frame of nothing but padding")
                return None
            try:
                value = codec.loads_padded(text)
            except ValueError:
                self._add("frame", "a text frame that is not JSON")
                return None
            self._add("frame", "padding around the JSON of a text frame")
        if type(value) is not dict:
            self._add("frame", f"a frame whose JSON is no object: {json_type(value)}")
            return None
        return value

    def reply(self, reply: Mapping[str, Any]) -> None:
        """Inspect the answer to a request."""
        self._fields(reply, facts.REPLY_FIELDS, "an answer")
        code = reply.get("errorCode")
        if code and not is_one_of(code, facts.ERROR_CODES):
            self._add("unknown error code", self._word(code))
        if "success" not in reply and not code:
            self._add("answer", "neither success nor errorCode")
        if reply.get("success") is False and not code:
            self._add("answer", "a refusal without errorCode")
        if reply.get("success") is True and code:
            self._add("answer", "success with an errorCode")
        operation = reply.get("operation")
        if "operation" in reply and not is_one_of(operation, facts.OPERATIONS):
            self._add("unknown operation", self._word(operation))
        for name in ("id", "operation"):
            if name not in reply and not is_one_of(code, facts.WITHOUT_ID):
                self._add("answer", f"no {name}")

    def envelope(self, frame: Mapping[str, Any], text: str) -> list[dict[str, Any]]:
        """Inspect a frame with data.

        :param text: what it was parsed from.
        :returns: those of its messages that are objects.
        """
        self._fields(frame, facts.ENVELOPE_FIELDS, "a frame")
        messages = frame["messages"]
        if type(messages) is not list:
            return []
        if len(messages) != 1:
            self._add("frame", "another number of messages in one frame than 1", str(len(messages)))
        found = [each for each in messages if type(each) is dict]
        if len(found) < len(messages):
            self._add("frame", "a message that is no object")
        for message in found:
            self._message(message)
        try:
            parse_messages(parse_envelope(text))
        except EToroValidationError as error:
            # Its text quotes the message.
            self._add("not readable", f"the client cannot decode the {error.field} of a message")
        return found

    @staticmethod
    def quietly(content: object) -> dict[str, Any] | None:
        """Return the fields of a message that was inspected already; None: it has none."""
        try:
            value = codec.loads(content) if isinstance(content, str) else content
        except ValueError:
            return None
        return value if type(value) is dict else None

    # -- one message ---------------------------------------------------------------------------

    def _message(self, message: Mapping[str, Any]) -> None:
        place, type_ = place_of(message.get("topic")), message.get("type")
        self._fields(message, facts.MESSAGE_FIELDS, f"a message of {place or 'an unknown topic'}")
        if not place:
            self._add("unknown topic", self._word(message.get("topic")))
            return
        types = facts.PRIVATE_TYPES if place == "private" else facts.MARKET_FIELDS.keys()
        if "id" not in message:
            self._add("message", f"no id in a message of {place}")
        if "type" not in message:
            self._add("message", f"no type in a message of {place}")
        elif not is_one_of(type_, types):
            self._add("unknown type", f"{self._word(type_)} of {place}")
        content = self._content(message.get("content"), place)
        if content is None:
            return
        where = f"{self._word(type_ or 'a message without type')} of {place}"
        if place == "private":
            self._fields(content, facts.PRIVATE_FIELDS, where)
            self._codes(content, where)
        else:
            self._market(content, facts.MARKET_FIELDS.get(str(type_), facts.SNAPSHOT_FIELDS), where)

    def _content(self, content: object, place: str) -> dict[str, Any] | None:
        if isinstance(content, str):
            try:
                content = codec.loads(content)
            except ValueError:
                self._add("content", f"content of {place} that is not JSON")
                return None
        if type(content) is not dict:
            self._add("content", f"content of {place} that is no object: {json_type(content)}")
            return None
        return content

    def _market(self, content: Mapping[str, Any], known: Collection[str], where: str) -> None:
        for name, value in content.items():
            kind = json_type(value)
            if name not in known:
                example = "" if _PERSONAL.search(name) else show(value)
                self._add("unknown field", f"{self._word(name)} in {where}: {kind}", example)
            elif name == "ClosingPrices" and kind == "string":
                self._closes(value, where)
            elif kind != "string":
                self._add("type of a field", f"{name} in {where}: {kind}, not string", show(value))
            elif not _decodes(name, value):
                self._add("value of a field", f"{name} in {where} cannot be read", show(value))
        self._codes(content, where)

    def _closes(self, value: str, where: str) -> None:
        closes = self.quietly(value)
        if closes is None and not value.startswith(facts.WITHOUT_CLOSES):
            self._add("value of a field", f"ClosingPrices in {where} cannot be read", show(value))
        for name in (closes or {}).keys() - facts.CLOSES:
            self._add("unknown field", f"{self._word(name)} in ClosingPrices in {where}")

    def _codes(self, content: Mapping[str, Any], where: str) -> None:
        for name in facts.CODES.keys() & content.keys():
            code = content[name]
            if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 6:
                code = int(code)
            small = type(code) is int and abs(code) < _LARGEST_CODE
            if small and code not in facts.CODES[name]:
                self._add("unknown code", f"{name} {code} in {where}")

    def _fields(
        self, found: Mapping[str, Any], known: Mapping[str, Collection[str]], where: str
    ) -> None:
        """Note fields that are not known, or have another JSON type than known."""
        for name, value in found.items():
            kind = json_type(value)
            if name not in known:
                self._add("unknown field", f"{self._word(name)} in {where}: {kind}")
            elif kind not in known[name]:
                expected = " or ".join(sorted(known[name]))
                self._add("type of a field", f"{name} in {where}: {kind}, not {expected}")


def _decodes(name: str, value: str) -> bool:
    field = _FIELDS.get(name)
    if name == "Date":
        return parse_date(value) is not None
    try:
        if field is not None:
            field.decode(value)
    except (ValueError, TypeError, OverflowError):
        return False
    return True
