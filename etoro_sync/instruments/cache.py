"""Keeps what eToro has said of instruments: in memory, and in a file that processes share.

The file is replaced as a whole, so a reader never sees half of it. What two processes write in the
same moment may be lost for one of them, which asks again some day.
"""

import contextlib
import hashlib
import logging
import os
import re
import stat
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

from .. import clocks
from ..logs import log
from ..synchronization import renew_lock_in_child
from .instrument import Instrument
from .stored import Entry, Stored

__all__ = ["Cache", "file_name"]

#: Seconds for which an entry is as good as an answer. It is the wall clock's, since a file outlives
#: the machine's uptime; nothing waits for it.
_FRESH = 24 * 3600.0
#: Bytes; a larger file is not ours.
_MOST_BYTES = 64 * 1024 * 1024


def file_name(address: str) -> str:
    """Return the name of the file for a REST address; simulators and eToro never share one."""
    host = re.sub(r"[^a-z0-9.-]", "_", (urlsplit(address).hostname or "").lower())
    return f"instruments-{host}-{hashlib.sha256(address.encode()).hexdigest()[:8]}.json"


class Cache:
    """Entries of instruments. Any thread.

    The lock guards the entries in memory; it is not held while the file is read or written.

    :param path: the file; None: memory only.
    :param address: where the entries are from.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self, path: Path | None, address: str, clock: Callable[[], float] = clocks.wall_clock
    ) -> None:
        self._path = path
        self._address = address
        self._clock = clock
        self._lock = threading.Lock()
        renew_lock_in_child(self)
        self._stored = Stored()
        #: Which state of the file was read last: time of change, size, number.
        self._seen: tuple[int, ...] | None = None

    def fresh(self, entry: Entry | None) -> bool:
        """Whether *entry* is younger than a day; one from the future is of a clock that was set."""
        return entry is not None and 0 <= self._clock() - entry.at < _FRESH

    def age(self, entries: Iterable[Entry]) -> str:
        """Say when eToro has said so, of the oldest of several entries."""
        oldest = min(entry.at for entry in entries)
        hours = (self._clock() - oldest) / 3600
        if not oldest or hours < 0:
            return "at an unknown time"  # the clock was set
        return f"{hours / 24:.0f} days ago" if hours >= 48 else f"{hours:.0f} hours ago"

    def of_symbol(self, symbol: str) -> Entry | None:
        """Return the entry of a symbol, however old."""
        entry = self._stored.symbols.get(symbol)
        if not self.fresh(entry):
            self._read()
            entry = self._stored.symbols.get(symbol)
        return entry

    def of_ids(self, ids: Iterable[int]) -> dict[int, Entry]:
        """Return the entries of ids, however old; those without one are left out."""
        wanted = list(ids)
        if not all(self.fresh(self._stored.ids.get(each)) for each in wanted):
            self._read()
        found = ((each, self._stored.ids.get(each)) for each in wanted)
        return {each: entry for each, entry in found if entry is not None}

    def keep(self, instruments: Iterable[Instrument], symbols: dict[str, Instrument]) -> None:
        """Add what eToro has said just now.

        :param instruments: ids with their symbols and names.
        :param symbols: symbols of which each is that of one instrument only.
        """
        now = self._clock()
        new = Stored(
            {symbol: Entry(each, now) for symbol, each in symbols.items()},
            {each.id: Entry(each, now) for each in instruments},
        )
        with self._lock:
            self._stored.replace(new)
        self._read()
        self._write()

    # The file ------------------------------------------------------------------------------

    def _read(self) -> None:
        """Merge what the file has, if another process has written it meanwhile."""
        if self._path is None:
            return
        try:
            found = self._path.stat()
            state = _state(found)
            if state == self._seen:
                return
            self._seen = state
            _check(found)
            text = self._path.read_text(encoding="utf-8")
            stored = Stored.of(text, self._address, self._clock())
        except FileNotFoundError:
            return
        except OSError as exc:
            log(logging.DEBUG, "The cache %s cannot be read: %s", self._path, exc.strerror)
            return
        except ValueError as exc:
            fault = "it is no text" if isinstance(exc, UnicodeError) else str(exc)
            log(
                logging.WARNING,
                "The cache %s is of no use (%s). It is replaced with the next answer.",
                self._path,
                fault,
            )
            return
        with self._lock:
            self._stored.merge(stored)

    def _write(self) -> None:
        """Replace the file by one with all entries, or leave it as it is."""
        if self._path is None:
            return
        with self._lock:
            stored = self._stored.copy()
        try:
            text = stored.text(self._address)
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self._path, text)
            self._seen = _state(self._path.stat())
        except (OSError, ValueError) as exc:  # the latter for a path that no system can have
            # Such as a home that is read-only. Without the file, all works, and asks more often.
            why = getattr(exc, "strerror", exc)
            log(logging.DEBUG, "The cache %s cannot be written: %s", self._path, why)


def _state(found: os.stat_result) -> tuple[int, ...]:
    return found.st_mtime_ns, found.st_size, found.st_ino


def _check(found: os.stat_result) -> None:
    """Refuse what another user may have written, and what cannot be read to its end.

    :raises ValueError: with the reason.
    """
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no file")
    if found.st_size > _MOST_BYTES:
        raise ValueError(f"it has {found.st_size} B")
    # A folder such as /tmp is everybody's, and so would be the meaning of a symbol.
    if hasattr(os, "geteuid") and found.st_uid not in (os.geteuid(), 0):
        raise ValueError("it belongs to another user")


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f"{path.stem}-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
