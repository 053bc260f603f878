"""Reads recordings: which segments there are, how they follow each other, and their entries."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import EToroError
from ..market.book_state import BookState, InstrumentState
from .folder import SUFFIX, segments_in
from .frames import whole_frames
from .lines import (
    BOOK_KINDS,
    Entry,
    Line,
    decode_details,
    decode_instrument,
    decode_visible,
    parse_line,
)
from .segment import FORMAT

__all__ = ["Header", "Missing", "entries_of", "find_segments", "lines_of", "read_header"]

#: More instruments than a keyframe has: it is bounded as the rate book is.
_MOST_INSTRUMENTS = 200_000
#: How many texts of one read are one entry.
_MOST_TEXTS = 256


@dataclass(frozen=True)
class Header:
    """The first line of a segment.

    :param path: its file.
    :param recording: a name that all segments of one recording share.
    :param number: of the segment within the recording, from 1.
    :param wall: when it began, in seconds since the epoch.
    :param library: the version of the library that has written it.
    """

    path: Path
    recording: str
    number: int
    wall: float
    library: str


def find_segments(path: Path, since: datetime | float | None = None) -> list[Header]:
    """Return the segments of a file or a folder, in order.

    :param since: leave out segments that end before.
    :raises EToroError: when there is none, or one cannot be read.
    """
    if path.is_dir():
        files = segments_in(path)
    elif path.exists():
        files = [path]
    else:
        raise EToroError(f"There is no file or folder {path}.")
    headers = [header for file in files if (header := read_header(file)) is not None]
    if not headers:
        raise EToroError(f"{path} has no recording: no file named *{SUFFIX} with a whole frame.")
    if since is not None:
        start = since.timestamp() if isinstance(since, datetime) else float(since)
        later = [number for number, header in enumerate(headers) if header.wall > start]
        headers = headers[max((later[0] if later else len(headers)) - 1, 0) :]
    return headers


def read_header(path: Path) -> Header | None:
    """Return the header of a segment; None: its process was killed before it was written.

    :raises EToroError: when the file is none of a recording, or of an unknown version.
    """
    first = next(iter(whole_frames(path)), None)
    if first is None or first.data is None:
        return None
    line = parse_line(first.data.split(b"\n", 1)[0])
    if line.kind != "header":
        raise EToroError(f"{path} does not begin with the header of a recording.")
    details = decode_details(line)
    if details.get("format") != FORMAT:
        raise EToroError(
            f"{path} has version {details.get('format')!r} of the format, and this library "
            f"({'newer' if _is_older(details.get('format')) else 'older'} than it) reads version "
            f"{FORMAT}."
        )
    try:
        return Header(
            path,
            str(details["recording"]),
            int(details["segment"]),
            float(details["wall"]),
            str(details["library"]),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise EToroError(f"The header of {path} is not valid: {exc!r}.") from exc


def _is_older(version: Any) -> bool:
    return isinstance(version, int) and version < FORMAT


def lines_of(path: Path) -> Iterator[Line]:
    """Yield the lines of a segment, up to its end or a torn frame.

    :raises EToroError: when it is damaged.
    """
    for frame in whole_frames(path):
        for raw in (frame.data or b"").split(b"\n"):
            if raw:
                try:
                    yield parse_line(raw)
                except EToroError as exc:
                    raise EToroError(f"{path}, behind byte {frame.start}: {exc}.") from exc


class Missing(NamedTuple):
    """A time of which a recording has nothing; both ends in seconds since the epoch."""

    since: float
    until: float


def entries_of(headers: Iterable[Header]) -> Iterator[Entry]:
    """Yield what was noted, over all segments, as the journal has noted it.

    Apart from the kinds of a journal there are ``"state"``, with the book at the beginning of each
    recording and behind each hole, and ``"hole"``, with :class:`Missing`.

    :raises EToroError: when a segment is damaged, or not valid.
    """
    before: Header | None = None
    reader: _SegmentReader | None = None
    for header in headers:
        follows = False
        if reader is not None and before is not None:
            successor = (before.recording, before.number + 1)
            follows = reader.complete and successor == (header.recording, header.number)
            if not follows and not reader.in_hole:
                yield Entry("hole", header.wall, 0, Missing(reader.last_at, header.wall))
        before, reader = header, _SegmentReader(header, follows)
        yield from reader.entries()


class _SegmentReader:
    """The entries of one segment.

    :param header: its first line.
    :param follows: whether all that came before is known; then so is the state that it begins with.
    """

    def __init__(self, header: Header, follows: bool) -> None:
        self._path = header.path
        self._follows = follows
        self._ended = False
        #: When the last line was noted.
        self.last_at = header.wall
        #: Whether the last entry was a hole.
        self.in_hole = False

    @property
    def complete(self) -> bool:
        """Whether nothing is missing between this segment and its successor."""
        return self._ended and not self.in_hole

    def entries(self) -> Iterator[Entry]:
        """Yield the entries in order; the texts of one read are one entry."""
        lines = lines_of(self._path)
        texts: list[str] = []
        read: tuple[float, int] = (0.0, 0)
        for line in lines:
            self.last_at = max(self.last_at, line.at)
            if line.kind == "text":
                if texts and (read != (line.at, line.generation) or len(texts) >= _MOST_TEXTS):
                    yield Entry("texts", *read, (read[0], texts))
                    texts = []
                read = line.at, line.generation
                texts.append(line.text)
                continue
            if texts:
                yield Entry("texts", *read, (read[0], texts))
                texts = []
            try:
                yield from self._entry(line, lines)
            except _Torn:
                return
        if texts:
            yield Entry("texts", *read, (read[0], texts))

    def _entry(self, line: Line, lines: Iterator[Line]) -> Iterator[Entry]:
        """Yield what a line of another kind than a text stands for, if anything."""
        kind, at, generation = line.kind, line.at, line.generation
        if kind == "keyframe":
            state = _keyframe(line, lines)
            if not self._follows:
                yield Entry("state", at, generation, state)
            # A second one within a segment stands behind a hole.
            self._follows = False
        elif kind == "hole":
            self.in_hole = True
            yield Entry(kind, at, generation, _missing(line))
            return
        elif kind == "end":
            self._ended = True
            return
        elif kind in BOOK_KINDS or kind in ("event", "rate"):
            yield Entry(kind, at, generation, decode_details(line))
        # Other kinds may be added without a new version of the format.
        self.in_hole = False


class _Torn(Exception):
    """The file ends within a keyframe."""


def _missing(line: Line) -> Missing:
    details = decode_details(line)
    try:
        return Missing(float(details["from"]), float(details["until"]))
    except (KeyError, TypeError, ValueError) as exc:
        raise EToroError(f"A hole is not valid: {exc!r}.") from exc


def _keyframe(head: Line, lines: Iterator[Line]) -> BookState:
    """Return the state of the book, which the lines behind *head* describe.

    :raises EToroError: when they are not valid.
    """
    details = decode_details(head)
    instruments: dict[str, InstrumentState] = {}
    latest: list[tuple[int, dict[str, Any]]] = []
    for _ in range(_number(details, "instruments")):
        one = decode_instrument(_next(lines, "instrument"))
        instruments[one.topic] = one
    for _ in range(_number(details, "latest")):
        key, visible = decode_visible(_next(lines, "latest"))
        if visible is None:
            same = instruments.get(f"instrument:{key}")
            if same is None:
                raise EToroError(f"A keyframe has no state of instrument {key}.")
            visible = same.visible
        latest.append((key, visible))
    try:
        awaited = frozenset(map(int, details.get("awaited", ())))
        unsubscribed = frozenset(map(str, details.get("unsubscribed", ())))
    except (TypeError, ValueError) as exc:
        raise EToroError(f"A keyframe is not valid: {exc}.") from exc
    return BookState(head.generation, [*instruments.values()], latest, awaited, unsubscribed)


def _number(details: dict[str, Any], name: str) -> int:
    number = details.get(name)
    if not isinstance(number, int) or not 0 <= number <= _MOST_INSTRUMENTS:
        raise EToroError(f"A keyframe cannot have {number!r:.40} of {name}.")
    return number


def _next(lines: Iterator[Line], kind: str) -> Line:
    line = next(lines, None)
    if line is None:
        raise _Torn
    if line.kind != kind:
        raise EToroError(f"A keyframe is not complete: a line of kind {kind!r} is missing.")
    return line
