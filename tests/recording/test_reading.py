"""What a reader makes of files: torn, damaged, joined, renamed, missing, hostile, growing."""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import EToroError, Feed, MarketStream
from etoro_sync.recording import frames, writer
from etoro_sync.recording.folder import segments_in
from etoro_sync.recording.frames import whole_frames
from etoro_sync.recording.lines import Entry, encode_line
from etoro_sync.recording.segments import entries_of, find_segments, lines_of, read_header
from etoro_sync.recording.zstd import load_zstd
from tests.recording.tools import quote, record_texts, texts_of
from tests.support.amounts import amount

TEXTS = [quote(18, number) for number in range(1, 13)]


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with twelve texts in four segments of three frames with one text each."""
    monkeypatch.setattr(writer, "FRAME_BYTES", 1)
    folder = tmp_path / "recording"

    def write(feed: Feed) -> None:
        for number, text in enumerate(TEXTS):
            feed.texts([text], 1.79e9 + number)
            if number % 3 == 2:
                # What the writer does when a segment has to end.
                recorder._writer._write(*recorder._intake.take(cut=True))
                recorder._writer.series.end_segment()

    stream = MarketStream(write)
    with monkeypatch.context() as patch:
        patch.setattr(writer.Writer, "_write_all", lambda self: self._stopping.wait())
        with stream.record(folder) as recorder, stream:
            stream.run_forever()
            recorder._writer._write(*recorder._intake.take())
    assert len(find_segments(folder)) == 4
    return folder


def entries(path: Path) -> list[Entry]:
    return list(entries_of(find_segments(path)))


def story(path: Path) -> list[str]:
    """What a replay gets: the numbers of the texts, and what else."""
    found = []
    for entry in entries(path):
        if entry.kind == "texts":
            found += [str(TEXTS.index(text) + 1) for text in entry.details[1]]
        elif entry.kind in ("state", "hole"):
            found.append(entry.kind)
    return found


def compressed(*lines: str) -> bytes:
    packed: bytes = load_zstd().compress("".join(lines).encode())
    return packed


def header(**fields: Any) -> str:
    details = {"format": 1, "library": "0", "recording": "r", "segment": 1, "wall": 1.0}
    return encode_line("header", 1.0, 0, {**details, **fields})


NUMBERS = [str(number) for number in range(1, 13)]


def test_several_segments_are_one_stream(recorded: Path) -> None:
    """Whose state is read once; the states at the beginnings of the others are known."""
    assert story(recorded) == ["state", *NUMBERS]


@pytest.mark.parametrize("first", range(4))
def test_a_reader_begins_with_any_segment(recorded: Path, first: int) -> None:
    """With a file, too."""
    for path in segments_in(recorded)[:first]:
        path.unlink()
    assert story(recorded) == ["state", *NUMBERS[3 * first :]]
    assert story(segments_in(recorded)[0]) == ["state", *NUMBERS[3 * first : 3 * first + 3]]


def test_what_is_missing_in_the_middle_is_a_hole(recorded: Path) -> None:
    """From the last line before it on, and with the state behind it."""
    segments_in(recorded)[1].unlink()
    assert story(recorded) == ["state", *NUMBERS[:3], "hole", "state", *NUMBERS[6:]]
    (hole,) = [entry for entry in entries(recorded) if entry.kind == "hole"]
    assert hole.details == (1.79e9 + 2, 1.79e9 + 6)


def test_a_torn_end_is_a_hole_only_where_something_follows(recorded: Path) -> None:
    """The whole frames before it are read."""
    files = segments_in(recorded)
    for path in (files[1], files[3]):
        whole = [frame.end for frame in whole_frames(path)]
        os.truncate(path, whole[-2] - 1)
    assert story(recorded) == [
        *("state", *NUMBERS[:5], "hole", "state", *NUMBERS[6:9], "10", "11"),
    ]


def test_copies_and_new_names_change_nothing(recorded: Path) -> None:
    """Segments are told by their headers."""
    files = segments_in(recorded)
    copy = recorded / "20990101T000000.000Z-000001.jsonl.zst"
    copy.write_bytes(files[1].read_bytes())
    files[3].rename(recorded / "20000101T000000.000Z-000009.jsonl.zst")
    assert story(recorded) == ["state", *NUMBERS]


def test_joined_files_are_read_as_they_were(recorded: Path, tmp_path: Path) -> None:
    """As by ``cat``: headers in the middle say whether something is missing."""
    files = segments_in(recorded)
    joined = tmp_path / "joined.zst"
    joined.write_bytes(b"".join(path.read_bytes() for path in files))
    assert story(joined) == ["state", *NUMBERS]
    joined.write_bytes(files[0].read_bytes() + files[2].read_bytes())
    assert story(joined) == ["state", *NUMBERS[:3], "hole", "state", *NUMBERS[6:9]]
    other = compressed(header(format=2))
    joined.write_bytes(files[0].read_bytes() + other)
    with pytest.raises(EToroError, match="has version 2"):
        story(joined)


def test_two_recordings_of_a_folder_have_a_hole_between_them(recorded: Path) -> None:
    """And the second begins with its own state."""
    record_texts(recorded, TEXTS[:1])
    kinds = story(recorded)
    assert kinds[:13] == ["state", *NUMBERS]
    assert kinds[13:15] == ["hole", "state"]
    assert kinds[-1] == "1"


def test_a_file_that_grows_is_read_as_it_is(recorded: Path) -> None:
    """The frame that is being written now is not damage."""
    path = segments_in(recorded)[3]
    whole = path.read_bytes()
    ends = [frame.end for frame in whole_frames(path)]
    path.write_bytes(whole[: ends[1] + 5])
    read = whole_frames(path)
    assert next(read).end == ends[0]
    path.write_bytes(whole)
    assert [frame.end for frame in read] == ends[1:3]


def test_texts_whose_state_is_not_known_are_left_out(tmp_path: Path) -> None:
    """Deltas of nothing; a hole is shown, and the next state is taken."""
    path = tmp_path / "a.zst"
    full, cut = (
        encode_line("keyframe", 2.0, 1, {**STATE, "instruments": number}) for number in (0, 3)
    )
    texts = [encode_line("text", 1.0, 1, None).replace('"null"', json.dumps(t)) for t in TEXTS]
    path.write_bytes(compressed(header(), texts[0], full, texts[1], cut, texts[2], full, texts[3]))
    assert story(path) == ["state", "2", "hole", "state", "4"]


STATE = {"awaited": [], "unsubscribed": [], "instruments": 0, "latest": 0}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "has no recording"),
        (b"\x28\xb5\x2f\xfd", "has no recording"),
        (b"nonsense", "has no recording"),
        (compressed(), "is not of a recording"),
        (compressed("{}\n"), "is not of a recording"),
        (compressed(encode_line("end", 1.0, 0, {})), "does not begin with the header"),
        (compressed(header(format=2)), "has version 2 of the format, and this library .older"),
        (compressed(header(format=0)), "has version 0 of the format, and this library .newer"),
        (compressed(header(format=True)), "has version True"),
        (compressed(header(format="x" * 10_000)), "has version 'xxx"),
        (compressed(header(format=None)), "has version None"),
        (compressed(header(segment=1e30)), "header of .* is not valid"),
        (compressed(header(segment="1")), "header of .* is not valid"),
        (compressed(header(wall="1e400")), "header of .* is not valid"),
        (compressed(header(wall=None)), "header of .* is not valid"),
        (compressed(header(recording=[])), "header of .* is not valid"),
    ],
)
def test_what_is_no_recording_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    """With its name, and it is left as it is."""
    path = tmp_path / "20260101T000000.000Z-000001.jsonl.zst"
    path.write_bytes(content)
    for where in (path, tmp_path):
        with pytest.raises(EToroError, match=problem) as caught:
            find_segments(where)
        assert str(where) in str(caught.value)
        assert len(str(caught.value)) < 600
    assert path.read_bytes() == content


def test_what_is_no_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """A reader of a pipe would wait for ever."""
    pipe, nobody = tmp_path / "pipe", tmp_path / "nothing"
    os.mkfifo(pipe)
    with pytest.raises(EToroError, match="is neither a file nor a folder"):
        find_segments(pipe)
    with pytest.raises(EToroError, match="does not exist"):
        find_segments(nobody)
    with pytest.raises(EToroError, match="does not exist"):
        find_segments(Path("a\0\x1b[31m"))
    with pytest.raises(EToroError, match="has no recording"):
        find_segments(tmp_path)
    os.mkfifo(tmp_path / "20260101T000000.000Z-000001.jsonl.zst")
    (tmp_path / "20260101T000000.000Z-000002.jsonl.zst").mkdir()
    with pytest.raises(EToroError, match="has no recording"):
        find_segments(tmp_path)


def bomb(length: int) -> bytes:
    packer = load_zstd().ZstdCompressor()
    parts = [packer.compress(b"\n" * (1 << 20)) for _ in range(length >> 20)]
    return b"".join([*parts, packer.flush()])


def test_a_bomb_is_refused_with_little_memory(recorded: Path, tmp_path: Path) -> None:
    """A few kilobytes that become gigabytes, and a frame of millions of lines."""
    first = segments_in(recorded)[0].read_bytes()
    path = tmp_path / "bomb.zst"
    path.write_bytes(first + bomb(1 << 30) + first)
    with pytest.raises(EToroError, match="a frame is longer than any"):
        list(lines_of(path))
    path.write_bytes(first + bomb(64 << 20) + first)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(EToroError, match="is no line"):
        list(lines_of(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


def test_a_frame_is_never_longer_than_a_reader_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest text, of characters that need the most room, can be read back."""
    monkeypatch.setattr(frames, "_MOST_BYTES", 128 << 20)
    text = "\0" * (16 << 20)
    record_texts(tmp_path, [text, "after"])
    assert texts_of(tmp_path) == [text, "after"]


