"""One file of a recording that is being written: zstd frames of whole lines, appended."""

import os
from pathlib import Path
from typing import Any

from .zstd import load_zstd

__all__ = ["FORMAT", "FRAME_BYTES", "SegmentFile"]

#: The version of the format; a reader refuses others.
FORMAT = 1
#: About how much text one frame has, so that a reader needs little memory. A line is never cut.
FRAME_BYTES = 1 << 20
#: The fastest level: of the texts of all instruments it leaves fewer bytes than level 3 does.
_LEVEL = 1


class SegmentFile:
    """Appends frames. Used by the writer's thread only.

    :param path: must not exist.
    :raises OSError: when it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        zstd = load_zstd()
        options = zstd.CompressionParameter
        self._options = {options.compression_level: _LEVEL, options.checksum_flag: 1}
        self._compress: Any = zstd.compress
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        # Readable by the user alone: order events have the number of the account.
        self._file = os.open(path, flags, 0o600)
        #: Bytes of whole frames.
        self.size = 0

    @property
    def is_removed(self) -> bool:
        """Whether somebody has removed the file, so that nobody would find what is appended."""
        return os.fstat(self._file).st_nlink == 0

    def frame(self, lines: list[str]) -> bytes:
        """Return *lines* as one frame."""
        frame: bytes = self._compress("".join(lines).encode(), options=self._options)
        return frame

    def append(self, frame: bytes) -> None:
        """Write a frame, or nothing.

        :raises OSError: such as when the disk is full; the file ends with a whole frame then.
        """
        rest = memoryview(frame)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except BaseException:
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
            raise
        self.size += len(frame)

    def sync(self) -> None:
        """Wait until all is on the disk.

        :raises OSError: when it cannot be.
        """
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file; it may be called twice."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)
