"""Reads the zstd frames of a file, also of one that is torn or damaged."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..errors import EToroError
from .zstd import load_zstd

__all__ = ["TORN", "Frame", "read_frames", "readable_part", "whole_frames"]

#: The first bytes of each zstd frame.
MAGIC = b"\x28\xb5\x2f\xfd"
#: How much one frame may hold, unpacked and packed: far more than a recorder writes into one, and
#: little enough that a file which was made to do harm fills no memory.
_MOST_BYTES = 128 << 20
_CHUNK = 1 << 20
#: The problem of a frame that was not completed.
TORN = "it ends within a frame"


class Frame(NamedTuple):
    """A piece of a file.

    :param start: its place in the file, in bytes.
    :param end: where the next one begins.
    :param data: unpacked; None: the piece cannot be read.
    :param problem: why not.
    :param is_last: whether nothing that can be read stands behind it.
    """

    start: int
    end: int
    data: bytes | None
    problem: str = ""
    is_last: bool = False


def whole_frames(path: Path) -> Iterator[Frame]:
    """Yield the frames of a file, up to a torn one at its end, which a killed process leaves.

    :raises EToroError: when the file cannot be read, or is damaged elsewhere.
    """
    for frame in read_frames(path):
        if frame.data is None:
            if frame.is_last:
                return
            raise EToroError(
                f"{path.name} is damaged at byte {frame.start}: {frame.problem}. "
                f"Run: etoro-sync recover {path}"
            )
        yield frame


def read_frames(path: Path) -> Iterator[Frame]:
    """Yield all pieces of a file in order, those that cannot be read included.

    :raises EToroError: when the file cannot be opened or read.
    """
    try:
        with path.open("rb") as file:
            # Of now: the file may grow while it is read.
            size = os.fstat(file.fileno()).st_size
            start = 0
            while start < size:
                frame = _frame_at(file, start, size)
                yield frame
                start = frame.end
    except OSError as exc:
        raise EToroError(f"{path} cannot be read: {exc.strerror or exc}.") from exc


def _frame_at(file: BinaryIO, start: int, size: int) -> Frame:
    zstd = load_zstd()
    unpacker = zstd.ZstdDecompressor()
    parts: list[bytes] = []
    length, position = 0, start
    file.seek(start)
    try:
        while not unpacker.eof:
            packed = file.read(_CHUNK) if unpacker.needs_input else b""
            if unpacker.needs_input and not packed:
                # Damage can make a frame look longer than it is; then others stand behind it.
                return _damaged(file, start, size, TORN)
            position += len(packed)
            part = unpacker.decompress(packed, _CHUNK)
            length += len(part)
            if length > _MOST_BYTES or position - start > _MOST_BYTES:
                return _damaged(file, start, size, "a frame is longer than any of a recording")
            parts.append(part)
    except zstd.ZstdError as exc:
        return _damaged(file, start, size, str(exc).rstrip("."))
    return Frame(start, position - len(unpacker.unused_data), b"".join(parts))


def _damaged(file: BinaryIO, start: int, size: int, problem: str) -> Frame:
    """Return the piece up to the next place where a frame may begin."""
    end = _next_magic(file, start + 1, size)
    return Frame(start, end, None, problem, end >= size)


def _next_magic(file: BinaryIO, position: int, size: int) -> int:
    while position < size:
        file.seek(position)
        chunk: Any = file.read(_CHUNK)
        found = chunk.find(MAGIC)
        if found >= 0:
            return position + int(found)
        # The magic may lie across the end of the chunk.
        position += max(len(chunk) - len(MAGIC) + 1, 1)
    return size


def readable_part(path: Path, frame: Frame) -> bytes:
    """Return what can be unpacked of a frame that was not completed."""
    unpacker = load_zstd().ZstdDecompressor()
    parts: list[bytes] = []
    room = _MOST_BYTES
    with path.open("rb") as file:
        file.seek(frame.start)
        packed = file.read(min(frame.end - frame.start, _MOST_BYTES))
    with contextlib.suppress(load_zstd().ZstdError):
        # In small pieces, because what was unpacked of one is lost where it raises.
        for start in range(0, len(packed), 1024):
            part = unpacker.decompress(packed[start : start + 1024], room)
            parts.append(part)
            room -= len(part)
            if room <= 0:
                break
    return b"".join(parts)
