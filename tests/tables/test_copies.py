"""Parquet files of the segments of a recording that goes on."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

import pytest

from etoro_sync import EToroError, EToroValidationError, Feed, MarketStream, Recording
from etoro_sync.recording import copies as copies_module
from etoro_sync.recording.copies import ParquetCopies
from etoro_sync.recording.folder import segments_in
from etoro_sync.tables.copies import copy_segment, main
from tests.support.recordings import BEGIN, NAME, price, recorded

from ..recording.test_recorder import until
from .test_recording import play

#: A process of low priority takes its time on a busy machine.
pytestmark = [pytest.mark.heavy, pytest.mark.timeout(120)]

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")


def rows(path: Path) -> list[float]:
    found: list[float] = parquet.read_table(path).column("bid").to_pylist()
    return found


def test_a_segment_becomes_a_file_of_each_table(tmp_path: Path) -> None:
    """Beside it, with its name."""
    recorded(tmp_path, play)
    (segment,) = segments_in(tmp_path)
    name = segment.name.removesuffix(".jsonl.zst")
    made = copy_segment(segment)
    assert [path.name for path in made] == [f"{name}.rates.parquet", f"{name}.orders.parquet"]
    assert rows(made[0]) == [rate.bid for rate in Recording(segment).items()]


def test_a_table_without_rows_becomes_no_file(tmp_path: Path) -> None:
    """A segment of a night may have nothing."""
    recorded(tmp_path, lambda feed: feed.texts(["{}"]))
    (segment,) = segments_in(tmp_path)
    assert copy_segment(segment) == []


def test_the_files_of_all_segments_have_the_rows_of_the_recording(tmp_path: Path) -> None:
    """None is there twice, and none is missing where one segment goes over into the next."""

    def many(feed: Feed) -> None:
        for n in range(200):
            content = {"Bid": str(n + 1)} if n else {"Bid": "1", "Ask": "900"}
            feed.texts([price(18, **content)], BEGIN + n)
            if n % 40 == 0:
                feed.wait(0.3)

    recorded(tmp_path, many, segment_bytes=1)
    segments = segments_in(tmp_path)
    assert len(segments) > 2
    copied = [
        bid
        for segment in segments
        for path in copy_segment(segment)
        if ".rates." in path.name
        for bid in rows(path)
    ]
    assert copied == [rate.bid for rate in Recording(tmp_path).items()]
    assert copied == [n + 1.0 for n in range(200)]


def copied(segment: Path) -> bool:
    return segment.with_name(f"{segment.name.removesuffix('.jsonl.zst')}.rates.parquet").exists()


def prices(feed: Feed) -> None:
    """Prices of three segments, if each has one byte at most."""
    for n in range(3):
        feed.texts([price(18, Bid=str(n + 1), Ask="900")], BEGIN + n)
        feed.wait(0.6)


def test_closed_segments_of_a_recording_become_parquet_files(tmp_path: Path) -> None:
    """While it goes on, and the last one before close() returns; not those of before."""
    recorded(tmp_path, play)
    (before,) = segments_in(tmp_path)
    stream = MarketStream(prices)
    with stream.record(tmp_path, segment_bytes=1, parquet=True) as recorder:
        with stream:
            stream.run_forever()
        segments = [each for each in segments_in(tmp_path) if each != before]
        assert len(segments) >= 3
        until(lambda: copied(segments[0]), 60)
        assert not copied(segments_in(tmp_path)[-1])
        recorder.close(timeout=60)
        assert recorder.stats().parquet_waiting == 0
    assert not copied(before)
    found = [bid for path in sorted(tmp_path.glob("*.rates.parquet")) for bid in rows(path)]
    assert found == [1.0, 2.0, 3.0]


def test_a_failure_is_logged_once_and_the_recording_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the reason is, the segments are there."""
    (tmp_path / NAME).write_bytes(b"nothing")
    copies = ParquetCopies(tmp_path)
    copies.start()
    for _ in range(3):
        copies.add(tmp_path / NAME)
    copies.stop()
    assert copies.join(60)
    assert copies.waiting == 0
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"No Parquet file of {NAME}: ")
    assert "has no recording" in line or "damaged" in line
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match=r"has no recording|is damaged"):
        main(str(tmp_path / NAME))
    signal.signal(signal.SIGTERM, before)


def test_a_system_without_a_process_left_is_a_failure_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The recording is whole, and the log says what to do."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    stream = MarketStream(play)
    with stream.record(tmp_path, parquet=True), stream:
        stream.run_forever()
    (segment,) = segments_in(tmp_path)
    assert not copied(segment)
    (line,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert "a process cannot be started" in line
    assert "etoro-sync convert makes the file" in line
    assert list(Recording(tmp_path).items())


def test_close_says_what_is_left_and_the_end_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that does not end in time goes on until the program ends."""
    monkeypatch.setattr(copies_module, "_PROGRAM", "import time; time.sleep(60)")
    stream = MarketStream(play)
    recorder = stream.record(tmp_path, parquet=True)
    with stream:
        stream.run_forever()
    recorder.close(timeout=0.2)
    until(lambda: recorder.stats().parquet_waiting == 1)
    recorder.close(timeout=0.2)
    assert "not Parquet yet: 1 file" in caplog.text
    copies = recorder._copies
    assert copies is not None
    copies.abandon()
    assert copies._child is not None
    assert copies._child.returncode == -signal.SIGTERM
    assert "before 1 segment in" in caplog.text
    assert "No Parquet file" not in caplog.text


def test_a_process_that_copies_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    """It is ended in the middle of its work."""
    recorded(tmp_path, play)
    copies = ParquetCopies(tmp_path / "none")
    copies.start()
    copies.add(segments_in(tmp_path)[0])
    until(lambda: not copies.waiting or bool(list(tmp_path.glob(".*.part"))), 60)
    copies.abandon()
    assert not list(tmp_path.glob(".*.part"))


def test_pyarrow_is_asked_for_at_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not when the first segment is closed; a flag is a flag."""
    stream = MarketStream(play)
    with pytest.raises(EToroValidationError, match="parquet must be True or False"):
        stream.record(tmp_path, parquet="yes")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(EToroError, match=r"etoro-sync\[parquet\]"):
        stream.record(tmp_path / "new", parquet=True)
    assert not (tmp_path / "new").exists()
