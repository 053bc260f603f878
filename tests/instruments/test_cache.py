"""The file of what is known: shared by processes, and worth nothing when it is broken."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from etoro_sync.instruments.arguments import cache_path
from etoro_sync.instruments.cache import Cache, file_name
from etoro_sync.instruments.folders import cache_folder
from etoro_sync.instruments.instrument import Instrument
from etoro_sync.instruments.stored import Entry, Stored, _merge

ADDRESS = "https://example.invalid/base"
ONE = Instrument(1, "ABC", "One")
NOW = 1_800_000_000.0


def cache(path: Path | None, now: float = NOW) -> Cache:
    return Cache(path, ADDRESS, lambda: now)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "file.json"


def test_what_is_kept_is_read_by_others(path: Path) -> None:
    """With its time; the folder and the file are the user's own."""
    cache(path).keep([ONE], {"ABC": ONE})
    again = cache(path, NOW + 5)
    entry = again.of_symbol("ABC")
    assert entry == Entry(ONE, NOW)
    assert entry is not None
    assert (entry.instrument.symbol, entry.instrument.name) == ("ABC", "One")
    assert again.of_ids([1, 2]) == {1: Entry(ONE, NOW)}
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    if os.name == "posix":
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_file_all_stays_in_memory() -> None:
    """As for a user without a home."""
    mine = cache(None)
    mine.keep([ONE], {"ABC": ONE})
    assert mine.of_symbol("ABC") == Entry(ONE, NOW)
    assert cache(None).of_symbol("ABC") is None


@pytest.mark.parametrize(
    ("age", "fresh"), [(0, True), (24 * 3600 - 1, True), (24 * 3600, False), (-1, False)]
)
def test_an_entry_is_fresh_for_a_day(age: float, fresh: bool) -> None:
    """One from the future is of a clock that was set back."""
    assert cache(None).fresh(Entry(ONE, NOW - age)) is fresh
    assert cache(None).fresh(None) is False


@pytest.mark.parametrize(
    ("ages", "words"),
    [
        ([25 * 3600, 3600], "25 hours ago"),
        ([47 * 3600], "47 hours ago"),
        ([48 * 3600, 72 * 3600], "3 days ago"),
        ([-3600], "at an unknown time"),
        ([NOW, 3600], "at an unknown time"),
    ],
)
def test_it_says_how_old_an_entry_is(ages: list[float], words: str) -> None:
    """The oldest of several; after the clock was set back, nobody knows."""
    assert cache(None).age([Entry(ONE, NOW - age) for age in ages]) == words


def test_an_entry_from_the_future_is_an_old_one(path: Path) -> None:
    """It must not stand in the way of newer ones for ever."""
    cache(path, NOW + 10**9).keep([ONE], {"ABC": ONE})
    mine = cache(path)
    entry = mine.of_symbol("ABC")
    assert entry == Entry(ONE, 0.0)
    assert not mine.fresh(entry)
    mine.keep([ONE], {"ABC": ONE})
    assert mine.fresh(mine.of_symbol("ABC"))
    assert cache(path).of_symbol("ABC") == Entry(ONE, NOW)


