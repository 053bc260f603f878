"""The recording of a stream, as users hold it."""

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from .. import clocks
from ..closeable import Closeable
from ..collecting import when_collected
from ..data_frames import load
from ..delivery.registry import Registry
from ..errors import EToroError, EToroValidationError
from ..events import check_flag, check_timeout
from ..extras import file_of
from ..logs import log, tidy
from ..market.rate_book import RateBook
from ..numbers import real, whole
from ..synchronization import ProcessGuard
from ..text import count, show
from .copies import ParquetCopies
from .intake import Intake
from .series import Limits
from .writer import Writer

__all__ = ["Recorder", "RecorderStats", "record"]

#: Seconds that ``close()`` waits by default for what is to be written.
_CLOSE_TIMEOUT = 10.0


@dataclass(frozen=True)
class RecorderStats:
    """The counters of a recording. ``written + refused + waiting`` is ``received``.

    :param received: text frames that have come since it began.
    :param written: of these, how many are in the files.
    :param refused: of these, how many are missing, because the disk took too little for too long.
    :param waiting: of these, how many wait in the buffer.
    :param bytes_written: compressed bytes in the files, of all segments.
    :param failure: why nothing can be written now, such as a full disk; None: all is well.
    :param segments: how many files it has begun; some may have been removed since.
    :param parquet_waiting: how many closed files are to become Parquet files, and are not yet.
    """

    received: int
    written: int
    refused: int
    waiting: int
    bytes_written: int
    failure: str | None
    segments: int
    parquet_waiting: int = 0


class Recorded(Protocol):
    """What a recording needs of the source of a stream."""

    book: RateBook
    #: Removes the keys from text.
    redact: Callable[[str], str]

    def listeners_changed(self) -> None:
        """Note that somebody listens, or does not any more."""


class Recorder(Closeable):
    """Records a stream until it is closed; :meth:`etoro_sync.MarketStream.record` makes it.

    A background thread writes what has come, four times a second at most; the stream never waits
    for it. It goes on over disconnects and failures of the stream, and ends with :meth:`close`, at
    the end of the ``with`` block or of the program, or when nothing refers to the stream any more.
    Every method may be called from any thread.

    :param source: the stream's.
    :param registry: the stream's listeners.
    :param folder: where the segments go.
    :param limits: of the segments.
    :param buffer_bytes: how much text may wait.
    :param parquet: whether closed segments become Parquet files, too.
    :raises EToroError: when the stream is recorded already, or the folder is in use or cannot be
        written, or zstd is not installed.
    """

    _no_copies = (
        "A Recorder cannot be copied or pickled: its thread and its files belong to this process."
    )

    def __init__(
        self,
        source: Recorded,
        registry: Registry,
        folder: Path,
        limits: Limits,
        buffer_bytes: int,
        parquet: bool = False,
    ) -> None:
        # Weak, so that a stream which nobody uses any more ends, whoever refers to its recording.
        self._source = weakref.ref(source)
        self._registry = registry
        self._guard = ProcessGuard()
        #: The folder of the segments.
        self.folder = folder
        self._intake = Intake(source.book, buffer_bytes)
        _check_unrecorded(registry)
        self._copies = ParquetCopies(folder) if parquet else None
        self._writer = Writer(self._intake, folder, limits, source.redact, self._copies)
        try:
            self._begin(source)
        except BaseException:
            # Such as Ctrl-C, which must leave neither a thread nor a folder that is locked.
            self.close(0.0)
            raise

    def _begin(self, source: Recorded) -> None:
        self._writer.start()
        _writers.add(self._writer)
        if self._copies is not None:
            self._copies.start()
            _copies.add(self._copies)
        when_collected(source, self._writer.stop)
        with _attaching:
            _check_unrecorded(self._registry)
            self._registry.journal = source.book.journal = self._intake
        source.listeners_changed()

    def stats(self) -> RecorderStats:
        """Return all counters, as they are now."""
        intake, writer = self._intake, self._writer
        # In this order, so that never more have gone than have come.
        written, refused = writer.written, intake.refused + writer.lost
        received, failure = intake.received, writer.failure
        return RecorderStats(
            received=received,
            written=written,
            refused=refused,
            waiting=received - written - refused,
            bytes_written=writer.series.bytes_written,
            failure=None if failure is None else failure.strerror or str(failure),
            segments=writer.series.number,
            parquet_waiting=0 if self._copies is None else self._copies.waiting,
        )

    def close(self, timeout: float | None = None) -> None:
        """Write what waits, and end the recording. The stream goes on.

        :param timeout: seconds to wait at most; None is ten. What the disk does not take until
            then is counted as refused, and logged. Segments that are not Parquet files by then
            are logged, too, and become such as long as the program runs.
        """
        seconds = _CLOSE_TIMEOUT if timeout is None else check_timeout(timeout) or 0.0
        if self._guard.foreign:
            return
        source = self._source()
        with _attaching:
            if self._registry.journal is self._intake:
                self._registry.journal = None
                if source is not None:
                    source.book.journal = None
        self._writer.stop()
        if source is not None:
            source.listeners_changed()
        deadline = clocks.monotonic() + seconds
        if self._writer.join(seconds) and self._copies is not None:
            self._await_copies(self._copies, deadline - clocks.monotonic())

    def _await_copies(self, copies: ParquetCopies, timeout: float) -> None:
        if not copies.join(timeout):
            log(
                logging.WARNING,
                "The recording in %s is closed; not Parquet yet: %s. That goes on while the "
                "program runs.",
                self.folder,
                count(copies.waiting, "file"),
            )

    def __repr__(self) -> str:
        stats = self.stats()
        return f"<Recorder {str(self.folder)!r}, {stats.written} of {stats.received} texts written>"


