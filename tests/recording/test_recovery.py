"""Torn and damaged segments are repaired, and nothing that can be read is lost."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import pytest

from etoro_sync import EToroError, EToroValidationError, Recording, recover
from etoro_sync.recording.frames import TORN, read_frames
from etoro_sync.recording.lines import encode_line
from etoro_sync.recording.lock import FolderLock
from tests.support.recordings import (
    BEGIN,
    NAME,
    end,
    hole_free,
    price,
    text_line,
    write_segment,
)


def bids(path: Path) -> list[float]:
    return [rate.bid for rate in Recording(path).items()]


def texts(path: Path) -> list[str]:
    return [text.text for text in Recording(path).items("texts")]


def sent(number: int) -> list[str]:
    """A price of both sides each second."""
    return [price(18, Bid=str(10 + n), Ask=str(20 + n)) for n in range(number)]


def segment(path: Path, number: int = 6, closed: bool = True) -> list[int]:
    lines = [text_line(BEGIN + n, text) for n, text in enumerate(sent(number))]
    return write_segment(path, hole_free([*lines, *[end(BEGIN + number)] * closed]))


def damage(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def test_a_whole_segment_stays_as_it_is(tmp_path: Path) -> None:
    """Not a byte changes, and nothing lies beside it."""
    segment(tmp_path / NAME)
    before = (tmp_path / NAME).read_bytes()
    (done,) = recover(tmp_path)
    assert str(done) == f"{NAME}: whole"
    assert (done.cut, done.original, done.failure) == (0, None, "")
    assert (tmp_path / NAME).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_torn_end_is_cut(tmp_path: Path) -> None:
    """What a killed process leaves goes; all whole frames stay, and other programs read them."""
    path = tmp_path / NAME
    ends = segment(path)
    path.write_bytes(path.read_bytes()[: ends[5] + 11])
    (done,) = recover(tmp_path)
    assert (done.cut, done.saved, done.original, done.holes) == (11, 0, None, ())
    assert str(done) == f"{NAME}: a torn end of 11 bytes is cut, 0 lines of it kept"
    assert texts(path) == sent(4)
    assert {each.name for each in tmp_path.iterdir()} == {NAME, ".lock"}
    assert recover(path)[0].cut == 0


def test_whole_lines_of_a_torn_frame_are_kept(tmp_path: Path) -> None:
    """A frame has many lines, and most of them are on the disk when a kill tears it."""
    path = tmp_path / NAME
    chance = random.Random(1)
    long = [price(18, Bid=str(chance.random()), Ask="2") for _ in range(20_000)]
    lines = [text_line(BEGIN + n, text) for n, text in enumerate(long)]
    *_, before, _ = write_segment(path, [*hole_free([]), lines])
    whole = path.read_bytes()
    path.write_bytes(whole[: before + (len(whole) - before) // 2])
    assert texts(path) == []
    (done,) = recover(path)
    kept = texts(path)
    assert len(kept) == done.saved > 1000
    assert kept == long[: len(kept)]


@pytest.mark.parametrize("frame", [3, 5])
def test_a_hole_in_the_middle_costs_its_frame_only(tmp_path: Path, frame: int) -> None:
    """All frames before and behind it are read, the hole is told, and the original is kept."""
    path = tmp_path / NAME
    ends = segment(path)
    damage(path, (ends[frame - 1] + ends[frame]) // 2)
    before = path.read_bytes()
    with pytest.raises(EToroError, match="etoro-sync recover"):
        texts(path)
    (done,) = recover(tmp_path)
    lost = frame - 2
    assert done.unreadable == ends[frame] - ends[frame - 1]
    assert done.holes == ((BEGIN + lost - 1, BEGIN + lost + 1),)
    assert done.original is not None
    assert done.original.read_bytes() == before
    assert "1 place" in str(done)
    assert done.original.name in str(done)
    assert texts(path) == sent(6)[:lost] + sent(6)[lost + 1 :]
    (gap,) = Recording(tmp_path).items("gaps")
    assert (gap.from_, gap.until) == done.holes[0]
    assert str(recover(tmp_path)[0]) == f"{NAME}: whole"


def test_a_damaged_length_hides_no_frames(tmp_path: Path) -> None:
    """Wherever a frame is damaged, those behind it are found."""
    path = tmp_path / NAME
    ends = segment(path)
    whole = path.read_bytes()
    for at in [*range(ends[2], ends[2] + 16), ends[3] - 5, ends[3] - 1]:
        path.write_bytes(whole)
        damage(path, at)
        with pytest.raises(EToroError, match="is damaged at byte"):
            texts(path)
        recover(path)
        assert texts(path) == [text for n, text in enumerate(sent(6)) if n != 1], at


def test_a_frame_that_looks_longer_than_the_file_is_no_torn_end(tmp_path: Path) -> None:
    """Damage to the length of a block makes it so; the frames behind it are found all the same."""
    path = tmp_path / NAME
    chance = random.Random(1)
    long = [price(18, Bid=str(chance.random()), Ask="2") for _ in range(400)]
    frames = [*hole_free([]), [text_line(BEGIN, text) for text in long]]
    write_segment(path, [*frames, *[[text_line(BEGIN + 1, text)] for text in sent(3)]])
    start = [frame.start for frame in read_frames(path)][2]
    whole, found = path.read_bytes(), 0
    for at, bit in itertools.product(range(start + 4, start + 16), range(8)):
        data = bytearray(whole)
        data[at] ^= 1 << bit
        path.write_bytes(data)
        if [frame.problem for frame in read_frames(path)][2] == TORN:
            found += 1
            assert len(list(read_frames(path))) == 6
            with pytest.raises(EToroError, match="is damaged at byte"):
                texts(path)
    assert found
    (done,) = recover(path)
    assert (done.cut, len(done.holes)) == (0, 1)
    assert texts(path) == sent(3)


def test_nothing_before_a_hole_is_merged_with_what_is_behind(tmp_path: Path) -> None:
    """The other side of a price may have changed in it."""
    path = tmp_path / NAME
    both, ask = sent(1)[0], price(18, Ask="30")
    last = price(18, Bid="29")
    lines = [text_line(BEGIN + n, text) for n, text in enumerate([both, both, ask, last])]
    ends = write_segment(path, hole_free([*lines, end(BEGIN + 9)]))
    damage(path, ends[2] + 20)
    recover(path)
    rates = [(rate.bid, rate.ask) for rate in Recording(path).items()]
    assert rates == [(10.0, 20.0), (29.0, 30.0)]


def test_behind_a_hole_the_next_segment_begins_with_its_own_state(tmp_path: Path) -> None:
    """It is richer than what was merged since the hole."""
    path = tmp_path / NAME
    ends = segment(path, 3)
    damage(path, ends[2] + 20)
    state = {"ask": 8.0, "bid": 7.0, "instrument_id": 5}
    head = {"awaited": [], "unsubscribed": [], "instruments": 1, "latest": 1}
    five = {"topic": "instrument:5", "flags": ["shown", "settled"], "state": state}
    first, _, *rest = hole_free([text_line(BEGIN + 10, price(5, Bid="7.5"))], 2)
    keyframe = [
        encode_line("keyframe", BEGIN + 9, 1, head),
        encode_line("instrument", BEGIN + 9, 1, five),
        encode_line("latest", BEGIN + 9, 1, {"instrument_id": 5}),
    ]
    write_segment(tmp_path / NAME.replace("T2213", "T2214"), [first, keyframe, *rest])
    recover(tmp_path)
    *_, rate = Recording(tmp_path).items()
    assert (rate.bid, rate.ask) == (7.5, 8.0)


def test_a_lost_header_is_written_anew(tmp_path: Path) -> None:
    """Its name says what a reader has to know."""
    path = tmp_path / NAME
    segment(path)
    damage(path, 20)
    (done,) = recover(path)
    assert done.holes == ((BEGIN, BEGIN),)
    assert texts(path) == sent(6)
    assert bids(path) == [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]


def test_half_a_state_is_left_out(tmp_path: Path) -> None:
    """A reader would refuse it, and the rest of the file with it."""
    path = tmp_path / NAME
    first, _, *rest = hole_free([text_line(BEGIN + 5, sent(1)[0])])
    head = {"awaited": [], "unsubscribed": [], "instruments": 2, "latest": 0}
    one = {"topic": "instrument:5", "flags": [], "state": {"ask": 8.0}}
    keyframe = [
        [encode_line("keyframe", BEGIN, 1, head), encode_line("instrument", BEGIN, 1, one)],
        [encode_line("instrument", BEGIN, 1, {**one, "topic": "instrument:6"})],
    ]
    ends = write_segment(path, [first, *keyframe, *rest])
    damage(path, ends[1] + 20)
    recover(path)
    assert bids(path) == [10.0]


def test_several_neighbours_are_one_hole(tmp_path: Path) -> None:
    """What cannot be read may be cut at any place, since the magic number may stand in it."""
    path = tmp_path / NAME
    ends = segment(path)
    damage(path, ends[2] + 20)
    damage(path, ends[3] + 20)
    (done,) = recover(path)
    assert done.holes == ((BEGIN, BEGIN + 3),)


def test_a_damaged_end_is_a_hole_and_no_torn_end(tmp_path: Path) -> None:
    """Its checksum says that bytes have changed; then no line of it can be trusted."""
    path = tmp_path / NAME
    ends = segment(path, 3, closed=False)
    damage(path, ends[-2] + 20)
    (done,) = recover(path)
    assert done.holes == ((BEGIN + 1, BEGIN + 1),)
    assert done.original is not None
    assert texts(path) == sent(3)[:2]


def test_lines_that_are_none_are_a_hole(tmp_path: Path) -> None:
    """A frame may be whole, and have anything in it."""
    path = tmp_path / NAME
    lines = [text_line(BEGIN, sent(1)[0]), "nonsense\n", text_line(BEGIN + 2, sent(1)[0])]
    write_segment(path, hole_free(lines))
    assert len(recover(path)[0].holes) == 1
    assert len(texts(path)) == 2


@pytest.mark.parametrize("data", [b"", b"\x28\xb5\x2f\xfd"])
def test_a_segment_without_a_frame_is_left(tmp_path: Path, data: bytes) -> None:
    """A process that was killed at once leaves it, and readers skip it."""
    (tmp_path / NAME).write_bytes(data)
    (done,) = recover(tmp_path)
    assert done.empty
    assert str(done) == f"{NAME}: nothing was written into it"


def test_a_file_of_which_nothing_can_be_read_is_left(tmp_path: Path) -> None:
    """It is told, and not touched."""
    (tmp_path / NAME).write_bytes(b"x" * 100)
    (done,) = recover(tmp_path)
    assert "nothing in it can be read" in done.failure
    assert str(done).startswith(f"{NAME}: nothing in it")
    assert (tmp_path / NAME).read_bytes() == b"x" * 100


def test_an_original_of_before_is_not_overwritten(tmp_path: Path) -> None:
    """Each has a name of its own."""
    path = tmp_path / NAME
    ends = segment(path)
    whole = path.read_bytes()
    for number in (1, 2):
        path.write_bytes(whole)
        damage(path, ends[2] + 20)
        assert recover(path)[0].original is not None
        assert len(list(tmp_path.glob("*.damaged*"))) == number


def test_a_folder_that_is_written_is_left_alone(tmp_path: Path) -> None:
    """The end of its last segment only looks torn."""
    segment(tmp_path / NAME)
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:-5])
    lock = FolderLock(tmp_path)
    try:
        with pytest.raises(EToroError, match="Another recording writes to"):
            recover(tmp_path)
    finally:
        lock.release()


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    """With what is wrong."""
    with pytest.raises(EToroError, match="does not exist"):
        recover(tmp_path / "nothing")
    with pytest.raises(EToroError, match="has no recording"):
        recover(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(EToroError, match="is neither a file nor a folder"):
            recover(tmp_path / "pipe")
    with pytest.raises(EToroValidationError, match="path must be a path"):
        recover(7)  # type: ignore[arg-type]
    other = tmp_path / NAME
    write_segment(other, [[text_line(BEGIN, "x")], ["broken"]])
    with pytest.raises(EToroError, match="does not begin with the header"):
        recover(other)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    """No traceback of the system's."""
    segment(tmp_path / NAME)
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:-5])
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(EToroError, match="cannot be repaired"):
            recover(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repaired one takes its place when it is complete, and not before."""
    path = tmp_path / NAME
    ends = segment(path)
    path.write_bytes(path.read_bytes()[: ends[4] + 5])
    before = path.read_bytes()

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EToroError, match="No space left on device"):
        recover(path)
    assert path.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {NAME, ".lock"}


def test_every_cut_of_a_file_is_repaired(tmp_path: Path) -> None:
    """Wherever a kill tears it, what is whole stays, and a second repair finds nothing to do."""
    path = tmp_path / NAME
    ends = segment(path, 3)
    whole = path.read_bytes()
    for size in range(ends[0], len(whole)):
        path.write_bytes(whole[:size])
        (done,) = recover(path)
        frames = sum(size >= one for one in ends)
        assert done.cut == size - ends[frames - 1]
        assert not any(frame.problem for frame in read_frames(path))
        kept = texts(path)
        assert kept == sent(3)[: len(kept)]
        # A frame that lacks only its checksum has its line.
        assert len(kept) - max(frames - 2, 0) in (0, done.saved)
