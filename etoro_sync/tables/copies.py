"""Makes Parquet files of the segments of a recording that goes on."""

import contextlib
import os
import signal
import sys
from pathlib import Path

from ..errors import EToroError
from ..recording.folder import SUFFIX
from .files import NoRowsError
from .recording import Recording

__all__ = ["copy_segment", "main"]

_TABLES = ("rates", "orders")


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
    """Copy a segment, in a process of its own, which gives way to the stream's.

    :raises SystemExit: with one line, when that fails.
    """
    # So that what is half written is removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with contextlib.suppress(AttributeError, OSError):  # AttributeError: on Windows
        os.nice(5)
    try:
        copy_segment(Path(segment))
    except EToroError as exc:
        sys.exit(str(exc))
