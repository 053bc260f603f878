"""The files of a recording: when they end, what they are called, and which have to go."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import EToroError, MarketStream, clocks
from etoro_sync.recording.folder import segments_in
from etoro_sync.recording.segment import SegmentFile
from etoro_sync.recording.segments import find_segments, lines_of
from etoro_sync.recording.series import Limits, Removed, Series
from tests.recording.tools import details_of

HOUR = 3600.0
#: The beginning of an hour in UTC.
NOON = 1_790_006_400.0
NO_LIMITS = Limits(1 << 30, HOUR, None, None)


class WallClock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    made = WallClock(NOON + 0.5)
    monkeypatch.setattr(clocks, "wall_clock", made)
    return made


Make = Callable[..., Series]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Series] = []

    def make_series(folder: Path = tmp_path, **limits: Any) -> Series:
        made.append(Series(folder, Limits(**{**vars(NO_LIMITS), **limits})))
        return made[-1]

    yield make_series
    for each in made:
        each.close()


def line(text: str) -> str:
    return f'{{"at":1.0,"generation":1,"kind":"text","text":"{text}"}}\n'


def noise(number: int) -> str:
    """A line that cannot be compressed."""
    return line(os.urandom(number // 2).hex())


def test_a_segment_begins_with_a_header_and_ends_with_a_last_line(
    make: Make, clock: WallClock, tmp_path: Path
) -> None:
    """The header has versions and clocks, and no keys."""
    series = make()
    series.append([line("a"), line("b")])
    series.end_segment()
    (path,) = segments_in(tmp_path)
    assert path.name == "20260921T160000.500Z-000001.jsonl.zst"
    header, *texts, end = lines_of(path)
    assert (header.kind, header.at, end.kind) == ("header", clock.now, "end")
    assert set(details_of(header)) == {
        *("format", "library", "recording", "segment", "wall", "uptime"),
    }
    assert [each.text for each in texts] == ["a", "b"]


def test_a_segment_ends_by_size_or_by_the_clock_of_utc(make: Make, clock: WallClock) -> None:
    """Whichever comes first."""
    series = make(segment_bytes=1000)
    assert series.until_rotation() == HOUR - 0.5
    series.append([noise(2000)])
    assert series.until_rotation() == 0
    series.end_segment()
    assert series.until_rotation() == HOUR
    series.append([line("a")])
    clock.now = NOON + HOUR - 0.25
    assert series.until_rotation() == 0.25
    clock.now = NOON + HOUR
    assert series.until_rotation() == 0


def test_names_sort_in_order_whatever_the_clock_does(
    make: Make, clock: WallClock, tmp_path: Path
) -> None:
    """A clock that is set back an hour makes one segment end, and not one after the other."""
    series = make()
    for step in (-HOUR, -HOUR, 0.0, 3 * HOUR):
        series.end_segment()
        clock.now += step
        series.append([line("a")])
        assert series.until_rotation() > 0
    assert [header.number for header in find_segments(tmp_path)] == [1, 2, 3, 4, 5]
    assert [path.name[-17:-10] for path in segments_in(tmp_path)] == [
        f"-{number:06}" for number in range(1, 6)
    ]


def test_a_name_that_is_taken_is_passed_over(make: Make, clock: WallClock, tmp_path: Path) -> None:
    """Such as of a recording that began in the same millisecond; nothing is overwritten."""
    first = make()
    first.end_segment()
    first.close()
    (tmp_path / "20260921T160000.501Z-000001.jsonl.zst").mkdir()
    os.mkfifo(tmp_path / "20260921T160000.502Z-000001.jsonl.zst")
    make()
    assert len(find_segments(tmp_path)) == 2
    assert len(list(tmp_path.glob("*.zst"))) == 4


def test_only_so_many_closed_segments_are_kept(make: Make, tmp_path: Path) -> None:
    """The oldest go, of earlier recordings, too; files that are no segments stay."""
    foreign = tmp_path / "20200101T000000.000Z-000001.jsonl.zst.damaged"
    foreign.write_text("mine")
    (tmp_path / "20200101T000000.000Z-000001.jsonl.zst").mkdir()
    series = make(keep=2)
    for number in range(5):
        series.append([line(str(number))])
        series.end_segment()
    assert [header.number for header in find_segments(tmp_path)] == [3, 4, 5]
    series.close()
    other = make(keep=0)
    other.append([line("a")])
    assert [header.number for header in find_segments(tmp_path)] == [1]
    assert foreign.read_text() == "mine"


def test_all_segments_together_keep_to_the_budget(make: Make, tmp_path: Path) -> None:
    """While the present one grows, too, by no more than one frame."""
    series = make(disk_budget=20_000, segment_bytes=10_000)
    for _ in range(100):
        series.append([noise(1000)])
        if series.until_rotation() <= 0:
            series.end_segment()
        sizes = [path.stat().st_size for path in segments_in(tmp_path)]
        assert sum(sizes) < 20_000 + 1200
    assert sum(sizes) > 9_000


def test_old_segments_go_while_the_present_one_grows(make: Make, tmp_path: Path) -> None:
    """Not only when the next one begins."""
    series = make(disk_budget=20_000)
    for _ in range(2):
        series.append([noise(8000)])
        series.end_segment()
    first, _ = segments_in(tmp_path)
    while first.exists():
        series.append([noise(1000)])
        assert sum(path.stat().st_size for path in segments_in(tmp_path)) < 20_000 + 1200
    assert len(segments_in(tmp_path)) == 2


def test_a_budget_is_no_larger_than_two_segments(tmp_path: Path) -> None:
    """With the usual size of one there were nothing that could be removed."""
    stream = MarketStream(print)
    with stream.record(tmp_path, disk_budget=1000) as recorder:
        assert recorder._writer.series._limits.segment_bytes == 500


def test_old_segments_that_cannot_be_removed_are_logged_once_each_segment(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And nothing is lost."""
    series = make(disk_budget=10, segment_bytes=5)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    series.end_segment()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        for _ in range(3):
            series.append([line("a")])
    assert caplog.text.count("Permission denied") == 1


