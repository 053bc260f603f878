"""Opens the SQLite file: makes its tables, and refuses what is no store. And locks its reading."""

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from pathlib import Path

from .. import clocks
from ..errors import EToroError

__all__ = ["ReaderLock", "Turn", "advice", "connect", "create", "identity", "prepare"]

#: "eToS": tells the file from those of other applications.
_APPLICATION = 0x65546F53
_VERSION = 1
#: Seconds that a statement waits for another process that writes.
_BUSY_SECONDS = 5.0

_TABLES = f"""
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    content BLOB NOT NULL,
    origin TEXT NOT NULL,
    order_id,
    request_guid,
    status_id,
    received_at REAL NOT NULL,
    stored_at REAL NOT NULL,
    acknowledged_at REAL,
    event TEXT NOT NULL
);
CREATE INDEX events_of_order ON events (order_id, number);
CREATE INDEX events_of_content ON events (content, number);
CREATE INDEX events_pending ON events (number) WHERE acknowledged_at IS NULL;
CREATE TABLE messages (key BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE copies (number INTEGER, origin TEXT, PRIMARY KEY (number, origin)) WITHOUT ROWID;
CREATE TABLE gaps (
    number INTEGER PRIMARY KEY,
    since REAL NOT NULL,
    until REAL NOT NULL,
    generation INTEGER NOT NULL
);
CREATE TABLE watched (id INTEGER PRIMARY KEY CHECK (id = 1), until REAL NOT NULL);
PRAGMA application_id = {_APPLICATION};
"""


class Turn:
    """Stands for one loop that takes events; when nothing refers to it any more, that is over."""


class ReaderLock:
    """Lets one loop at a time, of any process, take events from a store.

    It is a lock of SQLite's on a file beside the store: the system releases it when the process
    ends, however it ends, and a forked child does not keep it. The lock guards the connection and
    whose turn it is; it is re-entrant, because the garbage collector may end a loop anywhere.

    :param path: of the store.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._beside = path.with_name(f"{path.name}-reader")
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._turn: weakref.ref[Turn] | None = None

    def acquire(self, turn: Turn) -> None:
        """Let nobody else take events, until :meth:`release`.

        :raises EToroError: when another loop has it.
        """
        with self._lock:
            if self._turn is not None and self._turn() is not None:
                raise self._taken()
            try:
                if self._connection is None:
                    create(self._beside)
                    self._connection = connect(self._beside, 0.0)
                # It is in one if Ctrl-C came in the middle of release().
                if not self._connection.in_transaction:
                    self._connection.execute("BEGIN EXCLUSIVE")
            except OSError as exc:
                raise EToroError(f"{self._beside} cannot be made: {exc.strerror}.") from exc
            except sqlite3.Error as exc:
                if "locked" in str(exc):
                    raise self._taken() from exc
                raise EToroError(f"{self._beside}: {exc}. {advice(str(exc))}") from exc
            self._turn = weakref.ref(turn)

    def _taken(self) -> EToroError:
        return EToroError(
            f"Another loop or program takes the events of {self._path}, and each event is to be "
            "handled once. End that one, or read with events(), which takes nothing."
        )

    def release(self, turn: Turn) -> None:
        """Let others take events; no effect if it is not this one's turn."""
        with self._lock:
            if self._turn is not None and self._turn() is turn:
                self._turn = None
                if self._connection is not None and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Release it for good."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()


def create(path: Path) -> None:
    """Make a file that only its owner can read, unless there is one: it has the account's number.

    An existing one is not opened here: closing it would release SQLite's own locks of it.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def connect(path: Path, busy_seconds: float = _BUSY_SECONDS) -> sqlite3.Connection:
    """Open a file for all threads, with transactions that begin where the caller says."""
    return sqlite3.connect(
        path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )


def identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from another one of the same name."""
    status = path.stat()
    return status.st_dev, status.st_ino


def prepare(connection: sqlite3.Connection, path: Path, durable: bool) -> None:
    """Check that the file is a store, or make it one.

    :raises EToroError: when it is something else.
    """
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION
    if not ours and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        # Read again: another process may have made the tables meanwhile.
        ours = connection.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION
        if not ours:
            raise EToroError(
                f"{path} is a database of another application. Choose another path for the store."
            )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if ours and version > _VERSION:
        raise EToroError(
            f"{path} was written by a later version of etoro_sync (format {version}, and this one "
            f"knows {_VERSION}). Upgrade etoro_sync, or choose another path."
        )
    _set_wal(connection, path)
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
        # Written each time, so that a file that is read-only is refused here and not later.
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _set_wal(connection: sqlite3.Connection, path: Path) -> None:
    """Let readers and a writer work at the same time, and each commit be one write.

    :raises EToroError: when the file system cannot do that.
    """
    deadline = clocks.monotonic() + _BUSY_SECONDS
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as exc:
            # SQLite does not wait here for another process that does the same just now.
            if "locked" not in str(exc) or clocks.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise EToroError(
            f"{path} is on a file system without shared memory, such as a network's, where SQLite "
            "cannot keep it safely. Choose a path on a local disk."
        )


def advice(reason: str) -> str:
    """Return what to do about an error of SQLite's."""
    if "not a database" in reason or "malformed" in reason:
        return (
            "The file is damaged, or is none of SQLite's. Move it away with its -wal and -shm, and "
            "start with a new one; sqlite3's command .recover saves what can be read."
        )
    if "locked" in reason or "busy" in reason:
        return f"Another program has kept it for {_BUSY_SECONDS:g} s. End that one, or try again."
    if "full" in reason:
        return "Free some space on its disk."
    return "Check its disk, and the permissions of the file and of its folder."
