"""A disk that takes nothing for a while: the stream goes on, and what is missing is marked."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import EToroError, WsClient
from etoro_sync.recording import writer
from etoro_sync.simulator import EToroSimulator
from tests.conftest import MakeClient, MakeSimulator
from tests.recording.test_recorder import until
from tests.recording.tools import all_lines, details_of, quote, replayed, texts_of
from tests.support.disks import fill, small_disk

pytestmark = pytest.mark.heavy

Write = Callable[[int, Any], int]


class Live:
    """A client whose server sends what a test says: unlike other sources, it cannot wait."""

    def __init__(self, sim: EToroSimulator, client: WsClient) -> None:
        self._sim = sim
        self.stream = client
        self._rates = client.queue("instrument:rate")
        client.connect()
        client.subscribe([18])

    def send(self, text: str) -> None:
        """Return once its rate has come."""
        self._sim.send_text(text)
        self._rates.get(timeout=10)


@pytest.fixture
def tap(simulator: MakeSimulator, client: MakeClient) -> Live:
    sim = simulator(instruments=[18])
    return Live(sim, client(sim.url))


class Disk:
    """Takes nothing while it is full.

    :ivar refused: how many writes it has not taken
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.refused = 0
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(writer, "_RETRY_SECONDS", 0.05)

    def write(self, file: int, data: Any) -> int:
        if self.full and sys._getframe(1).f_globals["__name__"].startswith("etoro_sync.recording"):
            self.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._write(file, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


def test_a_full_disk_is_one_error_and_a_hole(
    tap: Live, tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """What fits into the buffer is not lost; what does not is marked, counted, and a gap."""
    texts = [quote(18, number, Date="x" * 1000) for number in range(220)]
    with tap.stream.record(tmp_path, buffer_bytes=1 << 16) as recorder:
        tap.send(texts[0])
        until(lambda: recorder.stats().written == 1)
        disk.full = True
        for text in texts[1:200]:
            tap.send(text)
        until(lambda: disk.refused > 3)
        stats = recorder.stats()
        assert stats.failure == "No space left on device"
        assert stats.refused > 100
        assert stats.written + stats.refused + stats.waiting == stats.received == 200
        disk.full = False
        until(lambda: not recorder.stats().waiting)
        assert recorder.stats().failure is None
        for text in texts[200:]:
            tap.send(text)
        until(lambda: not recorder.stats().waiting)
    stats = recorder.stats()
    assert stats.written + stats.refused == stats.received == 220
    assert len(errors(caplog)) == 1
    assert "pauses: No space left on device" in errors(caplog)[0]
    assert "goes on" in caplog.text
    found = texts_of(tmp_path)
    assert found == [text for text in texts if text in set(found)]
    assert len(found) == stats.written
    (hole,) = [line for line in all_lines(tmp_path) if line.kind == "hole"]
    assert details_of(hole)["texts"] == stats.refused
    events, rates = replayed(tmp_path)
    assert [event for event, *_ in events].count("reconnected") == 1
    assert rates[18]["bid"] == 219.25


def test_a_disk_that_is_full_at_the_beginning_is_refused(
    tap: Live, tmp_path: Path, disk: Disk
) -> None:
    """And no file is left that no reader could read."""
    disk.full = True
    with pytest.raises(EToroError, match="cannot be written: No space left on device"):
        tap.stream.record(tmp_path)
    assert list(tmp_path.glob("*.zst")) == []
    disk.full = False
    with tap.stream.record(tmp_path):
        pass


def test_a_disk_that_is_full_at_the_end_does_not_hold_the_program(
    tap: Live, tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be written is counted as refused, and logged with the reason."""
    recorder = tap.stream.record(tmp_path)
    tap.send(quote(18, 1))
    until(lambda: recorder.stats().written == 1)
    disk.full = True
    tap.send(quote(18, 2))
    began = time.monotonic()
    recorder.close()
    assert time.monotonic() - began < 5
    stats = recorder.stats()
    assert (stats.written, stats.refused, stats.waiting) == (1, 1, 0)
    assert "ended before 1 texts were written, because of" in caplog.text
    assert "No space left" in errors(caplog)[-1]
    disk.full = False
    assert texts_of(tmp_path) == [quote(18, 1)]


@pytest.mark.parametrize("what", ["segment", "folder"])
def test_what_was_removed_is_one_error_and_a_hole(
    tap: Live, tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    """A new segment begins with the state that was lost with the old one."""
    folder = tmp_path / "recording"
    with tap.stream.record(folder) as recorder:
        tap.send(quote(18, 1))
        until(lambda: recorder.stats().written == 1)
        shutil.rmtree(folder) if what == "folder" else [p.unlink() for p in folder.glob("*.zst")]
        tap.send(quote(18, 2))
        until(lambda: recorder.stats().refused == 1)
        tap.send(quote(18, 3, Ask=None))
    assert len(errors(caplog)) == 1
    assert "was removed while it was written" in errors(caplog)[0]
    assert texts_of(folder) == [quote(18, 3, Ask=None)]
    _, rates = replayed(folder)
    assert (rates[18]["bid"], rates[18]["ask"]) == (3.25, 2.5)


def test_what_cannot_be_encoded_is_one_error_and_a_hole(
    tap: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The recording goes on behind it."""
    with tap.stream.record(tmp_path) as recorder:

        def refuse(text: str) -> str:
            if r"\"2.5\"" in text:
                raise MemoryError
            return text

        monkeypatch.setattr(recorder._writer, "_redact", refuse)
        for number in range(1, 3):
            tap.send(quote(18, number))
            until(lambda: not recorder.stats().waiting)
        # The lost price stands in the state as a number.
        tap.send(quote(18, 3))
    assert len(errors(caplog)) == 1
    assert "cannot be written: MemoryError" in errors(caplog)[0]
    assert texts_of(tmp_path) == [quote(18, 1), quote(18, 3)]
    stats = recorder.stats()
    assert (stats.written, stats.refused) == (2, 1)


def test_a_real_disk_that_is_full(
    tap: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The same with the system's own refusals, until somebody makes room."""
    monkeypatch.setattr(writer, "_RETRY_SECONDS", 0.05)
    with small_disk(tmp_path / "disk") as disk:
        _fill_and_make_room(tap, disk, caplog)


def _fill_and_make_room(tap: Live, small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    with tap.stream.record(small_disk / "recording", buffer_bytes=1 << 16) as recorder:
        tap.send(quote(18, 0))
        until(lambda: recorder.stats().written == 1)
        filler = small_disk / "filler"
        fill(filler)
        number = 0
        while recorder.stats().failure is None or recorder.stats().refused < 10:
            number += 1
            tap.send(quote(18, number, Date=os.urandom(500).hex()))
        filler.unlink()
        until(lambda: not recorder.stats().waiting)
        tap.send(quote(18, number + 1))
    stats = recorder.stats()
    assert stats.written + stats.refused == stats.received == number + 2
    assert len(errors(caplog)) == 1
    assert "No space left" in errors(caplog)[0]
    assert len(texts_of(small_disk / "recording")) == stats.written
    events, rates = replayed(small_disk / "recording")
    assert [event for event, *_ in events].count("reconnected") >= 1
    assert rates[18]["bid"] == number + 1.25
