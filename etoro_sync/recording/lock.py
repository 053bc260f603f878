"""Keeps a folder for one recording at a time."""

import os
import sys
from pathlib import Path

from ..errors import EToroError

__all__ = ["FolderLock"]


class FolderLock:
    """Holds a folder until :meth:`release`, or until the process ends.

    Locks of the standard library, because what a forked child inherits must not release them; with
    a lock of the file's, closing the child's copy does not.

    :param folder: must exist.
    :raises EToroError: when another recording, of any process, holds the folder.
    :raises OSError: when the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(self._file)
        except OSError as exc:
            self.release()
            raise EToroError(
                f"Another recording writes to {folder}. Close that one, or choose another folder."
            ) from exc

    def release(self) -> None:
        """Let others have the folder; it may be called twice."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
