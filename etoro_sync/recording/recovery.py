"""Repairs segments that were torn by a kill, or damaged on the disk."""

import os
from dataclasses import dataclass
from pathlib import Path

from .._version import __version__
from ..errors import EToroError, EToroValidationError
from ..text import count, show
from .folder import SUFFIX, segments_in, time_and_number
from .frames import TORN, Frame, read_frames, readable_part
from .lines import Line, encode_line, fields_of, parse_line
from .lock import FolderLock
from .segment import FORMAT, FRAME_BYTES, SegmentFile
from .segments import read_header

__all__ = ["Recovered", "recover"]


@dataclass(frozen=True)
class Recovered:
    """What became of one segment.

    :param path: the segment.
    :param cut: bytes at its end that were removed, since a killed process had not completed them.
    :param saved: lines in these bytes that are kept.
    :param unreadable: bytes elsewhere that cannot be read.
    :param holes: for each of these places, the times before and behind it between which messages
        are missing, in seconds since the epoch. At the end of a segment both are the same.
    :param original: where the file as it was is kept; None: nothing but a torn end is gone.
    :param empty: whether nothing was ever written into it; readers skip it.
    :param failure: why nothing was changed, although it is damaged; ``""``: it is whole now.
    """

    path: Path
    cut: int = 0
    saved: int = 0
    unreadable: int = 0
    holes: tuple[tuple[float, float], ...] = ()
    original: Path | None = None
    empty: bool = False
    failure: str = ""

    def __str__(self) -> str:
        """Return one line for people."""
        words = [self.failure] * bool(self.failure) + ["nothing was written into it"] * self.empty
        if self.original is not None:
            words.append(
                f"{self.unreadable:,} bytes in {count(len(self.holes), 'place')} cannot be read; "
                f"the rest is kept, with a note of what is missing; the file as it was is "
                f"{self.original.name}"
            )
        if self.cut:
            words.append(
                f"a torn end of {self.cut:,} bytes is cut, {count(self.saved, 'line')} of it kept"
            )
        return f"{self.path.name}: {'; '.join(words) or 'whole'}"


def recover(path: str | os.PathLike[str]) -> list[Recovered]:
    """Repair the segments of a recording, so that they can be read to their end.

    A torn end, which a killed process leaves, is cut; whole lines in it are kept. Where something
    else cannot be read, all frames before and behind it are kept, the hole is noted, and no price
    of before is merged with what came behind it; the file as it was stays beside, with
    ``.damaged`` added to its name. A repaired file is complete before it takes the name.

    :param path: a segment, or a folder of them.
    :returns: what became of each segment, in order.
    :raises EToroValidationError: when *path* is no path.
    :raises EToroError: when there is no recording, one is being written into the folder, or a file
        cannot be read or written.
    """
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise EToroValidationError(f"path must be a path, not {show(path, 60)}.", "path")
    where = Path(path)
    if not (where.is_dir() or where.is_file()):
        problem = "is neither a file nor a folder" if where.exists() else "does not exist"
        raise EToroError(f"{where} {problem}.")
    files = segments_in(where) if where.is_dir() else [where]
    if not files:
        raise EToroError(f"{where} has no recording: no file named *{SUFFIX}.")
    found = [_examine(file) for file in files]
    done = [each for each in found if each is not None]
    if len(done) == len(files):
        return done
    try:
        # While a recording goes on, the end of its file only looks torn.
        lock = FolderLock(where if where.is_dir() else where.parent)
        try:
            return [_examine(file) or _repair(file) for file in files]
        finally:
            lock.release()
    except OSError as exc:
        raise EToroError(f"{exc.filename or where} cannot be repaired: {exc.strerror}.") from exc


def _examine(path: Path) -> Recovered | None:
    """Return what is to be said of a segment that stays as it is; None: it has to be repaired."""
    pieces = list(map(_without_data, read_frames(path)))
    bad = [piece for piece in pieces if piece.problem]
    if not bad:
        return Recovered(path, empty=not pieces)
    if len(bad) == len(pieces):
        torn = [piece.problem for piece in bad] == [TORN]
        failure = "" if torn else f"nothing in it can be read ({bad[0].problem}), so it is left"
        return Recovered(path, empty=torn, failure=failure)
    if not pieces[0].problem:
        read_header(path)  # raises when it is of another version, or no recording
    return None


def _repair(path: Path) -> Recovered:
    """Repair a segment of which something can be read."""
    aside = path.with_name(f".{path.name}.recovered")
    aside.unlink(missing_ok=True)
    mender = _Mender(path, aside)
    try:
        mender.mend()
        if mender.holes:
            os.replace(path, mender.original)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return mender.outcome()


