"""Writes tables to files of other programs: CSV, JSON lines, Parquet."""

import contextlib
import csv
import json
import os
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from ..columns import Table, iso_text
from ..data_frames import MISFITS, load, misfit
from ..errors import EToroError, EToroValidationError
from ..text import show

__all__ = ["NoRowsError", "write_table"]

#: How many rows are in memory at a time, and in a row group of Parquet.
_BATCH = 1 << 16


class NoRowsError(EToroError):
    """There is nothing to write."""


class _Writer(Protocol):
    """Writes one file."""

    def write(self, batch: dict[str, list[Any]]) -> None:
        """Append rows, given as a list for each column."""

    def close(self) -> None:
        """Complete the file."""


def write_table(
    source: str,
    to: str | os.PathLike[str],
    table: Table,
    items: Iterable[Any],
    progress: Callable[[int, Any], object],
) -> int:
    """Write *items* aside, and rename the file when it is complete.

    :param source: what they are read from, for errors.
    :param to: the file, whose ending chooses the format.
    :param progress: called with the number of rows and the last item, after each batch.
    :returns: the number of rows.
    :raises EToroValidationError: for an unknown ending.
    :raises EToroError: see :meth:`etoro_sync.Recording.convert`.
    """
    target = _check_path(to)
    make = _WRITERS[target.suffix.lower()]
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        try:
            os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            rows = _write_all(make(aside, table), table, items, progress)
            if not rows:
                raise NoRowsError(f"{source} has no {table.name} to convert.")
            os.replace(aside, target)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    except BrokenPipeError:  # of what shows the progress
        raise
    except OSError as exc:
        raise EToroError(f"{target} cannot be written: {exc.strerror or exc}.") from exc
    return rows


def _check_path(to: object) -> Path:
    if not isinstance(to, (str, os.PathLike)) or not str(to):
        raise EToroValidationError(f"to must be a path, not {show(to, 60)}.", "to")
    target = Path(to)
    if target.suffix.lower() not in _WRITERS:
        raise EToroValidationError(
            f"to must end with {', '.join(_WRITERS)}, not {show(target.name, 60)}.", "to"
        )
    return target


def _write_all(
    writer: _Writer, table: Table, items: Iterable[Any], progress: Callable[[int, Any], object]
) -> int:
    rows = 0
    last: Any = None

    def remembered() -> Iterable[Any]:
        nonlocal last
        for item in items:
            last = item
            yield item

    try:
        for batch in table.batches(remembered(), _BATCH):
            writer.write(batch)
            rows += len(next(iter(batch.values())))
            progress(rows, last)
    except BaseException:
        with contextlib.suppress(Exception):
            writer.close()
        raise
    writer.close()
    return rows


def _plain_times(table: Table, batch: dict[str, list[Any]]) -> list[list[Any]]:
    """Return the columns with times as text."""
    return [
        [None if v is None else iso_text(v) for v in batch[column.name]]
        if column.kind == "time"
        else batch[column.name]
        for column in table.columns
    ]


class _Csv:
    def __init__(self, path: Path, table: Table) -> None:
        self._table = table
        self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow([column.name for column in table.columns])

    def write(self, batch: dict[str, list[Any]]) -> None:
        for column in self._table.columns:
            if column.kind == "flag":
                batch[column.name] = [_FLAGS[value] for value in batch[column.name]]
        self._rows.writerows(zip(*_plain_times(self._table, batch), strict=True))

    def close(self) -> None:
        self._file.close()


_FLAGS = {True: "true", False: "false", None: None}


class _JsonLines:
    def __init__(self, path: Path, table: Table) -> None:
        self._table = table
        self._names = [column.name for column in table.columns]
        self._file = path.open("w", encoding="utf-8", newline="")

    def write(self, batch: dict[str, list[Any]]) -> None:
        encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
        for row in zip(*_plain_times(self._table, batch), strict=True):
            self._file.write(encode(dict(zip(self._names, row, strict=True))) + "\n")

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """Times with nanoseconds; zstd; words as dictionaries, and what rises as differences."""

    def __init__(self, path: Path, table: Table) -> None:
        self._table = table
        self._arrow = arrow = load("pyarrow", "parquet", "Parquet")
        kinds = {
            "time": arrow.timestamp("ns", tz="UTC"),
            "int": arrow.int64(),
            "whole": arrow.int64(),
            "key": arrow.int64(),
            "number": arrow.float64(),
            "flag": arrow.bool_(),
            "word": arrow.string(),
            "text": arrow.string(),
        }
        self._schema = arrow.schema([(each.name, kinds[each.kind]) for each in table.columns])
        rising = {"time": "DELTA_BINARY_PACKED", "whole": "DELTA_BINARY_PACKED"}
        self._writer = load("pyarrow.parquet", "parquet", "Parquet").ParquetWriter(
            str(path),
            self._schema,
            compression="zstd",
            use_dictionary=[c.name for c in table.columns if c.kind in ("key", "word", "number")],
            column_encoding={c.name: rising[c.kind] for c in table.columns if c.kind in rising},
        )

    def write(self, batch: dict[str, list[Any]]) -> None:
        try:
            rows = self._arrow.Table.from_pydict(batch, schema=self._schema)
        except MISFITS as exc:
            raise misfit(self._table, exc) from exc
        self._writer.write_table(rows)

    def close(self) -> None:
        self._writer.close()


_WRITERS: dict[str, Callable[[Path, Table], _Writer]] = {
    ".parquet": _Parquet,
    ".csv": _Csv,
    ".jsonl": _JsonLines,
}
