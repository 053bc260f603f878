"""What a recording promises its user: when it begins and ends, and what it refuses."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import (
    ClientState,
    EToroError,
    EToroValidationError,
    Feed,
    MarketStream,
    WsClient,
)
from etoro_sync.recording import lock
from etoro_sync.recording.folder import segments_in
from etoro_sync.recording.segments import find_segments
from tests.conftest import MakeClient, MakeSimulator
from tests.recording.tools import all_lines, quote, record_texts, replayed, texts_of
from tests.support.clients import envelope, quick_options
from tests.support.threads import assert_no_new_descriptors, join_stragglers

TEXTS = [quote(18, number) for number in range(1, 6)]


class Tap:
    """A stream that brings texts when a test says so."""

    def __init__(self) -> None:
        self._wanted = threading.Semaphore(0)
        self._over = False
        self._texts: list[str] = []
        self.stream = MarketStream(self._play)
        self._rates = self.stream.queue("instrument:rate")
        self.stream.connect()

    def _play(self, feed: Feed) -> None:
        while not self._over:
            while not self._wanted.acquire(blocking=False):
                feed.wait(0.001)
            texts, self._texts = self._texts, []
            feed.texts(texts)

    def send(self, *texts: str) -> None:
        """Return once their rates have come."""
        self._texts = list(texts)
        self._wanted.release()
        for _ in texts:
            self._rates.get(timeout=10)

    def end(self) -> None:
        self._over = True
        self.stream.disconnect()


@pytest.fixture
def tap() -> Iterator[Tap]:
    made = Tap()
    yield made
    made.end()


@contextlib.contextmanager
def logged_to(handler: logging.Handler) -> Iterator[None]:
    logger = logging.getLogger("etoro_sync")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


def until(condition: Any, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_counters_agree_at_all_times(tap: Tap, tmp_path: Path) -> None:
    """Written, refused and waiting are what was received; at the end all is written."""
    recorder = tap.stream.record(tmp_path)
    for text in TEXTS:
        tap.send(text)
        stats = recorder.stats()
        assert stats.written + stats.refused + stats.waiting == stats.received
    recorder.close()
    stats = recorder.stats()
    assert (stats.received, stats.written, stats.refused, stats.waiting) == (5, 5, 0, 0)
    assert stats.bytes_written == sum(path.stat().st_size for path in segments_in(tmp_path))
    assert stats.failure is None
    assert texts_of(tmp_path) == TEXTS
    assert str(tmp_path) in repr(recorder)


def test_what_comes_is_in_the_file_within_half_a_second(tap: Tap, tmp_path: Path) -> None:
    """So that no more is lost with the process."""
    with tap.stream.record(tmp_path):
        for text in TEXTS[:3]:
            tap.send(text)
            came = time.monotonic()
            until(lambda: texts_of(tmp_path)[-1:] == [text])  # noqa: B023
            assert time.monotonic() - came < 2.0  # half a second, on a machine with time


def test_a_recording_begins_in_the_middle_and_ends_before_the_stream(
    tap: Tap, tmp_path: Path
) -> None:
    """Its state has what was before; closing twice is once; the stream goes on."""
    tap.send(TEXTS[0])
    with tap.stream.record(tmp_path) as recorder:
        tap.send(quote(18, 2, Ask=None))
        recorder.close()
    tap.send(TEXTS[2])
    assert tap.stream.state is ClientState.LIVE
    (_, rate), *more = [
        args for event, *args in replayed(tmp_path)[0] if event == "instrument:rate"
    ]
    assert (rate["bid"], rate["ask"], more) == (2.25, 1.5, [])


def test_a_recording_begins_in_the_middle_of_a_read(tmp_path: Path) -> None:
    """What else the read brings is in its state: here a log handler begins it."""
    order = envelope("private", {"OrderID": 7}, "Trading.New")
    stream = MarketStream(lambda feed: feed.texts(["no JSON", order, TEXTS[0]]))
    recorders = []
    handler = logging.Handler()
    handler.emit = lambda _: recorders.append(stream.record(tmp_path))  # type: ignore[method-assign]
    with logged_to(handler), stream:
        stream.run_forever()
        assert stream.rates[18].bid == 1.25
        recorders[0].close()
    events, rates = replayed(tmp_path)
    assert [event for event, *_ in events] == ["private:event"]
    assert rates[18]["bid"] == 1.25


def test_it_goes_on_over_the_end_of_a_session(tmp_path: Path) -> None:
    """Begun before connect(); a replay has the same events, with generations from 1 in each run."""

    def write(feed: Feed) -> None:
        feed.texts(TEXTS[:2])
        feed.new_connection()
        feed.texts(TEXTS[2:])

    stream = MarketStream(write)
    with stream.record(tmp_path):
        for _ in range(2):
            stream.connect()
            stream.run_forever()
            stream.disconnect()
    events, _ = replayed(tmp_path)
    rates = [args[1] for event, *args in events if event == "instrument:rate"]
    found = [(rate["bid"], rate["generation"]) for rate in rates]
    assert found == [(n + 0.25, 1 + (n > 2)) for n in range(1, 6)] * 2


def test_it_goes_on_over_a_client_that_failed(
    simulator: MakeSimulator, client: MakeClient, tmp_path: Path
) -> None:
    """And has what comes when it is connected again."""
    sim = simulator(instruments=[18])
    c = client(sim.url)
    with c.record(tmp_path):
        sim.refuse("Authenticate", "InvalidKey")
        with pytest.raises(EToroError):
            c.connect()
        c.connect()
        rates = c.queue("instrument:rate")
        c.subscribe([18], snapshot=True)
        rates.get(timeout=10)
        c.disconnect()
    names = [event for event, *_ in replayed(tmp_path)[0]]
    assert names.count("open") == 2
    assert names.count("instrument:rate") == 1


def test_a_stream_has_one_recording_and_a_folder_too(tap: Tap, tmp_path: Path) -> None:
    """What is there is not touched; after the end of the first another may begin."""
    other = Tap()
    try:
        with tap.stream.record(tmp_path / "a"):
            tap.send(TEXTS[0])
            with pytest.raises(EToroError, match="recorded already"):
                tap.stream.record(tmp_path / "b")
            with pytest.raises(EToroError, match="Another recording writes to"):
                other.stream.record(tmp_path / "a")
            tap.send(TEXTS[1])
        with other.stream.record(tmp_path / "a"):
            other.send(TEXTS[2])
        with tap.stream.record(tmp_path / "b"):
            pass
    finally:
        other.end()
    assert texts_of(tmp_path / "a") == TEXTS[:3]


@pytest.mark.parametrize("make", ["file", "below a file", "nul", "surrogate", "lock", "device"])
def test_a_folder_that_cannot_be_written_is_refused_in_a_sentence(
    tap: Tap, tmp_path: Path, make: str
) -> None:
    """And the stream is not recorded afterwards."""
    file = tmp_path / "file"
    file.write_text("mine")
    (tmp_path / "locked" / ".lock").mkdir(parents=True)
    folder = {
        "file": file,
        "below a file": file / "deeper",
        "nul": "a\0b",
        "surrogate": "\ud800",
        "lock": tmp_path / "locked",
        "device": "/proc/none",
    }[make]
    with pytest.raises(EToroError, match="cannot be written"):
        tap.stream.record(folder)
    assert file.read_text() == "mine"
    with tap.stream.record(tmp_path / "ok"):
        tap.send(TEXTS[0])
    assert texts_of(tmp_path / "ok") == TEXTS[:1]


@pytest.mark.parametrize(
    "wrong",
    [
        {"folder": ""},
        {"folder": 5},
        {"folder": b"bytes"},
        {"segment_bytes": 0},
        {"segment_bytes": True},
        {"segment_seconds": 0.5},
        {"segment_seconds": float("nan")},
        {"segment_seconds": 1e9},
        {"keep": -1},
        {"keep": 1.5},
        {"disk_budget": 0},
        {"buffer_bytes": 100},
    ],
    ids=str,
)
def test_wrong_arguments_are_named(tap: Tap, tmp_path: Path, wrong: dict[str, Any]) -> None:
    """Before anything is made."""
    (name,) = wrong
    arguments = {"folder": tmp_path / "new", **wrong}
    with pytest.raises(EToroValidationError) as caught:
        tap.stream.record(**arguments)
    assert caught.value.field == name
    assert list(tmp_path.iterdir()) == []


def test_promise_13_no_thread_and_no_descriptor_is_left(tap: Tap, tmp_path: Path) -> None:
    """Neither by a recording that ends nor by one that is refused."""
    with tap.stream.record(tmp_path):
        pass  # modules are loaded, and open what they open
    with assert_no_new_descriptors():
        with tap.stream.record(tmp_path), pytest.raises(EToroError):
            tap.stream.record(tmp_path / "b")
        with pytest.raises(EToroError):
            tap.stream.record("/proc/none")
    assert join_stragglers(prefix="etoro-sync-recorder") == []


def test_it_may_be_closed_anywhere(tap: Tap, tmp_path: Path) -> None:
    """In a callback, and by a log handler on the thread that writes."""
    recorder = tap.stream.record(tmp_path / "a")
    closed = threading.Event()

    @tap.stream.on("instrument:rate")
    def close(instrument_id: int, rate: Any) -> None:
        recorder.close()
        closed.set()

    tap.send(TEXTS[0])
    assert closed.wait(10)
    assert texts_of(tmp_path / "a") == TEXTS[:1]
    recorder = tap.stream.record(tmp_path / "b")
    tap.stream.remove_all_listeners()
    handler = logging.Handler()
    handler.emit = lambda record: recorder.close()  # type: ignore[method-assign]
    with logged_to(handler):
        for path in segments_in(tmp_path / "b"):
            path.unlink()
        tap.send(TEXTS[1])
        until(lambda: not [t for t in threading.enumerate() if "recorder" in t.name])


def test_a_stream_that_nobody_uses_ends_its_recording(
    simulator: MakeSimulator, tmp_path: Path
) -> None:
    """Although the recording is referred to; what came is written."""
    sim = simulator(instruments=[18])
    client = WsClient(quick_options(sim.url))
    recorder = client.record(tmp_path)
    client.connect()
    rates = client.queue("instrument:rate")
    client.subscribe([18], snapshot=True)
    rates.get(timeout=10)
    del client, rates
    gc.collect()
    assert join_stragglers(prefix="etoro-sync", grace=5) == []
    assert recorder.stats().waiting == 0
    recorder.close()
    assert any('"Snapshot"' in text for text in texts_of(tmp_path))


def test_a_recording_that_nobody_keeps_goes_on(tmp_path: Path) -> None:
    """It belongs to its stream."""
    stream = MarketStream(lambda feed: feed.texts(TEXTS[:1]))
    stream.record(tmp_path)
    gc.collect()
    with stream:
        stream.run_forever()
    until(lambda: texts_of(tmp_path) == TEXTS[:1])
    del stream
    gc.collect()
    assert join_stragglers(prefix="etoro-sync-recorder") == []


PROGRAM = """
import os, sys, threading, time
sys.path.insert(0, sys.argv[2])
from etoro_sync import Feed, MarketStream
from tests.recording.tools import quote

