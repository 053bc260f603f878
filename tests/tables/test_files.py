"""Recordings as files: the same rows in each format, and no half of a file."""

from __future__ import annotations

import csv
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import EToroError, EToroValidationError, Recording, WsInstrumentRate
from etoro_sync.columns import TABLES
from etoro_sync.recording.frames import read_frames
from etoro_sync.tables import files
from tests.support.recordings import BEGIN, price, recorded

from .test_recording import play

ENDINGS = ["csv", "jsonl", "parquet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("recording"), play)


def convert(folder: Path, to: Path, what: str = "rates") -> Path:
    if to.suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    Recording(folder).convert(to, what=what)
    return to


def test_json_lines(folder: Path, tmp_path: Path) -> None:
    """Each line is an object; times are text with seven digits."""
    text = convert(folder, tmp_path / "o.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["instrument_id"] for row in rows] == [18, 2**40, 18, 18]
    assert rows[0]["received_at"] == "2023-11-14T22:13:20.1234567Z"
    assert rows[1]["date"] == "2023-11-14T22:13:20.1234567Z"
    assert (rows[1]["bid"], rows[1]["daily_close"], rows[0]["daily_close"]) == (1.25e-06, None, 20)
    assert (rows[0]["is_market_open"], rows[1]["is_market_open"]) == (True, None)
    assert list(rows[0]) == [column.name for column in TABLES["rates"].columns]


def test_csv(folder: Path, tmp_path: Path) -> None:
    """What is missing is empty, and numbers keep all digits."""
    with convert(folder, tmp_path / "o.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["instrument_id"] for row in rows] == ["18", str(2**40), "18", "18"]
    assert (rows[1]["bid"], rows[1]["daily_close"]) == ("1.25e-06", "")
    assert (rows[0]["is_market_open"], rows[1]["is_market_open"]) == ("true", "")
    assert rows[0]["received_at"] == "2023-11-14T22:13:20.1234567Z"
    orders = convert(folder, tmp_path / "orders.csv", "orders").read_text(encoding="utf-8")
    assert len(orders.splitlines()) == 3


def test_parquet(folder: Path, tmp_path: Path) -> None:
    """Times have nanoseconds and UTC, words are dictionaries, what rises is kept as differences."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    file = parquet.ParquetFile(convert(folder, tmp_path / "o.parquet"))
    schema = file.schema_arrow
    assert str(schema.field("received_at").type) == "timestamp[ns, tz=UTC]"
    assert str(schema.field("bid").type) == "double"
    assert str(schema.field("instrument_id").type) == "int64"
    group = file.metadata.row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    for name in ("received_at", "date", "generation"):
        assert "DELTA_BINARY_PACKED" in columns[name].encodings
    for name in ("instrument_id", "changed", "bid"):
        assert any("DICTIONARY" in each for each in columns[name].encodings)
    assert columns["bid"].compression == "ZSTD"
    assert file.read(["received_at"]).column(0)[0].value == 1_700_000_000_123_456_700


@pytest.mark.parametrize("what", TABLES)
def test_json_lines_and_parquet_have_equal_rows(folder: Path, tmp_path: Path, what: str) -> None:
    """Whichever a program reads."""
    polars = pytest.importorskip("polars", reason="polars is not installed")
    lines = polars.read_ndjson(convert(folder, tmp_path / "o.jsonl", what))
    table = polars.read_parquet(convert(folder, tmp_path / "o.parquet", what))
    assert set(lines.columns) == set(table.columns)
    assert lines.height == table.height > 0
    for column in TABLES[what].columns:
        mine, other = lines[column.name], table[column.name]
        if column.kind == "time":
            mine = mine.cast(polars.String).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="ns")
            other = other.dt.replace_time_zone(None)
        # A column in which nothing stands has no type in JSON.
        assert mine.cast(other.dtype).to_list() == other.to_list(), column.name


@pytest.mark.parametrize("what", TABLES)
def test_duckdb_finds_no_difference(folder: Path, tmp_path: Path, what: str) -> None:
    """It reads times with microseconds from text, so these are compared by them."""
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    convert(folder, tmp_path / "o.jsonl", what)
    convert(folder, tmp_path / "o.parquet", what)
    names = [
        f"strftime(\"{column.name}\"::timestamptz, '%x %H:%M:%S')"
        if column.kind == "time"
        else f'"{column.name}"::varchar'
        for column in TABLES[what].columns
    ]
    columns = ", ".join(names)
    for one, other in (("jsonl", "parquet"), ("parquet", "jsonl")):
        query = (
            f"(select {columns} from '{tmp_path}/o.{one}') except all "
            f"(select {columns} from '{tmp_path}/o.{other}')"
        )
        assert duckdb.sql(query).fetchall() == []


@pytest.mark.parametrize("what", TABLES)
def test_files_and_frames_have_equal_rows(folder: Path, tmp_path: Path, what: str) -> None:
    """A frame of a recording is what pandas reads from Parquet, but for its categories."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    read = pandas.read_parquet(convert(folder, tmp_path / "o.parquet", what))
    made = Recording(folder).to_frame(what)
    for column in TABLES[what].columns:
        mine, other = made[column.name], read[column.name]
        assert mine.isna().tolist() == other.isna().tolist(), column.name
        assert mine.dropna().tolist() == other.dropna().tolist(), column.name


def rates(count: int) -> Any:
    return lambda feed: feed.texts(
        [price(18, Bid=str(n + 1), Ask=str(n + 2)) for n in range(count)], BEGIN
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_are_written_in_pieces(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory does not grow with the recording, and whoever waits is told how far it is."""
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    monkeypatch.setattr(files, "_BATCH", 10)
    recorded(tmp_path, rates(25))
    seen: list[tuple[int, float]] = []
    rows = Recording(tmp_path).convert(
        tmp_path / f"o.{ending}", progress=lambda rows, last: seen.append((rows, last.bid))
    )
    assert rows == 25
    assert seen == [(10, 10.0), (20, 20.0), (25, 25.0)]
    if ending == "parquet":
        import pyarrow.parquet

        assert pyarrow.parquet.ParquetFile(tmp_path / "o.parquet").num_row_groups == 3


@pytest.mark.skipif(os.name != "posix", reason="has no such permissions")
@pytest.mark.parametrize("ending", ENDINGS)
def test_only_the_user_may_read_the_file(folder: Path, tmp_path: Path, ending: str) -> None:
    """Order events have the number of the account."""
    path = convert(folder, tmp_path / f"o.{ending}", "orders")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_converted_to_no_file(tmp_path: Path, ending: str) -> None:
    """A file of no rows would look like a recording of nothing; the old one stays."""
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    source = recorded(tmp_path / "recording", rates(2))
    to = tmp_path / f"o.{ending}"
    to.write_text("before")
    with pytest.raises(EToroError, match="has no orders to convert"):
        Recording(source).convert(to, what="orders")
    with pytest.raises(EToroError, match=r"The chosen time of .* has no rates to convert"):
        Recording(source, until=BEGIN - 60).convert(to)
    assert to.read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"recording", to.name}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_damaged_recording_leaves_no_file(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even half of one, and the error says what to do."""
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    monkeypatch.setattr(files, "_BATCH", 1)
    source = recorded(tmp_path / "recording", rates(20))
    (path,) = source.glob("*.zst")
    data = bytearray(path.read_bytes())
    data[[frame.start for frame in read_frames(path)][-2] + 40] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(EToroError, match="etoro-sync recover"):
        Recording(source).convert(tmp_path / f"o.{ending}")
    assert {each.name for each in tmp_path.iterdir()} == {"recording"}


def test_a_value_that_does_not_fit_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a traceback of pyarrow, and not another number."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    rate = WsInstrumentRate(ask=2.0, bid=1.0, price_rate_id=2**64)
    monkeypatch.setattr(Recording, "items", lambda self, what: [rate])
    with pytest.raises(EToroError, match="does not fit its column"):
        Recording(folder).convert(tmp_path / "o.parquet")
    assert not (tmp_path / "o.parquet").exists()
    assert Recording(folder).convert(tmp_path / "o.csv") == 1
    assert str(2**64) in (tmp_path / "o.csv").read_text()


def test_wrong_paths_are_named(folder: Path, tmp_path: Path) -> None:
    """With what they have to be."""
    recording = Recording(folder)
    with pytest.raises(EToroValidationError, match=r"must end with \.parquet, \.csv, \.jsonl"):
        recording.convert(tmp_path / "o.txt")
    with pytest.raises(EToroValidationError, match="to must be a path"):
        recording.convert(None)  # type: ignore[arg-type]
    with pytest.raises(EToroError, match="cannot be written: No such file"):
        recording.convert(tmp_path / "missing" / "o.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(EToroError, match="cannot be written: Is a directory"):
        recording.convert(tmp_path / "folder.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


def test_pyarrow_is_named_where_it_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it, and without a file."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(EToroError, match=r"needs pyarrow, .*etoro-sync\[parquet\]"):
        Recording(folder).convert(tmp_path / "o.parquet")
    assert list(tmp_path.iterdir()) == []
