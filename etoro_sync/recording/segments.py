"""Reads recordings: which segments there are, how they follow each other, and their entries."""

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import EToroError
from ..market.message_parser import BAD_VALUE
from ..text import show
from .details import BOOK_KINDS, decode_details
from .folder import SUFFIX, segments_in
from .frames import whole_frames
from .keyframes import IncompleteKeyframe, read_keyframe
from .lines import Entry, Line, fields_of, parse_line
from .segment import FORMAT
from .values import number, text, whole

__all__ = ["Header", "Missing", "entries_of", "find_segments", "lines_of", "read_header"]

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

    Those of one recording are in the order of their numbers, and each is there once, also when
    files were renamed or copied.

    :param since: leave out segments that end before.
    :raises EToroError: when there is none, or one cannot be read.
    """
    headers: dict[tuple[str, int], Header] = {}
    places: dict[str, int] = {}
    for file in _files(path):
        header = read_header(file)
        if header is not None:
            headers.setdefault((header.recording, header.number), header)
            places.setdefault(header.recording, len(places))
    if not headers:
        raise EToroError(
            f"{_name(path)} has no recording: no file named *{SUFFIX} with a whole frame."
        )
    found = sorted(headers.values(), key=lambda one: (places[one.recording], one.number))
    if since is not None:
        start = since.timestamp() if isinstance(since, datetime) else float(since)
        later = [place for place, header in enumerate(found) if header.wall > start]
        found = found[max((later[0] if later else len(found)) - 1, 0) :]
    return found


def _files(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return segments_in(path)
        if path.is_file():
            return [path]
        problem = "is neither a file nor a folder" if path.exists() else "does not exist"
    except OSError as exc:
        problem = f"cannot be read: {exc.strerror or exc}"
    raise EToroError(f"{_name(path)} {problem}.")


def _name(path: Path) -> str:
    """Return a path for an error; it may have any characters."""
    return os.fspath(path) if str(path).isprintable() else show(str(path), 200)


def read_header(path: Path) -> Header | None:
    """Return the header of a segment; None: its process was killed before it was written.

    :raises EToroError: when the file is none of a recording, or of an unknown version.
    """
    first = next(iter(whole_frames(path)), None)
    if first is None or first.data is None:
        return None
    try:
        line = parse_line(first.data.split(b"\n", 1)[0])
    except EToroError as exc:
        raise EToroError(f"{_name(path)} is not of a recording: {exc}.") from exc
    if line.kind != "header":
        raise EToroError(f"{_name(path)} does not begin with the header of a recording.")
    return _header(path, line)


def _header(path: Path, line: Line) -> Header:
    details = fields_of(line)
    version = details.get("format")
    if type(version) is not int or version != FORMAT:
        older = type(version) is int and version < FORMAT
        raise EToroError(
            f"{_name(path)} has version {show(version)} of the format, and this library "
            f"({'newer' if older else 'older'} than it) reads version {FORMAT}."
        )
    try:
        return Header(
            path,
            text(details["recording"]),
            whole(details["segment"]),
            number(details["wall"]),
            text(details["library"]),
        )
    except BAD_VALUE as exc:
        raise EToroError(f"The header of {_name(path)} is not valid: {exc!r:.200}.") from exc


def lines_of(path: Path) -> Iterator[Line]:
    """Yield the lines of a segment, up to its end or a torn frame.

    :raises EToroError: when it is damaged.
    """
    for frame in whole_frames(path):
        # Not split(), which would make a list of all lines, perhaps of millions of empty ones.
        for raw in io.BytesIO(frame.data or b""):
            try:
                yield parse_line(raw)
            except EToroError as exc:
                raise EToroError(
                    f"{_name(path)}, behind byte {frame.start}: {exc}. "
                    f"Run: etoro-sync recover {_name(path)}"
                ) from exc


class Missing(NamedTuple):
    """A time of which a recording has nothing; both ends in seconds since the epoch."""

    since: float
    until: float


def entries_of(headers: Iterable[Header]) -> Iterator[Entry]:
    """Yield what was noted, over all segments, as the journal has noted it.

    Apart from the kinds of a journal there are ``"state"``, with what the book is to become, at the
    beginning and behind each hole, and ``"hole"``, with :class:`Missing`.

    :raises EToroError: when a segment is damaged, or not valid.
    """
    reader = _Reader()
    for header in headers:
        yield from reader.entries(header.path)


class _Reader:
    """Reads segments one after the other; segments that were joined in one file, too."""

    def __init__(self) -> None:
        # The present segment, and whether its last line has come.
        self._segment: Header | None = None
        self._ended = False
        # Whether all that came before is known; then so is the state that a segment begins with.
        self._known = False
        # Since when something is missing that no hole has shown yet.
        self._missing_since: float | None = None
        # When the last line was noted.
        self._last_at = 0.0

    def entries(self, path: Path) -> Iterator[Entry]:
        """Yield the entries of a file in order; the texts of one read are one entry."""
        lines = lines_of(path)
        texts: list[str] = []
        read: tuple[float, int] = (0.0, 0)
        while True:
            line = next(lines, None)
            if line is not None and line.kind == "text":
                if texts and (read != (line.at, line.generation) or len(texts) >= _MOST_TEXTS):
                    yield Entry("texts", *read, (read[0], texts))
                    texts = []
                read = line.at, line.generation
                # Deltas mean nothing where it is not known what they change.
                if self._known:
                    texts.append(line.text)
                continue
            if texts:
                yield Entry("texts", *read, (read[0], texts))
                self._last_at = read[0]
                texts = []
            if line is None:
                return
            if line.kind == "header":
                self._begin(_header(path, line))
            try:
                yield from self._entry(line, lines)
            except IncompleteKeyframe as exc:
                self._lose()
                if exc.line is not None:
                    lines = chain([exc.line], lines)

    def _begin(self, header: Header) -> None:
        before, ended = self._segment, self._ended
        self._segment, self._ended = header, False
        if before is None:
            return
        follows = (header.recording, header.number) == (before.recording, before.number + 1)
        if not (follows and ended):
            self._lose()

    def _lose(self) -> None:
        """Note that something is missing, unless that is known already."""
        if self._known:
            self._missing_since = self._last_at
        self._known = False

    def _entry(self, line: Line, lines: Iterator[Line]) -> Iterator[Entry]:
        """Yield what a line of another kind than a text stands for, if anything."""
        kind, at, generation = line.kind, line.at, line.generation
        if kind == "keyframe":
            state, restored = read_keyframe(line, lines)
            since, self._missing_since = self._missing_since, None
            if since is not None:
                yield Entry("hole", at, generation, Missing(since, max(at, since)))
            if restored or not self._known:
                yield Entry("state", at, generation, state)
            self._known = True
        elif kind == "hole":
            self._known, self._missing_since = False, None
            yield Entry(kind, at, generation, _missing(line))
        elif kind == "end":
            self._ended = True
        elif kind == "event" or (self._known and (kind == "rate" or kind in BOOK_KINDS)):
            yield Entry(kind, at, generation, decode_details(line))
        # Other kinds may be added without a new version of the format.
        if kind not in ("header", "end"):  # these have the clock's time, not that of the source
            self._last_at = at


def _missing(line: Line) -> Missing:
    details: dict[str, Any] = fields_of(line)
    try:
        return Missing(number(details["from"]), number(details["until"]))
    except BAD_VALUE as exc:
        raise EToroError(f"A hole is not valid: {exc!r:.200}.") from exc