def record(
    source: Recorded,
    registry: Registry,
    folder: str | os.PathLike[str],
    segment_bytes: int,
    segment_seconds: float,
    keep: int | None,
    disk_budget: int | None,
    buffer_bytes: int,
    parquet: bool,
) -> Recorder:
    """Return a recording of the stream; the arguments are those of ``MarketStream.record()``.

    :raises EToroValidationError: naming the argument.
    """
    if not isinstance(folder, (str, os.PathLike)) or not str(folder):
        raise EToroValidationError(f"folder must be a path, not {show(folder, 60)}.", "folder")
    seconds = real(segment_seconds)
    if seconds is None or not 1 <= seconds <= 7 * 86400:
        raise EToroValidationError(
            f"segment_seconds must be from 1 to 604800, not {show(segment_seconds, 60)}.",
            "segment_seconds",
        )
    size = _at_least(segment_bytes, "segment_bytes", 1)
    budget = None if disk_budget is None else _at_least(disk_budget, "disk_budget", 1)
    limits = Limits(
        # Else there were nothing to remove but the segment that is written.
        size if budget is None else min(size, budget // 2),
        seconds,
        None if keep is None else _at_least(keep, "keep", 0),
        budget,
    )
    buffer_bytes = _at_least(buffer_bytes, "buffer_bytes", 1 << 16)
    if check_flag("parquet", parquet) and file_of("pyarrow") is None:
        load("pyarrow", "parquet", "Parquet")  # raises now, and not when the first file is closed
    return Recorder(source, registry, Path(os.fsdecode(folder)), limits, buffer_bytes, parquet)


def _at_least(value: object, name: str, least: int) -> int:
    number = whole(value)
    if number is None or number < least:
        raise EToroValidationError(
            f"{name} must be a whole number of {least} or more, not {show(value, 60)}.", name
        )
    return number


def _check_unrecorded(registry: Registry) -> None:
    if registry.journal is not None:
        raise EToroError("This stream is recorded already. Close its recording first.")


#: Guards which recording a stream has. Re-entrant, because a finalizer may close one.
_attaching = threading.RLock()
#: Not the recorders, which a program need not keep.
_writers: "weakref.WeakSet[Writer]" = weakref.WeakSet()
_copies: "weakref.WeakSet[ParquetCopies]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Write what waits at the end of the program."""
    writers = list(_writers)
    tidy(
        *(writer.stop for writer in writers),
        *(partial(w.join, 2.0) for w in writers),
        *(copies.abandon for copies in list(_copies)),
    )
