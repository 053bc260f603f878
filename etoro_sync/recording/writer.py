"""The thread that writes a recording: encodes, compresses, appends, and begins new segments."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import EToroError
from ..logs import log, tidy
from ..synchronization import ProcessGuard, join_thread
from ..text import no_thread
from .copies import ParquetCopies
from .details import encode
from .intake import Intake, count_texts
from .lines import Entry
from .segment import FRAME_BYTES
from .series import Limits, Removed, Series

__all__ = ["Writer"]

#: Seconds in which what comes becomes one frame: a kill loses at most that and one write.
_FLUSH_SECONDS = 0.25
#: Seconds between two attempts to write to a full disk.
_RETRY_SECONDS = 1.0


class _Stopped(Exception):
    """The recording is to end while the disk takes nothing."""


class _Unwritable(Exception):
    """Something cannot be encoded."""


class Writer:
    """Writes what an intake has noted into the segments of one recording.

    No lock: all but :meth:`stop` and :meth:`join` runs on the writer's own thread, and others only
    read the counters.

    :param intake: the stream's journal.
    :param folder: is made if it is missing.
    :param limits: of the segments.
    :param redact: removes the keys from what is written.
    :param copies: gets the files that are complete; None: nobody does.
    :raises EToroError: when the folder is in use, or cannot be written.
    """

    def __init__(
        self,
        intake: Intake,
        folder: Path,
        limits: Limits,
        redact: Callable[[str], str],
        copies: ParquetCopies | None = None,
    ) -> None:
        self._intake = intake
        self._copies = copies
        #: The files; others read its counters.
        self.series = Series(folder, limits, None if copies is None else copies.add)
        self._redact = redact
        self._guard = ProcessGuard()
        self._stopping = threading.Event()
        #: Texts that are in the files, and those that could not be written before the end.
        self.written = self.lost = 0
        #: Why nothing can be written now; None: all is well.
        self.failure: OSError | None = None
        self._failure_logged = False
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
        if not self._guard.foreign:  # in a forked child, locks may be held by threads that are gone
            self._stopping.set()
            self._intake.close()

    def join(self, timeout: float) -> bool:
        """Wait until all is written; return whether it is. Any thread.

        :param timeout: seconds.
        """
        if self._guard.foreign or threading.current_thread() is self._thread:
            return False
        return join_thread(self._thread, timeout)

    # -- the writer's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        # Whatever ends it, the stream must not go on to fill the buffer.
        tidy(self._write_all, self._intake.close, self.series.end_segment, self._close)

    def _write_all(self) -> None:
        try:
            while not self._stopping.is_set():
                self._intake.wake.wait(self.series.until_rotation())
                self._stopping.wait(_FLUSH_SECONDS)
                self._write(*self._intake.take())
                if self.series.until_rotation() <= 0:
                    # What comes from now on begins with the state of the book.
                    self._write(*self._intake.take(cut=True))
                    if self._intake.state_due:
                        self.series.end_segment()
            self._write(*self._intake.take())
        except _Stopped:
            pass

    def _write(self, entries: list[Entry], size: int) -> None:
        before = self.written
        try:
            for frame, texts in self._frames(entries):
                self._append(frame, texts)
        except (Removed, _Unwritable) as exc:
            # With it is lost the state on which what waits is built.
            lost = count_texts(entries) - (self.written - before)
            self._intake.lose(entries[0].at, lost, size)
            log(logging.ERROR, "The recording in %s has a hole: %s.", self.series.folder, exc)
        finally:
            self._intake.written(size)

    def _frames(self, entries: list[Entry]) -> Iterator[tuple[list[str], int]]:
        """Yield the lines of each frame, and how many texts they have.

        :raises _Unwritable: when an entry cannot be encoded.
        """
        lines: list[str] = []
        texts = length = 0
        for entry in entries:
            if entry.kind == "state" and (lines or self.series.lines):
                yield lines, texts
                lines, texts, length = [], 0, 0
                self.series.end_segment()
            for line in self._encode(entry):
                lines.append(line)
                length += len(line)
                texts += entry.kind == "texts"
                if length >= FRAME_BYTES:
                    yield lines, texts
                    lines, texts, length = [], 0, 0
        yield lines, texts

    def _encode(self, entry: Entry) -> Iterator[str]:
        try:
            yield from encode(entry, self._redact)
        except Exception as exc:
            # Such as of an object of the user whose text cannot be had.
            problem = f"an entry of kind {entry.kind!r} cannot be written: {exc!r:.200}"
            raise _Unwritable(problem) from exc

    def _append(self, lines: list[str], texts: int) -> None:
        """Write *lines*, however long that takes.

        :raises _Stopped: when the recording is to end, and the disk does not take them.
        :raises Removed: when the present file was removed.
        """
        while lines:
            try:
                self.series.append(lines)
            except OSError as exc:
                self._pause(exc)
                continue
            self.written += texts
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
                self.series.folder,
                exc.strerror or exc,
            )
        if self._stopping.is_set():
            raise _Stopped from exc
        self._stopping.wait(_RETRY_SECONDS)

    def _resume(self) -> None:
        if self.failure is not None:
            self.failure = None
            self._failure_logged = False
            log(logging.WARNING, "The recording in %s goes on.", self.series.folder)

    def _close(self) -> None:
        """Count what was not written, and let others have the folder."""
        self.lost = self._intake.received - self._intake.refused - self.written
        if self.lost:
            log(
                logging.ERROR,
                "The recording in %s ended before %d texts were written, because of %s.",
                self.series.folder,
                self.lost,
                self.failure or "an internal error",
            )
        self.series.close()
        if self._copies is not None:
            self._copies.stop()
