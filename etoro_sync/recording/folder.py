"""The folder of recordings: names of segments, which are whole, and which have to go."""

import os
import re
from datetime import datetime, timezone
from pathlib import Path

__all__ = ["SUFFIX", "free", "name_of_segment", "segments_in", "time_and_number"]

SUFFIX = ".jsonl.zst"
_NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z-\d{6,}\.jsonl\.zst\Z")


def name_of_segment(began: float, number: int) -> str:
    """Return the name of a file, by which segments sort in the order of their time.

    :param began: seconds since the epoch.
    :param number: of the segment within its recording, from 1.
    """
    when = datetime.fromtimestamp(began, timezone.utc)
    return f"{when:%Y%m%dT%H%M%S}.{when.microsecond // 1000:03}Z-{number:06}{SUFFIX}"


def time_and_number(path: Path) -> tuple[float, int]:
    """Return what a name says: when the segment began, and its number; else when it was changed."""
    try:
        moment, _, number = path.name.removesuffix(SUFFIX).rpartition("-")
        began = datetime.strptime(moment, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=timezone.utc)
        return began.timestamp(), int(number)
    except ValueError:
        return path.stat().st_mtime, 1


def segments_in(folder: Path) -> list[Path]:
    """Return the segments of a folder, the oldest first; other files are left alone.

    A pipe or a folder with such a name is none.
    """
    # Not by iterdir(), which Ctrl-C may leave with an open folder.
    found = [folder / name for name in os.listdir(folder) if _NAME.match(name)]
    return sorted(path for path in found if path.is_file())


def free(folder: Path, present: Path, keep: int | None, most_bytes: int | None) -> int:
    """Remove the oldest closed segments until the others are few and small enough.

    :param present: the one that is being written, which counts and stays.
    :param keep: how many closed segments may stay; None: any number.
    :param most_bytes: how many bytes all segments together may have; None: any number.
    :returns: how many bytes the closed ones have that stay.
    :raises OSError: when one cannot be removed.
    """
    own = _size(present)
    closed = [(path, _size(path)) for path in segments_in(folder) if path != present]
    left, total = len(closed), sum(size for _, size in closed)
    for path, size in closed:
        too_many = keep is not None and left > keep
        if not too_many and (most_bytes is None or total + own <= most_bytes):
            break
        path.unlink(missing_ok=True)
        total -= size
        left -= 1
    return total


def _size(path: Path) -> int:
    """Return the size of a file; of one that somebody has removed meanwhile, 0."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
