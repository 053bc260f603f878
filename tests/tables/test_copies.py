"""Parquet files of the segments of a recording that goes on."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from etoro_sync import Feed, Recording
from etoro_sync.recording.folder import segments_in
from etoro_sync.tables.copies import ParquetCopies, copy_segment, main
from tests.support.recordings import BEGIN, NAME, price, recorded

from .test_recording import play

pytestmark = pytest.mark.heavy

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


def test_closed_segments_are_copied_and_others_are_not(tmp_path: Path) -> None:
    """Not those of before, and not the one that is being written, until it is closed."""
    recorded(tmp_path, play)
    copies = ParquetCopies(tmp_path, pytest.fail)
    for _ in range(2):
        recorded(tmp_path, play)
        time.sleep(0.002)  # names have milliseconds
    before, closed, last = segments_in(tmp_path)
    copies.look()
    copies.look()  # one at a time: nothing new begins while a process works
    assert copies._child is not None
    copies._child.wait(20)
    copies.look()

    def copied(segment: Path) -> bool:
        name = segment.name.removesuffix(".jsonl.zst")
        return (tmp_path / f"{name}.rates.parquet").exists()

    assert [copied(each) for each in (before, closed, last)] == [False, True, False]
    told: list[str] = []
    copies.finish(told.append)
    assert [copied(each) for each in (before, closed, last)] == [False, True, True]
    assert told == ["Parquet: file 1 of 1"]
    copies.stop()


def test_what_cannot_be_copied_is_told(tmp_path: Path) -> None:
    """In one line, and the recording goes on."""
    before, told = signal.getsignal(signal.SIGTERM), list[str]()
    copies = ParquetCopies(tmp_path / "new", told.append)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / NAME).write_bytes(b"nothing")
    copies.finish(lambda line: None)
    (line,) = told
    assert line.startswith(f"No Parquet file of {NAME}: ")
    assert "has no recording" in line or "damaged" in line
    with pytest.raises(SystemExit, match=r"has no recording|is damaged"):
        main(str(tmp_path / "new" / NAME))
    signal.signal(signal.SIGTERM, before)


def test_a_process_that_copies_is_stopped(tmp_path: Path) -> None:
    """It leaves no half of a file."""
    recorded(tmp_path, play)
    copies = ParquetCopies(tmp_path / "none", pytest.fail)
    copies._begin(segments_in(tmp_path)[0])
    child = copies._child
    assert child is not None
    while child.poll() is None and not list(tmp_path.glob(".*.part")):
        time.sleep(0.001)
    copies.stop()
    copies.stop()
    assert child.returncode is not None
    assert not list(tmp_path.glob(".*.part"))