BROKEN = {
    "empty": b"",
    "cut off": b'{"version":1,"address":"https://example.inv',
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "another version": b'{"version":2}',
    "another address": b'{"version":1,"address":"https://other.invalid","symbols":{},"ids":[]}',
    "odd parts": json.dumps({"version": 1, "address": ADDRESS, "symbols": [], "ids": {}}).encode(),
    "a number that is too long": b'{"version":' + b"1" * 5000 + b"}",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_replaced(
    content: bytes, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, without its content, and nobody is kept from working."""
    path.parent.mkdir()
    path.write_bytes(content)
    mine = cache(path)
    assert mine.of_symbol("ABC") is None
    assert mine.of_ids([1]) == {}
    (record,) = (each for each in caplog.records if each.levelno == logging.WARNING)
    assert f"The cache {path} is of no use" in record.getMessage()
    assert len(record.getMessage()) < 200 + len(str(path))
    mine.keep([ONE], {"ABC": ONE})
    assert cache(path).of_symbol("ABC") == Entry(ONE, NOW)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
@pytest.mark.parametrize("kind", ["pipe", "endless", "folder", "huge", "foreign"])
def test_what_is_no_file_of_this_user_is_not_read(
    kind: str, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would never end, or have everybody say which instrument a symbol is."""
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        path.touch()
        os.truncate(path, 10**10)
    else:
        cache(path).keep([ONE], {"ABC": ONE})
        owner = path.stat().st_uid
        if owner == 0:
            os.chown(path, 12345, -1)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert cache(path).of_symbol("ABC") is None
    words = {"huge": "it has 10000000000 B", "foreign": "it belongs to another user"}
    assert f"is of no use ({words.get(kind, 'it is no file')})" in caplog.text


def test_a_file_of_root_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that was made for all users of a machine."""
    cache(path).keep([ONE], {"ABC": ONE})
    monkeypatch.setattr(Path, "stat", lambda self: _of_root(os.stat(self)))
    assert cache(path).of_symbol("ABC") == Entry(ONE, NOW)


def _of_root(found: os.stat_result) -> os.stat_result:
    return os.stat_result((*found[:4], 0, *found[5:]))


@pytest.mark.parametrize(
    "row",
    [[1, "OTHER", "One", NOW], [1, "ABC", "\x1b[31mOne", NOW], [1, "", "One", NOW]],
    ids=["other symbol", "escape", "no symbol"],
)
def test_a_damaged_entry_leads_nowhere(row: list[Any]) -> None:
    """Never from a symbol to another instrument, nor to letters that a terminal obeys."""
    content = {"version": 1, "address": ADDRESS, "symbols": {"ABC": row}, "ids": []}
    assert Stored.of(json.dumps(content), ADDRESS, NOW).symbols == {}


def test_entries_that_cannot_be_read_are_left_out() -> None:
    """The others count."""
    bad: list[Any] = [
        *(None, [], [1, "A", "N"], ["1", "A", "N", 1], [True, "A", "N", 1], [0, "A", "N", 1]),
        *([1, "A", "N", "1"], [1, None, "N", 1], [1, "A", "N", float("nan")], [1, "A", "N", 1, 2]),
    ]
    content = {
        "version": 1,
        "address": ADDRESS,
        "symbols": {
            "ABC": ONE.id,
            "DEF": [7, "DEF", "", NOW],
            **{str(n): each for n, each in enumerate(bad)},
        },
        "ids": [*bad, [8, "GHI", "", NOW]],
    }
    read = Stored.of(json.dumps(content), ADDRESS, NOW)
    assert list(read.symbols) == ["DEF"]
    assert list(read.ids) == [8]


def test_a_file_that_cannot_be_written_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a home that is read-only, or where a file is in the way."""
    (tmp_path / "folder").write_text("a file")
    mine = cache(tmp_path / "folder" / "file.json")
    caplog.set_level(logging.DEBUG, "etoro_sync")
    mine.keep([ONE], {"ABC": ONE})
    assert mine.of_symbol("ABC") == Entry(ONE, NOW)
    assert {each.levelno for each in caplog.records} == {logging.DEBUG}


def test_a_path_that_cannot_be_is_done_without() -> None:
    """As one with a NUL in it."""
    mine = cache(Path("/some\0where/file.json"))
    mine.keep([ONE], {"ABC": ONE})
    assert mine.of_symbol("ABC") == Entry(ONE, NOW)


def test_a_write_that_fails_leaves_the_file_and_no_litter(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old file stays as it was."""
    cache(path).keep([ONE], {"ABC": ONE})
    before = path.read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    cache(path).keep([Instrument(2, "DEF")], {})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_what_another_process_has_written_is_found(path: Path) -> None:
    """Without a restart, when it is needed; and nothing of it is lost by the next write."""
    mine, other = cache(path), cache(path)
    mine.keep([ONE], {"ABC": ONE})
    two = Instrument(2, "DEF")
    other.keep([two], {"DEF": two})
    assert mine.of_symbol("DEF") == Entry(two, NOW)
    assert set(json.loads(path.read_text())["symbols"]) == {"ABC", "DEF"}


def test_what_another_process_was_told_later_counts(path: Path) -> None:
    """So that one that runs for days need not ask for what others have asked; nor is it undone."""
    mine = cache(path, NOW)
    mine.keep([ONE], {"ABC": ONE})
    renamed = Instrument(1, "ABC", "New")
    cache(path, NOW + 100_000).keep([renamed], {"ABC": renamed})
    mine._clock = lambda: NOW + 100_001
    entry = mine.of_symbol("ABC")
    assert entry == Entry(renamed, NOW + 100_000)
    assert entry is not None
    assert entry.instrument.name == "New"
    late = cache(path, NOW + 200_000)
    late.of_symbol("ABC")
    cache(path, NOW + 50_000).keep([ONE], {"ABC": ONE})
    assert late.of_ids([1])[1].instrument.name == "New"


_WRITER = """
import sys
from pathlib import Path
from etoro_sync.instruments.cache import Cache
from etoro_sync.instruments.instrument import Instrument
cache = Cache(Path(sys.argv[1]), sys.argv[2])
for number in range(1, 80):
    one = Instrument(int(sys.argv[3]) + number, f"S{sys.argv[3]}{number}", "N" * 100)
    cache.keep([one], {one.symbol: one})
    assert cache.of_symbol(one.symbol).instrument == one
"""


@pytest.mark.heavy
def test_two_processes_write_one_file(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody ever reads half of it, and at the end it has at least all of one of them."""
    arguments = [sys.executable, "-c", _WRITER, str(path), ADDRESS]
    writers = [subprocess.Popen([*arguments, start]) for start in ("1000", "2000")]
    reads = 0
    while any(each.poll() is None for each in writers):
        cache(path).of_symbol("never")
        reads += 1
    assert [each.returncode for each in writers] == [0, 0]
    assert reads > 3
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(Stored.of(path.read_text(), ADDRESS, 2 * NOW).symbols) >= 79
    assert list(path.parent.iterdir()) == [path]


def test_the_file_has_a_bound() -> None:
    """The oldest entries go."""
    entries = {number: Entry(Instrument(number + 1), float(number)) for number in range(50_010)}
    kept: dict[Any, Entry] = {}
    _merge(kept, entries)
    assert len(kept) == 50_000
    assert min(kept) == 10


def test_the_memory_has_the_same_bound() -> None:
    """Whatever a server says that there is."""
    mine = cache(None)
    mine.keep([ONE], {"ABC": ONE})
    for start in (2, 40_002):
        many = [Instrument(number) for number in range(start, start + 40_000)]
        mine.keep(many, {f"S{each}": each for each in many})
    assert len(mine._stored.ids) == len(mine._stored.symbols) == 50_000


def test_each_address_has_a_file_of_its_own() -> None:
    """Ids of a simulator are nobody else's."""
    names = {file_name(each) for each in ("https://a.b", "https://a.b:444", "http://127.0.0.1:1")}
    assert len(names) == 3
    assert file_name("https://public-api.etoro.com").startswith("instruments-public-api.etoro.com-")
    assert "/" not in file_name("http://[::1]:80/a/b")
    assert ":" not in file_name("http://[::1]:80/a/b")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="has other customs")
def test_the_folder_is_where_the_system_has_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is ignored, as the specification wants; without a home there is none."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/where")
    assert cache_folder() == Path("/some/where/etoro-sync")
    monkeypatch.setenv("XDG_CACHE_HOME", "some/where")
    monkeypatch.setenv("HOME", "/the/home")
    assert cache_folder() == Path("/the/home/.cache/etoro-sync")

    def nobody(cls: type[Path]) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(nobody))
    assert cache_folder() is None


@pytest.mark.parametrize(
    ("platform", "given", "folder"),
    [
        ("win32", "/given", "/given/etoro-sync"),
        ("win32", "", "/home/AppData/Local/etoro-sync"),
        ("darwin", "/given", "/home/Library/Caches/etoro-sync"),
        ("linux", "/given", "/home/.cache/etoro-sync"),
    ],
)
def test_each_system_has_its_own_folder(
    platform: str, given: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows says which, and macOS has one."""
    monkeypatch.setattr("etoro_sync.instruments.folders.sys.platform", platform)
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: Path("/home")))
    monkeypatch.setenv("LOCALAPPDATA", given)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path(folder)
    if platform == "darwin":
        monkeypatch.setenv("XDG_CACHE_HOME", "/some/where")
        assert cache_folder() == Path(folder)


def test_a_simulator_leaves_no_file_behind(tmp_path: Path) -> None:
    """Each run has another address; unless a folder is named."""
    local = "http://127.0.0.1:8765"
    assert cache_path(None, local) is None
    assert cache_path(None, ADDRESS) == Path(str(cache_folder()), file_name(ADDRESS))
    assert cache_path(tmp_path, local) == tmp_path / file_name(local)
    assert cache_path("", ADDRESS) is None
