"""The SQLite file: its tables, and the few statements that read and change them."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..errors import EToroClosedError, EToroError
from ..models import WsGap
from .opening import advice, connect, create, identity, prepare
from .rows import Row, StoredEvent, column, decode, finite

__all__ = ["Database"]

Result = TypeVar("Result")

#: How many rows are read at once, so that no reading keeps the file from being tidied for long.
_PAGE = 200
#: Seconds in which two streams may bring the same event, with different message ids.
_COPY_SECONDS = 600.0

_COLUMNS = "number, event, stored_at, acknowledged_at"


class Database:
    """One connection to the file, for all threads of this process.

    The lock guards the connection: a transaction has it from beginning to end.

    :param path: the file; made if it is missing, with its folder.
    :param durable: whether a commit waits until the disk has it.
    :raises EToroError: when the file cannot be used.
    """

    def __init__(self, path: Path, durable: bool) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            create(path)
        except OSError as exc:
            raise EToroError(f"{path} cannot be used as a store: {exc.strerror or exc}.") from exc
        with self._explained():
            connection = connect(path)
            try:
                prepare(connection, path, durable)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        self._identity = identity(path)

    def close(self) -> None:
        """Close the file; it may be called twice."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with self._explained():
                    connection.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise SQLite's errors as the library's own."""
        try:
            yield
        except sqlite3.Error as exc:
            raise EToroError(f"{self.path}: {exc}. {advice(str(exc))}") from exc

    def _transact(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run *work* in one transaction, which Ctrl-C does not leave open either."""
        with self._explained(), self._lock:
            connection = self._opened()
            self._check_file()
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                connection.execute("BEGIN IMMEDIATE")
                result = work(connection)
                connection.execute("COMMIT")
                return result
            except BaseException:
                # A full disk may have ended it already.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _check_file(self) -> None:
        """Refuse to write into a file that has no name any more: nobody would find it.

        :raises EToroError: when the file was removed or replaced.
        """
        try:
            found = identity(self.path)
        except OSError:
            found = None
        if found != self._identity:
            raise EToroError(
                f"{self.path} was removed or replaced while it was in use. Put it back, or end the "
                "program and start it again."
            )

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise EToroClosedError(f"The store {self.path} is closed. Make a new OrderStore.")
        return self._connection

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._explained(), self._lock:
            return self._opened().execute(query, values).fetchall()

    # -- writing -------------------------------------------------------------------------------

    def add(
        self,
        entries: Iterable[tuple[str, int, Row | WsGap]],
        watched_until: float | None,
        now: float,
    ) -> tuple[int, int]:
        """Store events and gaps in one transaction.

        :param entries: the origin's id, its base, and what has come.
        :param watched_until: until when all events were received; None: as before.
        :param now: seconds since the epoch.
        :returns: how many events were stored, and how many were there already.
        """

        def work(connection: sqlite3.Connection) -> tuple[int, int]:
            stored = repeated = 0
            for origin, base, entry in entries:
                if isinstance(entry, WsGap):
                    gap = (finite(entry.from_), finite(entry.until), column(entry.generation))
                    connection.execute(
                        "INSERT INTO gaps (since, until, generation) VALUES (?, ?, ?)", gap
                    )
                elif _is_there(connection, entry, origin, base, now):
                    repeated += 1
                else:
                    _insert(connection, entry, origin, now)
                    stored += 1
            if watched_until is not None:
                connection.execute("INSERT OR REPLACE INTO watched VALUES (1, ?)", (watched_until,))
            return stored, repeated

        return self._transact(work)

    def acknowledge(self, numbers: Iterable[int], now: float) -> None:
        """Note that events were handled; what was acknowledged before stays as it is."""
        query = "UPDATE events SET acknowledged_at = ? WHERE number = ? AND acknowledged_at IS NULL"
        values = [(now, number) for number in numbers]
        self._transact(lambda connection: connection.executemany(query, values))

    # -- reading -------------------------------------------------------------------------------

    def events(
        self, condition: str = "", values: Sequence[Any] = (), after: int = 0
    ) -> Iterator[StoredEvent]:
        """Yield events in order, page by page.

        :param condition: SQL, such as ``"AND acknowledged_at IS NULL"``.
        :param values: those of the condition.
        :param after: only events with a higher number.
        """
        query = f"SELECT {_COLUMNS} FROM events WHERE number > ? {condition} ORDER BY number LIMIT"
        while True:
            page = self._rows(f"{query} {_PAGE}", (after, *values))
            for number, text, stored_at, acknowledged_at in page:
                yield StoredEvent(number, decode(text), stored_at, acknowledged_at)
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def next_pending(self, after: int) -> StoredEvent | None:
        """Return the first event behind *after* that was not acknowledged; None: there is none."""
        query = (
            f"SELECT {_COLUMNS} FROM events WHERE acknowledged_at IS NULL AND number > ? "
            "ORDER BY number LIMIT 1"
        )
        for number, text, stored_at, _ in self._rows(query, (after,)):
            return StoredEvent(number, decode(text), stored_at)
        return None

    def gaps(self, since: float) -> list[WsGap]:
        """Return the gaps that ended later than *since*, in the order in which they were noted."""
        query = "SELECT since, until, generation FROM gaps WHERE until > ? ORDER BY number"
        return [
            WsGap(began, until, generation, ("private",))
            for began, until, generation in self._rows(query, (since,))
        ]

    def watched_until(self) -> float | None:
        """Return until when all events were received, as far as the file knows."""
        found = self._rows("SELECT until FROM watched")
        return found[0][0] if found else None

    def last_number(self) -> int:
        """Return the number of the last event; 0: there is none."""
        return int(self._rows("SELECT max(number) FROM events")[0][0] or 0)

    def count_pending(self) -> int:
        """Return how many events were not acknowledged."""
        query = "SELECT count(*) FROM events WHERE acknowledged_at IS NULL"
        return int(self._rows(query)[0][0])