def _without_data(frame: Frame) -> Frame:
    """Return a frame with its problem, if it has any; its text may be long."""
    if frame.data is None:
        return frame
    try:
        for raw in frame.data.split(b"\n"):
            if raw:
                parse_line(raw)
    except EToroError as exc:
        return frame._replace(data=None, problem=str(exc))
    return frame._replace(data=b"")


class _Mender:
    """Writes what can be read of a segment into another file.

    :param path: the segment.
    :param aside: the file to make.
    """

    def __init__(self, path: Path, aside: Path) -> None:
        self._path = path
        self._out = SegmentFile(aside)
        self._lines: list[str] = []
        self._length = 0
        # The lines of a state that is not yet complete, and how many more it has.
        self._state: list[str] = []
        self._more = 0
        self._last_at, self._number = time_and_number(path)
        self._has_header = False
        self._in_hole = False
        self._cut = self._saved = self._unreadable = 0
        #: The times before and behind each place that cannot be read.
        self.holes: list[tuple[float, float]] = []
        #: Where the file as it was is kept.
        self.original = _free_name(path)

    def mend(self) -> None:
        """Write the file, to its end.

        :raises OSError: when the disk does not take it.
        """
        try:
            for frame in read_frames(self._path):
                checked = _without_data(frame)
                if not checked.problem:
                    self._add((frame.data or b"").split(b"\n"))
                elif checked.problem == TORN and frame.end >= self._path.stat().st_size:
                    self._cut = frame.end - frame.start
                    self._saved = self._add(_whole_lines(self._path, frame))
                else:
                    self._in_hole = True
                    self._unreadable += frame.end - frame.start
                    self._state, self._more = [], 0
            if self._in_hole:
                # A reader notices by itself that the segment does not end as one does.
                self.holes.append((self._last_at, self._last_at))
            self._lines += self._state
            self._flush()
            self._out.sync()
        finally:
            self._out.close()

    def outcome(self) -> Recovered:
        """Return what was done."""
        holes = tuple(self.holes)
        original = self.original if holes else None
        return Recovered(
            self._path, self._cut, self._saved, self._unreadable, holes, original=original
        )

    def _add(self, raws: list[bytes]) -> int:
        """Add lines, and return how many they were."""
        lines = [(raw, parse_line(raw)) for raw in raws if raw]
        for raw, line in lines:
            self._begin(line)
            # Behind a hole the state at the end is poorer than what the next segment begins with;
            # without this line, readers take that.
            if line.kind != "end" or not self.holes:
                self._put(raw.decode() + "\n", line)
            self._last_at = max(self._last_at, line.at)
        return len(lines)

    def _begin(self, line: Line) -> None:
        """Write what has to stand before a line, at the beginning and behind a hole."""
        if not self._has_header:
            self._has_header = True
            if line.kind != "header":
                self._lines.append(self._new_header())
                self._flush()
        if not self._in_hole:
            return
        self._in_hole = False
        at = max(line.at, self._last_at)
        self.holes.append((self._last_at, at))
        hole = {"from": self._last_at, "until": at}
        self._lines.append(encode_line("hole", at, line.generation, hole))
        if line.kind not in ("keyframe", "end"):
            # No price is merged with those before the hole.
            empty = {"awaited": [], "unsubscribed": [], "instruments": 0, "latest": 0}
            self._lines.append(encode_line("keyframe", at, line.generation, empty))

    def _new_header(self) -> str:
        header = {
            "format": FORMAT,
            "library": __version__,
            "recording": f"recovered-{self._path.name}",
            "segment": self._number,
            "wall": self._last_at,
            "uptime": 0.0,
        }
        return encode_line("header", self._last_at, 0, header)

    def _put(self, text: str, line: Line) -> None:
        if line.kind == "keyframe":
            details = fields_of(line)
            self._more = int(details.get("instruments", 0)) + int(details.get("latest", 0))
            self._state = [text]
        elif self._more:
            self._more -= 1
            self._state.append(text)
        else:
            self._lines.append(text)
        if not self._more:
            self._lines += self._state
            self._state = []
        self._length += len(text)
        # The header has a frame of its own, since some readers want nothing else.
        if line.kind == "header" or (self._length >= FRAME_BYTES and not self._more):
            self._flush()

    def _flush(self) -> None:
        if self._lines:
            self._out.append(self._out.frame(self._lines))
        self._lines, self._length = [], 0


def _whole_lines(path: Path, frame: Frame) -> list[bytes]:
    """Return the whole lines of a torn frame."""
    found = []
    for raw in readable_part(path, frame).split(b"\n")[:-1]:
        try:
            parse_line(raw)
        except EToroError:
            break
        found.append(raw)
    return found


def _free_name(path: Path) -> Path:
    number, name = 1, path.with_name(f"{path.name}.damaged")
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.damaged-{number}")
    return name
