"""Makes Parquet files of the segments that a recording closes, each in a process of its own."""

import logging
import queue
import subprocess
import sys
import threading
from pathlib import Path

from ..errors import EToroError
from ..logs import log
from ..synchronization import ProcessGuard, join_thread
from ..text import count, no_thread

__all__ = ["ParquetCopies"]

#: What a process is started with. Not a thread, which would take turns with the stream's. It names
#: the module of tables, which this package does not import: tables are made of recordings.
_PROGRAM = "import sys; from etoro_sync.tables.copies import main; main(sys.argv[1])"


class ParquetCopies:
    """Copies segments one at a time. Its thread only waits for processes.

    The lock guards the process, so that :meth:`abandon` finds the one that was started last.
    Failures cost a copy and nothing else: the segments are the recording.

    :param folder: of the recording, for the log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segments: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._guard = ProcessGuard()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._abandoned = self._failure_logged = False
        self._added = self._done = 0
        self._thread = threading.Thread(target=self._run, name="etoro-sync-parquet", daemon=True)

    def start(self) -> None:
        """Start the thread.

        :raises EToroError: when the system has no thread left.
        """
        try:
            self._thread.start()
        except RuntimeError as exc:
            raise EToroError(f"Parquet files need a thread: {no_thread(exc)}") from exc

    @property
    def waiting(self) -> int:
        """How many closed segments are not copied yet."""
        return self._added - self._done

    def add(self, segment: Path) -> None:
        """Copy a segment that was closed. The thread of the recording; does not wait."""
        self._added += 1
        self._segments.put(segment)

    def stop(self) -> None:
        """End the thread once all is copied. Any thread; does not wait."""
        self._segments.put(None)

    def join(self, timeout: float) -> bool:
        """Wait until all is copied; return whether it is. Any thread.

        :param timeout: seconds.
        """
        return join_thread(self._thread, timeout)

    def abandon(self) -> None:
        """Copy nothing more, and leave no half of a file. At the end of the program."""
        if self._guard.foreign:
            return
        left = self.waiting
        with self._lock:
            self._abandoned = True
            self._segments.put(None)
            child = self._child
            if child is not None and child.poll() is None:
                child.terminate()
        if child is not None:
            child.wait()
        if left:
            log(
                logging.WARNING,
                "The program ends before %s in %s became Parquet files: etoro-sync convert makes "
                "them.",
                count(left, "segment"),
                self._folder,
            )

    # -- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while (segment := self._segments.get()) is not None and not self._abandoned:
            problem = self._copy(segment)
            self._done += not self._abandoned
            if problem is None:
                self._failure_logged = False
            elif not self._abandoned and not self._failure_logged:
                self._failure_logged = True
                log(
                    logging.ERROR,
                    "No Parquet file of %s: %s. The recording goes on; further failures in a row "
                    "are not logged. etoro-sync convert makes the file.",
                    segment.name,
                    problem.rstrip("."),
                )

    def _copy(self, segment: Path) -> str | None:
        """Copy a segment; return what went wrong, None: nothing."""
        try:
            with self._lock:
                if self._abandoned:
                    return None
                self._child = child = subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM, str(segment)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    start_new_session=True,  # Ctrl-C is for the recording
                )
            _, said = child.communicate()
        except (OSError, ValueError) as exc:
            return f"a process cannot be started: {exc}"
        if not child.returncode:
            return None
        return (said.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