def write(feed):
    feed.texts([quote(18, 1)])
    written.set()
    feed.wait(3600)

written = threading.Event()
stream = MarketStream(write)
stream.queue("open")
{record}
stream.connect()
assert written.wait(10)
{then}
"""


def run(folder: Path, then: str, record: str = "stream.record(sys.argv[1])") -> Any:
    """Run a program that records one text, and then does what *then* says."""
    return subprocess.Popen(
        [
            sys.executable,
            # From 3.12 on, a program with threads that forks is warned.
            "-Wignore:This process:DeprecationWarning",
            "-c",
            PROGRAM.format(record=record, then=then),
            str(folder),
            str(Path(__file__).parents[2]),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "then",
    [
        "",
        "raise SystemExit(0)",
        "threading.Thread(target=time.sleep, args=(0.1,)).start()",
        "os.fork() or os._exit(0)",
        "import multiprocessing as m; p = m.get_context('fork').Process(target=print); p.start()",
    ],
)
def test_what_waits_is_written_at_the_end_of_the_program(tmp_path: Path, then: str) -> None:
    """Also when the recording was not kept, and when a child was forked."""
    program = run(tmp_path, then)
    _, errors = program.communicate(timeout=25)
    assert (program.returncode, errors) == (0, "")
    assert len(texts_of(tmp_path)) == 1
    assert all_lines(tmp_path)[-1].kind == "end"


def test_promise_13_a_forked_child_neither_writes_nor_holds_the_folder(tmp_path: Path) -> None:
    """It ends without a hang or a word, and its parent's recording goes on."""
    then = """
child = os.fork()
if not child:
    recorder.close()
    time.sleep(30)
    os._exit(0)
time.sleep(0.3)
recorder.close()
with MarketStream(write).record(sys.argv[1]): pass
os.kill(child, 9)
"""
    program = run(tmp_path, then, "recorder = stream.record(sys.argv[1])")
    _, errors = program.communicate(timeout=25)
    assert (program.returncode, errors) == (0, "")
    assert len(find_segments(tmp_path)) == 2


