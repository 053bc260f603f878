"""The lines of a recording, and what stands in them before they are encoded. Pure.

Each line is an object with the same four fields, so that pandas, polars and DuckDB read a segment
as one table:

- ``at``: when it was received or happened, in seconds since the epoch, UTC;
- ``generation``: the number of the connection;
- ``kind``: ``"text"`` for a frame as it was sent, else one of the words of ``details``;
- ``text``: the frame, or for the other kinds their details, as JSON.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from .. import codec
from ..errors import EToroError
from ..market.message_parser import BAD_VALUE
from ..models.fields import WireModel
from ..numbers import real

__all__ = [
    "LONGEST_TEXT",
    "Entry",
    "Line",
    "encode_line",
    "encode_texts",
    "fields_of",
    "parse_line",
]

#: A longer text is refused, because a frame with it could be longer than what is read.
LONGEST_TEXT = 16 << 20
#: Times from here on, in the year 5138, are no times of a recording.
_LATEST = 1e11
_TEXT = '{"at":%s,"generation":%d,"kind":"text","text":%s}\n'
_quote = json.encoder.encode_basestring_ascii
#: How deep the arguments of an event may be nested; what is deeper is written as text.
_DEEPEST = 20


class Entry(NamedTuple):
    """What was noted at one moment, before it is encoded.

    :param kind: of :class:`~etoro_sync.delivery.journal.Journal`, or ``"state"`` with the
        :class:`BookState` at this moment, or ``"hole"`` with what is missing.
    :param at: seconds since the epoch.
    :param generation: the number of the connection.
    :param details: as the journal got them.
    """

    kind: str
    at: float
    generation: int
    details: Any


class Line(NamedTuple):
    """One line of a recording, as it stands there."""

    at: float
    generation: int
    kind: str
    text: str


def encode_texts(
    at: float, generation: int, texts: Iterable[str], redact: Callable[[str], str]
) -> Iterator[str]:
    """Yield the lines of the texts of one read, each with its end."""
    stamp = _stamp(at)
    for text in texts:
        yield _TEXT % (stamp, generation, _quote(redact(text)))


def encode_line(
    kind: str, at: float, generation: int, details: Any, redact: Callable[[str], str] = str
) -> str:
    """Return the line of a kind whose text is JSON, with its end.

    :param redact: removes the keys from text, such as of a server that repeats them.
    """
    try:
        text = json.dumps(details, separators=(",", ":"), default=_plain, allow_nan=False)
    except Exception:
        # Arguments of events may be any objects of the user.
        text = json.dumps(_as_json(details, 0), separators=(",", ":"))
    quoted = _quote(redact(text))
    return f'{{"at":{_stamp(at)},"generation":{generation},"kind":"{kind}","text":{quoted}}}\n'


def _stamp(at: float) -> str:
    """Return a time as JSON; every float comes back as it was."""
    number = float(at)
    return repr(number) if 0 <= number < _LATEST else "0.0"


def _plain(value: Any) -> Any:
    """Return what stands for an object that JSON does not have."""
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "message": str(value)}
    if isinstance(value, WireModel):
        return value.to_dict()
    number = real(value)
    return str(value) if number is None else number


def _as_json(value: Any, depth: int) -> Any:
    """Return any object as JSON, and its text where that cannot be."""
    try:
        if value is None or type(value) in (bool, str):
            return value
        if type(value) in (int, float):
            return value if abs(value) < 1e300 else str(value)
        if depth >= _DEEPEST:
            return str(value)
        if isinstance(value, dict):
            return {str(key): _as_json(each, depth + 1) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [_as_json(each, depth + 1) for each in value]
        return _as_json(_plain(value), depth + 1)
    except Exception:  # of the object's own methods
        return f"<{type(value).__name__}>"


def parse_line(raw: bytes) -> Line:
    """Return one line.

    :raises EToroError: when it is none.
    """
    try:
        data = _loads(raw.decode())
        line = Line(data["at"], data["generation"], data["kind"], data["text"])
        # Checked by itself, because every message of a recording comes through here.
        numbers = type(line.at) is float and type(line.generation) is int
        if numbers and type(line.kind) is type(line.text) is str and 0 <= line.at < _LATEST:
            return line
    except BAD_VALUE:
        pass
    raise EToroError(f"{raw[:60]!r} is no line of a recording")


def _loads(text: str) -> Any:
    try:
        return codec.loads(text)
    except ValueError:
        # This one reads half of a surrogate pair, too, which order events and users may have.
        return codec.loads_standard(text)


def fields_of(line: Line) -> dict[str, Any]:
    """Return the details of a line, which are an object.

    :raises EToroError: when they are none.
    """
    try:
        details = _loads(line.text)
        if type(details) is dict:
            return details
        problem: object = "they are no object"
    except BAD_VALUE as exc:
        problem = exc
    raise EToroError(f"The details of a line of kind {line.kind!r:.40} are not valid: {problem}")