def _insert(connection: sqlite3.Connection, row: Row, origin: str, now: float) -> None:
    number = connection.execute(
        "INSERT INTO events (content, order_id, request_guid, status_id, received_at, event, "
        "origin, stored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*row[1:], origin, now),
    ).lastrowid
    connection.execute("INSERT INTO messages VALUES (?, ?)", (row.key, number))


def _is_there(connection: sqlite3.Connection, row: Row, origin: str, base: int, now: float) -> bool:
    """Return whether an event is in the file already; note that this origin has brought it, too."""
    found = (
        _repeated(connection, row, origin, base)
        or connection.execute(
            "SELECT number, origin FROM messages JOIN events USING (number) WHERE key = ?",
            (row.key,),
        ).fetchone()
        or _copied(connection, row, origin, base, now)
    )
    if found is None:
        return False
    number, first_origin = found[:2]
    connection.execute("INSERT OR IGNORE INTO messages VALUES (?, ?)", (row.key, number))
    if first_origin != origin:
        connection.execute("INSERT OR IGNORE INTO copies VALUES (?, ?)", (number, origin))
    return True


def _repeated(connection: sqlite3.Connection, row: Row, origin: str, base: int) -> Any:
    """Return the last event of the order, if this one says the same, else None.

    The last one that this origin has brought: another one may be ahead. If it has brought none,
    the last one from before it was attached.
    """
    last = connection.execute(
        "SELECT number, origin, content FROM events WHERE order_id = ? AND (number <= ? "
        "OR origin = ? OR EXISTS (SELECT 1 FROM copies WHERE copies.number = events.number "
        "AND copies.origin = ?)) ORDER BY number DESC LIMIT 1",
        (row.order_id, base, origin, origin),
    ).fetchone()
    return last if last is not None and last[2] == row.content else None


def _copied(connection: sqlite3.Connection, row: Row, origin: str, base: int, now: float) -> Any:
    """Return the event of the same content that another origin has brought, else None.

    Each counts once, since an order may return to a former state.
    """
    return connection.execute(
        "SELECT number, origin FROM events WHERE content = ? AND number > ? AND origin <> ? "
        "AND stored_at > ? AND NOT EXISTS (SELECT 1 FROM copies WHERE "
        "copies.number = events.number AND copies.origin = ?) ORDER BY number LIMIT 1",
        (row.content, base, origin, now - _COPY_SECONDS, origin),
    ).fetchone()