def test_ctrl_c_writes_what_waits(tmp_path: Path) -> None:
    """The traceback of the program's own interrupt is all that is printed."""
    then = "print(1, flush=True); time.sleep(30)"
    program = run(tmp_path, then)
    assert program.stdout.readline() == "1\n"
    program.send_signal(signal.SIGINT)
    _, errors = program.communicate(timeout=25)
    assert errors.count("Traceback") == 1
    assert "KeyboardInterrupt" in errors
    assert len(texts_of(tmp_path)) == 1


def test_ctrl_c_in_the_middle_of_a_beginning_leaves_nothing(
    tap: Tap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a thread nor a folder that is locked."""
    source = tap.stream.__dict__["__etoro_sync__"].source

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(source, "listeners_changed", interrupt)
        with pytest.raises(KeyboardInterrupt):
            tap.stream.record(tmp_path)
    assert join_stragglers(prefix="etoro-sync-recorder") == []
    with tap.stream.record(tmp_path):
        tap.send(TEXTS[0])
    assert texts_of(tmp_path) == TEXTS[:1]


def test_without_a_thread_nothing_is_recorded(
    tap: Tap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the folder is free again."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(EToroError, match="needs a thread"):
            tap.stream.record(tmp_path)
    with tap.stream.record(tmp_path):
        pass


def test_a_lock_that_the_system_does_not_have_is_no_other_recording(
    tap: Tap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as of a network's file system."""

    def refuse(file: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock, "_lock", refuse)
    with pytest.raises(EToroError, match="cannot be written: No locks available"):
        tap.stream.record(tmp_path)


def test_files_are_for_the_user_alone(tmp_path: Path) -> None:
    """Order events have the number of the account."""
    record_texts(tmp_path, TEXTS)
    assert all(os.stat(path).st_mode & 0o77 == 0 for path in tmp_path.iterdir())


def test_a_recording_costs_nothing_where_nobody_records() -> None:
    """Its modules are not loaded."""
    program = "import sys, etoro_sync; etoro_sync.WsClient; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "etoro_sync" in loaded.stdout
    for name in ("etoro_sync.recording", "etoro_sync.replay", "zstd"):
        assert name not in loaded.stdout


def test_a_defect_of_the_writer_ends_the_recording_and_nothing_else(
    tap: Tap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A source that waits for the recording goes on; what is lost is counted and logged."""
    recorder = tap.stream.record(tmp_path)

    def defect(lines: list[str]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(recorder._writer.series, "append", defect)
    with caplog.at_level(logging.ERROR):
        tap.send(TEXTS[0])
        assert join_stragglers(prefix="etoro-sync-recorder") == []
    for text in TEXTS[1:]:
        tap.send(text)
    stats = recorder.stats()
    assert (stats.written, stats.refused, stats.waiting) == (0, 1, 0)
    assert "ended before 1 texts were written" in caplog.text
