"""Other programs read the segments themselves, and real frames come through the whole circle."""

from __future__ import annotations

import gzip
import json
import re
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import Feed, MarketStream, Recording, Replay, WsClient, recover
from etoro_sync.recording.segments import lines_of
from etoro_sync.simulator import EToroSimulator
from tests.support.clients import quick_options
from tests.support.recordings import price, recorded

#: Recorded by users of eToro; they lie beside a checkout.
REAL = Path(__file__).parents[2].parent / "shared" / "recorded"
FRAMES = 1000
PAGE = Path(__file__).parents[2] / "docs" / "recording.md"


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    texts = [price(18, Bid=str(n + 1), Ask=str(n + 2)) for n in range(500)]

    def play(feed: Feed) -> None:
        for text in texts:
            feed.texts([text])

    (path,) = recorded(tmp_path / "recording", play).glob("*.zst")
    return path


def read(program: str, path: Path) -> list[dict[str, Any]]:
    """Return the lines of a segment as a program reads them; skip where it cannot."""
    if program == "pandas":
        pandas = pytest.importorskip("pandas", reason="pandas is not installed")
        pytest.importorskip("zstandard", reason="pandas needs zstandard for it")
        rows: list[dict[str, Any]] = pandas.read_json(path, lines=True).to_dict("records")
        return rows
    if program == "polars":
        polars = pytest.importorskip("polars", reason="polars is not installed")
        if tuple(map(int, polars.__version__.split(".")[:2])) < (1, 20):
            pytest.skip("polars reads zstd from 1.20 on")
        table: list[dict[str, Any]] = polars.read_ndjson(path).to_dicts()
        return table
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    names = ["at", "generation", "kind", "text"]
    found = duckdb.sql(f"""select "at", generation, kind, text from '{path}'""").fetchall()
    return [dict(zip(names, row, strict=True)) for row in found]


@pytest.mark.parametrize("program", ["pandas", "polars", "duckdb"])
def test_a_program_reads_every_frame_of_a_segment(program: str, segment: Path) -> None:
    """As one table of four columns, though the file has many zstd frames."""
    assert len(segment.read_bytes().split(b"\x28\xb5\x2f\xfd")) > 2
    expected = [line._asdict() for line in lines_of(segment)]
    assert len(expected) > 500
    assert read(program, segment) == expected


def test_the_query_of_the_page_reads_a_folder(
    segment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each major of DuckDB, without a further package."""
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    query = re.search(r'duckdb\.sql\("""(.*?)"""\)', PAGE.read_text("utf-8"), re.DOTALL)
    assert query is not None
    segment.parent.rename(segment.parent.with_name("recordings"))
    monkeypatch.chdir(segment.parents[1])
    found = duckdb.sql(query[1]).fetchall()
    lines = [line for line in lines_of(Path("recordings", segment.name)) if line.kind == "text"]
    assert [text for _, text in found] == [line.text for line in lines]
    at = found[0][0].replace(tzinfo=timezone.utc).timestamp()
    assert at == pytest.approx(lines[0].at, abs=1e-5)


@pytest.mark.parametrize("program", ["pandas", "polars", "duckdb"])
def test_a_program_reads_a_repaired_segment(program: str, segment: Path) -> None:
    """A torn end is an error for each of them, and recover() removes it."""
    segment.write_bytes(segment.read_bytes()[:-5])
    whole = [line._asdict() for line in lines_of(segment)]
    read_at_all = None
    try:
        read_at_all = read(program, segment)
    except Exception as exc:
        assert type(exc).__name__ in {  # noqa: PT017  # each program has its own
            *("ValueError", "ZstdError", "OSError", "ComputeError", "InvalidInputException"),
            "IOException",
        }
    recover(segment)
    repaired = read(program, segment)
    assert repaired[: len(whole)] == whole
    assert read_at_all is None or read_at_all == repaired


def real_frames() -> list[str]:
    path = REAL / "gold_nasdaq_bitcoin_2026-03-16.jsonl.gz"
    if not path.is_file():
        pytest.skip("no recorded frames here")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n") for line in lines][:FRAMES]


def test_real_frames_come_through_the_whole_circle(tmp_path: Path) -> None:
    """Served, recorded, replayed, converted, and read by pandas: the same prices everywhere."""
    frames = real_frames()
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")

    # What the frames say, merged without a network.
    plain = MarketStream(lambda feed: feed.texts(frames))
    with plain.queue("instrument:rate") as waiting, plain:
        expected = [(key, rate.bid, rate.ask, rate.date) for key, rate in waiting]
    assert len(expected) > FRAMES // 3

    folder = tmp_path / "recording"
    with (
        EToroSimulator({}) as simulator,
        WsClient(quick_options(simulator.url)) as client,
        client.record(folder) as recorder,
        client.queue("message") as messages,
    ):
        client.subscribe([18, 28, 100000])
        for frame in frames:
            simulator.relay(frame)
        for _ in frames:
            messages.get(timeout=10)
    assert recorder.stats().refused == 0

    recording = Recording(folder)
    texts = [text.text for text in recording.items("texts")]
    assert [text for text in texts if "messages" in json.loads(text)] == frames
    with Replay(folder) as replay, replay.queue("instrument:rate") as waiting:
        replayed = [(key, rate.bid, rate.ask, rate.date) for key, rate in waiting]
    assert replayed == expected

    recording.convert(tmp_path / "rates.parquet")
    table = pandas.read_parquet(tmp_path / "rates.parquet")
    read_back = list(zip(table["instrument_id"], table["bid"], table["ask"], strict=True))
    assert read_back == [row[:3] for row in expected]
    dates = pandas.to_datetime([row[3] for row in expected], utc=True, format="ISO8601")
    assert (table["date"] == dates).all()