def test_a_file_that_was_removed_is_noticed(make: Make, tmp_path: Path) -> None:
    """What is appended to it nobody would find; the next one goes into a new file."""
    series = make()
    (path,) = segments_in(tmp_path)
    path.unlink()
    with pytest.raises(Removed, match=path.name):
        series.append([line("a")])
    series.append([line("b")])
    (header,) = find_segments(tmp_path)
    assert header.number == 2


def test_a_folder_that_was_removed_is_made_again(make: Make, tmp_path: Path) -> None:
    """With a new segment in it."""
    folder = tmp_path / "a" / "b"
    series = make(folder)
    for path in [*segments_in(folder), folder / ".lock"]:
        path.unlink()
    folder.rmdir()
    with pytest.raises(Removed):
        series.append([line("a")])
    series.append([line("b")])
    assert len(find_segments(folder)) == 1


def test_a_full_disk_leaves_whole_frames(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither half a frame nor a file without a header; nothing is counted that is not there."""
    series = make()
    series.append([line("a")])
    write, room = os.write, [10]

    def full(file: int, data: Any) -> int:
        part = bytes(data[: room[0]])
        room[0] -= len(part)
        if not part:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, part)

    for begun in (True, False):
        before = {path: path.read_bytes() for path in segments_in(tmp_path)}
        counted = series.bytes_written
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            for _ in range(3):
                room[0] = 10
                with pytest.raises(OSError, match="No space"):
                    series.append([noise(500)])
        assert {path: path.read_bytes() for path in segments_in(tmp_path)} == before
        assert series.bytes_written == counted
        if begun:
            series.end_segment()
    series.append([line("b")])
    texts = [each.text for h in find_segments(tmp_path) for each in lines_of(h.path)]
    assert [text for text in texts if text in "ab"] == ["a", "b"]


def test_a_last_line_that_does_not_fit_is_logged(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A reader takes the segment for one that was killed."""
    series = make()

    def full(self: SegmentFile, frame: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(SegmentFile, "append", full)
        series.end_segment()
    assert "has no last line: No space left" in caplog.text


def test_a_folder_has_one_series(make: Make, tmp_path: Path) -> None:
    """Within a process, too."""
    make()
    with pytest.raises(EToroError, match="Another recording"):
        Series(tmp_path, NO_LIMITS)
