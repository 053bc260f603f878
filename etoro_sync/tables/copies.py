"""Makes Parquet files of the segments of a recording that goes on, in other processes."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import EToroError
from ..recording.folder import SUFFIX, segments_in
from .files import NoRowsError
from .recording import Recording

__all__ = ["ParquetCopies", "copy_segment"]

_TABLES = ("rates", "orders")
#: What a process is started with. Not a thread: that would take turns with the stream's.
_PROGRAM = "import sys; from etoro_sync.tables.copies import main; main(sys.argv[1])"


def copy_segment(segment: Path) -> list[Path]:
    """Write the rates and the order events of a segment beside it, and return the files.

    ``NAME.jsonl.zst`` becomes ``NAME.rates.parquet`` and ``NAME.orders.parquet``; a table without
    rows becomes no file.

    :raises EToroError: when it cannot be read or written, or pyarrow is not installed.
    """
    made = []
    for what in _TABLES:
        target = segment.with_name(f"{segment.name.removesuffix(SUFFIX)}.{what}.parquet")
        try:
            Recording(segment).convert(target, what=what)
        except NoRowsError:
            continue
        made.append(target)
    return made


def main(segment: str) -> None:
    """Copy a segment, in a process of its own.

    :raises SystemExit: with one line, when that fails.
    """
    # So that what is half written is removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        copy_segment(Path(segment))
    except EToroError as exc:
        sys.exit(str(exc))


class ParquetCopies:
    """Copies each segment that is closed from now on, one at a time.

    No lock: one thread uses it.

    :param folder: of the recording.
    :param report: called with a line when a segment could not be copied.
    """

    def __init__(self, folder: Path, report: Callable[[str], object]) -> None:
        self._folder = folder
        self._report = report
        self._done = set(self._segments())
        self._child: subprocess.Popen[str] | None = None
        self._copied = Path()

    def _segments(self) -> list[Path]:
        return segments_in(self._folder) if self._folder.is_dir() else []

    def look(self) -> None:
        """Begin with the next segment that was closed, unless one is being copied."""
        if self._child is not None and self._child.poll() is None:
            return
        self._take()
        # The last one is being written.
        left = [path for path in self._segments()[:-1] if path not in self._done]
        if left:
            self._begin(left[0])

    def finish(self, progress: Callable[[str], object]) -> None:
        """Copy what is left, once the recording is closed.

        :param progress: called with a line for each segment.
        """
        self._take()
        left = [path for path in self._segments() if path not in self._done]
        for number, path in enumerate(left, 1):
            progress(f"Parquet: file {number} of {len(left)}")
            self._begin(path)
            self._take()

    def stop(self) -> None:
        """End the process that copies, if there is one; it leaves no half of a file."""
        child, self._child = self._child, None
        if child is not None:
            child.terminate()
            child.communicate()

    def _begin(self, path: Path) -> None:
        self._done.add(path)
        self._copied = path
        self._child = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(path)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the recording
        )

    def _take(self) -> None:
        """Wait for the process, and report what it could not do."""
        child, self._child = self._child, None
        if child is None:
            return
        try:
            _, said = child.communicate()
        except BaseException:
            self._child = child
            raise
        if child.returncode:
            last = (said.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
            self._report(f"No Parquet file of {self._copied.name}: {last}")
