"""The segments of one recording, one after the other."""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import clocks
from .._version import __version__
from ..errors import EToroError
from ..logs import log
from ..text import show
from .folder import free, name_of_segment
from .lines import encode_line
from .lock import FolderLock
from .segment import FORMAT, SegmentFile

__all__ = ["Limits", "Removed", "Series"]


@dataclass(frozen=True)
class Limits:
    """When a segment ends, and how many may stay; see ``MarketStream.record()``."""

    segment_bytes: int
    segment_seconds: float
    keep: int | None
    disk_budget: int | None


class Removed(Exception):
    """The present file was removed while it was written."""


class Series:
    """Writes the segments of a recording, and removes old ones. Used by the writer's thread only.

    The first segment is made at once, so that a folder that cannot be written is noticed.

    :param folder: is made if it is missing.
    :param limits: of the segments.
    :param on_closed: called with each file that is complete; must not wait.
    :raises EToroError: when the folder is in use, or cannot be written.
    """

    def __init__(
        self, folder: Path, limits: Limits, on_closed: Callable[[Path], object] | None = None
    ) -> None:
        self.folder = folder
        self._on_closed = on_closed
        self._limits = limits
        self._id = uuid.uuid4().hex[:12]
        #: How many segments were begun.
        self.number = 0
        #: How many lines were written into the present segment.
        self.lines = 0
        #: Bytes in files, of all segments.
        self.bytes_written = 0
        # When the segment began, and the time in its name, which never goes back.
        self._began = self._named = 0.0
        self._segment: SegmentFile | None = None
        # The size of the present segment at which others have to go; None: at none.
        self._spare: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(folder)
            try:
                self._open()
            except BaseException:
                self._lock.release()
                raise
        except (OSError, ValueError) as exc:  # ValueError: of a name that no file can have
            why = getattr(exc, "strerror", None) or exc
            raise EToroError(f"{show(str(folder), 200)} cannot be written: {why}.") from exc

    def until_rotation(self) -> float:
        """Return the seconds until the present segment has to end; 0: now."""
        if self._segment is None:
            return self._limits.segment_seconds
        if self._segment.size >= self._limits.segment_bytes:
            return 0.0
        each, now = self._limits.segment_seconds, clocks.wall_clock()
        if now // each != self._began // each:
            return 0.0
        return each - now % each

    def append(self, lines: list[str]) -> None:
        """Write lines as one frame, into a new segment if there is none.

        :raises OSError: when the disk does not take it; nothing of it is written then.
        :raises Removed: when the present file was removed.
        """
        segment = self._segment or self._open()
        if segment.is_removed:
            self._segment = None
            segment.close()
            raise Removed(
                f"{segment.path.name} was removed while it was written; a new one begins. To limit "
                "the size, use keep or disk_budget"
            )
        self._write(segment, lines)
        self.lines += len(lines)
        if self._spare is not None and segment.size >= self._spare:
            self._free()

    def _write(self, segment: SegmentFile, lines: list[str]) -> None:
        frame = segment.frame(lines)
        segment.append(frame)
        self.bytes_written += len(frame)

    def _open(self) -> SegmentFile:
        """Begin a file with its header.

        :raises OSError: when it cannot be made.
        """
        now, number = clocks.wall_clock(), self.number + 1
        self.folder.mkdir(parents=True, exist_ok=True)
        segment = self._new_file(now, number)
        header = {
            "format": FORMAT,
            "library": __version__,
            "recording": self._id,
            "segment": number,
            "wall": now,
            "uptime": clocks.uptime(),
        }
        try:
            self._write(segment, [encode_line("header", now, 0, header)])
        except BaseException:
            segment.close()
            segment.path.unlink(missing_ok=True)
            raise
        self._segment, self.number, self._began, self.lines = segment, number, now, 0
        self._free()
        return segment

    def _new_file(self, now: float, number: int) -> SegmentFile:
        """Make a file whose name comes after those before, also when the clock was set back."""
        self._named = max(now, self._named)
        while True:
            try:
                return SegmentFile(self.folder / name_of_segment(self._named, number))
            except FileExistsError:
                self._named += 0.001

    def _free(self) -> None:
        """Remove the oldest segments, if there are too many."""
        limits = self._limits
        if self._segment is None or (limits.keep, limits.disk_budget) == (None, None):
            return
        self._spare = None
        try:
            rest = free(self.folder, self._segment.path, limits.keep, limits.disk_budget)
        except OSError as exc:
            log(logging.WARNING, "Old segments in %s stay: %s", self.folder, exc)
            return
        if limits.disk_budget is not None:
            self._spare = limits.disk_budget - rest

    def end_segment(self) -> None:
        """Close the present file with a last line, by which readers know that it is whole."""
        segment, self._segment = self._segment, None
        if segment is None:
            return
        end = {"recording": self._id, "segment": self.number, "lines": self.lines}
        try:
            self._write(segment, [encode_line("end", clocks.wall_clock(), 0, end)])
        except OSError as exc:
            log(logging.WARNING, "%s has no last line: %s", segment.path, exc.strerror or exc)
        finally:
            segment.close()
            if self._on_closed is not None:
                self._on_closed(segment.path)

    def close(self) -> None:
        """Let others have the folder."""
        if self._segment is not None:
            self._segment.close()
        self._lock.release()
