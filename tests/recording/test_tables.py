"""Other programs read segments as tables, all in the same way."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from etoro_sync.recording import writer
from etoro_sync.recording.folder import segments_in
from etoro_sync.recording.frames import read_frames, whole_frames
from tests.recording.tools import all_lines, quote, record_texts

ODD = ['\u20ac \U0001f600 \\ " \n\r\t\0', "", "{}", "null"]


@pytest.fixture
def segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A segment of many frames."""
    monkeypatch.setattr(writer, "FRAME_BYTES", 1000)
    record_texts(tmp_path, [*(quote(18, number) for number in range(500)), *ODD])
    (path,) = segments_in(tmp_path)
    assert len(list(whole_frames(path))) > 50
    return path


Row = tuple[float, int, str, str]


def rows(path: Path) -> list[Row]:
    return [tuple(line) for line in all_lines(path)]


def with_pandas(path: Path) -> list[Row]:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("zstandard", reason="pandas reads zstd with zstandard, not installed")
    frame = pandas.read_json(path, lines=True, precise_float=True, dtype=False)
    return list(frame.itertuples(index=False, name=None))


def with_polars(path: Path) -> list[Row]:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    return polars.read_ndjson(io.BytesIO(path.read_bytes()), infer_schema_length=None).rows()


def with_polars_scan(path: Path) -> list[Row]:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    return polars.scan_ndjson(path, infer_schema_length=None).collect().rows()


def with_duckdb(path: Path) -> list[Row]:
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    columns = "{'at': 'DOUBLE', 'generation': 'BIGINT', 'kind': 'VARCHAR', 'text': 'VARCHAR'}"
    query = f"select * from read_json(?, columns={columns}, format='newline_delimited')"
    found: list[Row] = duckdb.execute(query, [str(path)]).fetchall()
    return found


READERS = [with_pandas, with_polars, with_polars_scan, with_duckdb]


@pytest.mark.parametrize("read", READERS)
def test_each_program_reads_the_same_rows(segment: Path, read: Any) -> None:
    """As a replay does, to the last character."""
    assert read(segment) == rows(segment)


@pytest.mark.parametrize("read", READERS)
def test_whole_frames_of_a_torn_segment(segment: Path, read: Any) -> None:
    """Polars refuses the file, as it says; the others leave out the end without a word."""
    os.truncate(segment, list(read_frames(segment))[-3].end + 20)
    whole = rows(segment)
    if "polars" in read.__name__:
        pytest.importorskip("polars", reason="polars is not installed")
        with pytest.raises(Exception, match=r"."):
            read(segment)
    else:
        found = read(segment)
        assert found[: len(whole)] == whole
