"""The thread that writes a recording: encodes, compresses, appends, and begins new segments."""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import clocks
from .._version import __version__
from ..errors import EToroError
from ..logs import log, tidy
from ..synchronization import join_thread
from ..text import no_thread
from .folder import free, name_of_segment
from .intake import Intake
from .lines import Entry, encode, encode_line
from .lock import FolderLock
from .segment import FORMAT, FRAME_BYTES, SegmentFile

__all__ = ["Limits", "Writer"]

#: Seconds in which what comes becomes one frame: a kill loses at most that and one write.
_FLUSH_SECONDS = 0.25
#: Seconds between two attempts to write to a full disk.
_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """When a segment ends, and how many may stay; see ``MarketStream.record()``."""

    segment_bytes: int
    segment_seconds: float
    keep: int | None
    disk_budget: int | None


class _Stopped(Exception):
    """The recording is to end while the disk takes nothing."""


class _Removed(Exception):
    """The file was removed, and with it the state on which what waits is built."""


class Writer:
    """Writes what an intake has noted into the segments of one recording.

    No lock: all but :meth:`stop` and :meth:`join` runs on the writer's own thread, and others only
    read the counters.

    :param intake: the stream's journal.
    :param folder: is made if it is missing.
    :param limits: of the segments.
    :param redact: removes the keys from what is written.
    :raises EToroError: when the folder is in use, or cannot be written.
    """

    def __init__(
        self, intake: Intake, folder: Path, limits: Limits, redact: Callable[[str], str]
    ) -> None:
        self._intake = intake
        self._folder = folder
        self._limits = limits
        self._redact = redact
        self._stopping = threading.Event()
        self._id = uuid.uuid4().hex[:12]
        self._number = 0
        self._began = 0.0
        self._segment: SegmentFile | None = None
        self._in_segment = 0
        #: Texts that are in the files, and those that could not be written before the end.
        self.written = self.lost = 0
        #: Bytes in files, of all segments of this recording.
        self.bytes_written = 0
        #: Why nothing can be written now; None: all is well.
        self.failure: OSError | None = None
        self._failure_logged = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(folder)
        except OSError as exc:
            raise EToroError(f"{folder} cannot be written: {exc.strerror or exc}.") from exc
        try:
            self._open_segment()
        except OSError as exc:
            self._lock.release()
            raise EToroError(f"{folder} cannot be written: {exc.strerror or exc}.") from exc
        except BaseException:
            self._lock.release()
            raise
        self._thread = threading.Thread(target=self._run, name="etoro-sync-recorder", daemon=True)

    def start(self) -> None:
        """Start the thread.

        :raises EToroError: when the system has no thread left.
        """
        try:
            self._thread.start()
        except RuntimeError as exc:
            self._close()
            raise EToroError(f"A recording needs a thread: {no_thread(exc)}") from exc

    def stop(self) -> None:
        """Write what waits, and end. Any thread, also in a finalizer; does not wait."""
        self._stopping.set()
        self._intake.close()

    def join(self, timeout: float) -> bool:
        """Wait until all is written; return whether it is. Any thread.

        :param timeout: seconds.
        """
        return join_thread(self._thread, timeout)

    @property
    def segments(self) -> int:
        """How many segments were begun. Any thread."""
        return self._number

    # -- the writer's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        # Whatever ends it, the stream must not go on to fill the buffer.
        tidy(self._write_all, self._intake.close, self._end_segment, self._close)

    def _write_all(self) -> None:
        try:
            while not self._stopping.is_set():
                self._intake.wake.wait(self._until_rotation())
                self._stopping.wait(_FLUSH_SECONDS)
                self._write(*self._intake.take())
                if self._until_rotation() <= 0:
                    # What comes from now on begins with the state of the book.
                    self._write(*self._intake.take(cut=True))
                    self._end_segment()
            self._write(*self._intake.take())
        except _Stopped:
            pass

    def _until_rotation(self) -> float:
        """Return the seconds until the present segment has to end; 0: now."""
        if self._segment is None:
            return self._limits.segment_seconds
        if self._segment.size >= self._limits.segment_bytes:
            return 0.0
        each, now = self._limits.segment_seconds, clocks.wall_clock()
        if now // each != self._began // each:
            return 0.0
        return each - now % each

    def _write(self, entries: list[Entry], size: int) -> None:
        before = self.written
        try:
            for frame, texts in self._frames(entries):
                self._append(frame, texts)
        except _Removed:
            number = sum(len(entry.details[1]) for entry in entries if entry.kind == "texts")
            self._intake.lose(number - (self.written - before))
            log(
                logging.ERROR,
                "A segment of the recording in %s was removed while it was written; a new one "
                "begins. To limit its size, use keep or disk_budget.",
                self._folder,
            )
        finally:
            self._intake.written(size)

    def _frames(self, entries: list[Entry]) -> Iterator[tuple[list[str], int]]:
        """Yield the lines of each frame, and how many texts they have."""
        lines: list[str] = []
        texts = length = 0
        for entry in entries:
            if entry.kind == "state" and (lines or self._in_segment):
                yield lines, texts
                lines, texts, length = [], 0, 0
                self._end_segment()
            for line in encode(entry, self._redact):
                lines.append(line)
                length += len(line)
                texts += entry.kind == "texts"
                if length >= FRAME_BYTES:
                    yield lines, texts
                    lines, texts, length = [], 0, 0
        yield lines, texts

    def _append(self, lines: list[str], texts: int) -> None:
        """Write *lines*, however long that takes.

        :raises _Stopped: when the recording is to end, and the disk does not take them.
        :raises _Removed: when the present file was removed.
        """
        if not lines:
            return
        while True:
            try:
                segment = self._segment or self._open_segment()
                before = segment.size
                if segment.is_removed:
                    segment.close()
                    self._segment = None
                    raise _Removed
                segment.append(segment.frame(lines))
            except OSError as exc:
                self._pause(exc)
                continue
            self.bytes_written += segment.size - before
            self.written += texts
            self._in_segment += len(lines)
            self._resume()
            return

    def _pause(self, exc: OSError) -> None:
        self.failure = exc
        if not self._failure_logged:
            self._failure_logged = True
            log(
                logging.ERROR,
                "The recording in %s pauses: %s. The stream goes on; what does not fit into the "
                "buffer until then will be missing, and is counted. It resumes by itself.",
                self._folder,
                exc.strerror or exc,
            )
        if self._stopping.is_set():
            raise _Stopped from exc
        self._stopping.wait(_RETRY_SECONDS)

    def _resume(self) -> None:
        if self.failure is not None:
            self.failure = None
            self._failure_logged = False
            log(logging.WARNING, "The recording in %s goes on.", self._folder)

    def _open_segment(self) -> SegmentFile:
        """Begin a file with its header.

        :raises OSError: when it cannot be made.
        """
        now, number = clocks.wall_clock(), self._number + 1
        self._folder.mkdir(parents=True, exist_ok=True)
        segment = SegmentFile(self._folder / name_of_segment(now, number))
        header = {
            "format": FORMAT,
            "library": __version__,
            "recording": self._id,
            "segment": number,
            "wall": now,
            "uptime": clocks.uptime(),
        }
        try:
            segment.append(segment.frame([encode_line("header", now, 0, header)]))
        except OSError:
            segment.close()
            segment.path.unlink(missing_ok=True)
            raise
        self._segment, self._number, self._began, self._in_segment = segment, number, now, 0
        self.bytes_written += segment.size
        tidy(self._free)
        return segment

    def _free(self) -> None:
        """Remove the oldest segments, if there are too many."""
        limits = self._limits
        if self._segment is not None and (limits.keep, limits.disk_budget) != (None, None):
            free(self._folder, self._segment.path, limits.keep, limits.disk_budget)

    def _end_segment(self) -> None:
        """Close the present file with a last line, by which readers know that it is whole."""
        segment, self._segment = self._segment, None
        if segment is None:
            return
        end = {"recording": self._id, "segment": self._number, "lines": self._in_segment}
        try:
            segment.append(segment.frame([encode_line("end", clocks.wall_clock(), 0, end)]))
        except OSError as exc:
            log(logging.WARNING, "%s has no last line: %s", segment.path, exc.strerror or exc)
        finally:
            segment.close()

    def _close(self) -> None:
        """Count what was not written, and let others have the folder."""
        self.lost = self._intake.received - self._intake.refused - self.written
        if self.lost:
            log(
                logging.ERROR,
                "The recording in %s ended before %d texts were written, because: %s.",
                self._folder,
                self.lost,
                self.failure,
            )
        if self._segment is not None:
            self._segment.close()
        self._lock.release()
