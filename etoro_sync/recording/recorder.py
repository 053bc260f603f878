"""The recording of a stream, as users hold it."""

import atexit
import contextlib
import os
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from ..delivery.registry import Registry
from ..errors import EToroError, EToroValidationError
from ..events import check_timeout
from ..market.rate_book import RateBook
from ..numbers import real, whole
from ..synchronization import ProcessGuard
from ..text import show
from .intake import Intake
from .writer import Limits, Writer

__all__ = ["Recorder", "RecorderStats", "record"]


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
    """

    received: int
    written: int
    refused: int
    waiting: int
    bytes_written: int
    failure: str | None
    segments: int


class Recorded(Protocol):
    """What a recording needs of the source of a stream."""

    book: RateBook
    #: Removes the keys from text.
    redact: Callable[[str], str]

    def listeners_changed(self) -> None:
        """Note that somebody listens, or does not any more."""


class Recorder:
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
    :raises EToroError: when the stream is recorded already, or the folder is in use or cannot be
        written, or zstd is not installed.
    """

    def __init__(
        self,
        source: Recorded,
        registry: Registry,
        folder: Path,
        limits: Limits,
        buffer_bytes: int,
    ) -> None:
        self._source = source
        self._registry = registry
        self._guard = ProcessGuard()
        #: The folder of the segments.
        self.folder = folder
        self._intake = Intake(source.book, buffer_bytes)
        if registry.journal is not None:
            raise EToroError("This stream is recorded already. Close its recording first.")
        self._writer = Writer(self._intake, folder, limits, source.redact)
        self._finalizer = weakref.finalize(source, self._writer.stop)
        self._finalizer.atexit = False
        self._writer.start()
        _recorders.add(self)
        registry.journal = source.book.journal = self._intake
        source.listeners_changed()

    def stats(self) -> RecorderStats:
        """Return all counters, as they are now."""
        intake, writer = self._intake, self._writer
        received, written, lost = intake.received, writer.written, writer.lost
        refused = intake.refused + lost
        failure = writer.failure
        return RecorderStats(
            received=received,
            written=written,
            refused=refused,
            waiting=max(received - written - refused, 0),
            bytes_written=writer.bytes_written,
            failure=None if failure is None else failure.strerror or str(failure),
            segments=writer.segments,
        )

    def close(self, timeout: float | None = None) -> None:
        """Write what waits, and end the recording. The stream goes on.

        :param timeout: seconds to wait at most; None is ten. What the disk does not take until
            then is counted as refused, and logged.
        """
        if self._guard.foreign:
            return
        if self._registry.journal is self._intake:
            self._registry.journal = self._source.book.journal = None
        self._writer.stop()
        self._source.listeners_changed()
        self._writer.join(10.0 if timeout is None else check_timeout(timeout) or 0.0)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

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
    limits = Limits(
        _at_least(segment_bytes, "segment_bytes", 1),
        seconds,
        None if keep is None else _at_least(keep, "keep", 0),
        None if disk_budget is None else _at_least(disk_budget, "disk_budget", 1),
    )
    return Recorder(
        source, registry, Path(folder), limits, _at_least(buffer_bytes, "buffer_bytes", 1 << 16)
    )


def _at_least(value: object, name: str, least: int) -> int:
    number = whole(value)
    if number is None or number < least:
        raise EToroValidationError(
            f"{name} must be a whole number of {least} or more, not {show(value, 60)}.", name
        )
    return number


_recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Write what waits at the end of the program."""
    with contextlib.suppress(RuntimeError):
        for recorder in list(_recorders):
            with contextlib.suppress(Exception):
                recorder.close(2.0)