Attack = Callable[[bytes, random.Random], bytes]


def flip(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def cut_out(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + data[start + chance.randrange(1, 60) :]


@pytest.mark.long_form
@pytest.mark.timeout(300)
@pytest.mark.parametrize("attack", [flip, cut, cut_out])
def test_damage_is_an_error_or_the_readable_part(recorded: Path, attack: Attack) -> None:
    """Never another exception, and never a text that was not there, or in another order."""
    files = segments_in(recorded)
    whole = {path: path.read_bytes() for path in files}
    chance = random.Random(attack.__name__)
    errors: list[str] = []
    for _ in range(amount(150, 5000)):
        path = chance.choice(files)
        path.write_bytes(attack(whole[path], chance))
        try:
            found = story(recorded)
        except EToroError as exc:
            errors.append(str(exc))
        else:
            numbers = [word for word in found if word.isdigit()]
            assert numbers == sorted(set(numbers), key=int)
            _check_holes(found)
        path.write_bytes(whole[path])
    assert all(".jsonl.zst" in error for error in errors)


def _check_holes(found: list[str]) -> None:
    """Whatever is missing in the middle, a hole and a state stand there."""
    for one, two in itertools.pairwise(found):
        if one.isdigit() and two.isdigit():
            assert int(two) == int(one) + 1, found
        if one == "hole":
            assert two == "state", found


def test_a_header_of_a_killed_process_is_none(recorded: Path) -> None:
    """Its segment is passed over."""
    path = recorded / "20990101T000000.000Z-000001.jsonl.zst"
    path.write_bytes(b"\x28\xb5")
    assert read_header(path) is None
    assert story(recorded) == ["state", *NUMBERS]
