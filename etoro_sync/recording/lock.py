"""Keeps a folder for one recording at a time."""

import errno
import os
import sys
import weakref
from pathlib import Path

from ..errors import EToroError

__all__ = ["FolderLock"]


class FolderLock:
    """Holds a folder until :meth:`release`, or until the process ends.

    A forked child inherits the open file, and with it the lock: closing the child's copy releases
    nothing, and as long as it is open, the folder stays locked. So the child closes it.

    :param folder: must exist.
    :raises EToroError: when another recording, of any process, holds the folder.
    :raises OSError: when the folder cannot be written, or has no locks.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        _locks.add(self)
        try:
            _lock(self._file)
        except OSError as exc:
            self.release()
            if exc.errno not in _TAKEN:
                raise
            raise EToroError(
                f"Another recording writes to {folder}. Close that one, or choose another folder."
            ) from exc

    def release(self) -> None:
        """Let others have the folder; it may be called twice."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)


#: What the system says when another one has the lock.
_TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_locks: "weakref.WeakSet[FolderLock]" = weakref.WeakSet()


def _release_in_child() -> None:
    for lock in list(_locks):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
