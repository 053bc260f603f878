"""A recording as a stream: the same in each run, at its own pace or that of its readers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import (
    ClientState,
    EToroClosedError,
    EToroError,
    EToroValidationError,
    EToroWebSocketError,
    Feed,
    MarketStream,
    Replay,
    WsGap,
    WsInstrumentRate,
    WsPrivateEvent,
)
from etoro_sync import replay as replay_module
from etoro_sync.recording.folder import segments_in
from etoro_sync.recording.frames import whole_frames
from etoro_sync.recording.zstd import load_zstd
from tests.recording.tools import Tape, all_lines, plainly, quote, record_texts, replayed, texts_of
from tests.support.clients import envelope
from tests.support.threads import Watchdog, assert_no_new_threads

T0 = 1_790_000_000.0
ORDER = envelope("private", {"OrderID": 7, "Foo": "\ud83d\ude00"}, "Trading.New")


def day(feed: Feed) -> None:
    """All that a source can write: texts, rates, and each event by itself."""
    feed.texts([quote(18, 1), "no JSON", ORDER, quote(19, 2, Ask=None)], T0)
    feed.emit("private:event", WsPrivateEvent(8, extra={"a": [1]}, received_at=2.5, generation=9))
    feed.texts([quote(18, 3, Bid=None)], T0 + 1)
    feed.emit("close", 1006, "gone")
    feed.emit("reconnecting", 1, 0.5)
    feed.new_connection()
    feed.emit("open")
    feed.emit("reconnected", WsGap(T0 + 1, T0 + 2, 2, ("instrument:18",)))
    feed.texts([quote(18, 4), ORDER, quote(18, 5)], T0 + 3)
    feed.rates([(20, WsInstrumentRate(2.0, 1.0, closes=(1.0, None, 3.0), received_at=T0 + 3.5))])
    feed.emit("instrument:rate", 21, WsInstrumentRate(2.0, 1.0))
    feed.emit("stale", 18, 3.5)
    feed.emit("close", "odd", {"of": {"a", "user"}})
    feed.texts([quote(18, number) for number in range(6, 9)], T0 + 4.123456789)


def record(stream: MarketStream, folder: Path, **options: Any) -> tuple[Any, Any]:
    """Record a stream to its end; return its events, and its rates at the end."""
    with stream.record(folder, **options):
        tape = Tape(stream)
        with stream:
            stream.run_forever()
            rates = {key: vars(rate) for key, rate in stream.rates.items()}
    return plainly(tape.read()), rates


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of ten prices, a second apart."""
    record_texts(tmp_path / "ten", [quote(18, number) for number in range(10)], T0)
    return tmp_path / "ten"


def bids(stream: MarketStream, **options: Any) -> list[float]:
    rates = stream.queue("instrument:rate", maxsize=0)
    with stream:
        stream.run_forever()
    found = []
    with Watchdog(20):
        try:
            while True:
                found.append(rates.get(timeout=10)[1].bid)
        except EToroClosedError:
            return found


def test_all_that_a_source_can_write_comes_again(tmp_path: Path) -> None:
    """Each event and each rate as it was, but for objects that JSON does not have."""
    events, rates = record(MarketStream(day), tmp_path)
    again, at_end = replayed(tmp_path)
    assert again == [
        (*e[:2], {"of": again[n][2]["of"]}) if e[:2] == ("close", "odd") else e
        for n, e in enumerate(events)
    ]
    assert at_end == rates
    assert len(events) > 20


def test_a_recording_of_a_replay_is_the_same_recording(tmp_path: Path) -> None:
    """However often; times are those of the source, not of now."""
    record(MarketStream(day), tmp_path / "0")
    tapes = [replayed(tmp_path / "0")]
    for number in range(1, 3):
        record(Replay(tmp_path / str(number - 1)), tmp_path / str(number))
        tapes.append(replayed(tmp_path / str(number)))
    assert tapes[0] == tapes[1] == tapes[2]
    lines = [
        [line for line in all_lines(tmp_path / number) if line.kind in ("text", "event", "rate")]
        for number in "012"
    ]
    assert lines[0] == lines[1] == lines[2]
    assert all(abs(line.at - T0) < 10 for line in lines[0])


def test_a_replay_that_began_in_the_middle_can_be_recorded(tmp_path: Path) -> None:
    """Its state comes with it, though no text has brought it."""
    record_texts(tmp_path / "first", [quote(18, 1), quote(19, 2), quote(19, 3)], T0)
    events, rates = record(Replay(tmp_path / "first", start=T0 + 1.5), tmp_path / "again")
    assert [args[1]["bid"] for event, *args in events if event == "instrument:rate"] == [3.25]
    assert rates[18]["bid"] == 1.25
    assert replayed(tmp_path / "again") == (events, rates)


def test_two_runs_are_the_same_to_the_byte(tmp_path: Path) -> None:
    """Of one stream, and of two at once; generations count from that of the recording."""
    record(MarketStream(day), tmp_path)
    stream = Replay(tmp_path)
    runs = []
    for _ in range(2):
        tape = Tape(stream)
        with stream:
            stream.run_forever()
        runs.append(repr(tape.read()).encode())
    assert runs[0] == runs[1]
    others = [Replay(tmp_path), Replay(tmp_path)]
    tapes = [Tape(each) for each in others]
    for each in others:
        each.connect()
    assert [repr(tape.read()).encode() for tape in tapes] == runs
    for each in others:
        each.disconnect()


def test_what_plays_cannot_begin_once_more(tmp_path: Path) -> None:
    """A queue that nobody reads keeps it from ending meanwhile."""
    record_texts(tmp_path, [quote(18, number) for number in range(3000)], T0)
    stream = Replay(tmp_path)
    stream.queue("instrument:rate", maxsize=10)
    with stream, pytest.raises(EToroWebSocketError, match="already"):
        stream.connect()


def test_it_waits_for_its_readers_and_drops_nothing(tmp_path: Path) -> None:
    """Neither in a slow callback nor in a small queue; a reader that stops can end it."""
    record_texts(tmp_path, [quote(18, number) for number in range(3000)], T0)
    stream, seen, held = Replay(tmp_path), [], threading.Event()
    small = stream.queue("instrument:rate", maxsize=10)

    @stream.on("instrument:rate")
    def look(instrument_id: int, rate: WsInstrumentRate) -> None:
        held.wait(10)
        seen.append(rate.bid)

    with Watchdog(25), assert_no_new_threads(), stream:
        assert [small.get(timeout=10)[1].bid for _ in range(50)] == [n + 0.25 for n in range(50)]
        assert stream.stats().rates < 1500
        held.set()
        rest = [small.get(timeout=10)[1].bid for _ in range(2950)]
        stream.run_forever()
    assert rest[-1] == 2999.25
    assert seen == [n + 0.25 for n in range(3000)]
    with Watchdog(20), assert_no_new_threads(), Replay(tmp_path) as stream:
        for instrument_id, _ in stream.stream([18]):
            assert instrument_id == 18
            break


class Paced:
    """A clock that leaps over the waits of a replay, and notes when each rate came."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        monkeypatch.setattr(replay_module, "clocks", self)
        wait = Feed.wait

        def leap(feed: Feed, seconds: float) -> None:
            self.now += seconds
            self.waits.append(seconds)
            wait(feed, 0)

        monkeypatch.setattr(Feed, "wait", leap)

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize("speed", [1, 1.0, 10.0, 0.5])
def test_at_a_speed_it_keeps_the_recorded_times(
    folder: Path, monkeypatch: pytest.MonkeyPatch, speed: float
) -> None:
    """From the first line on; a wait that was too long is made up for."""
    clock = Paced(monkeypatch)
    assert bids(Replay(folder, speed)) == [n + 0.25 for n in range(10)]
    assert sum(clock.waits) == pytest.approx(9 / speed)
    assert [wait for wait in clock.waits if wait] == pytest.approx([1 / speed] * 9)


def test_as_fast_as_possible_it_waits_for_no_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None, the default."""
    clock = Paced(monkeypatch)
    assert len(bids(Replay(folder))) == 10
    assert clock.waits == []


def test_clocks_that_users_see_are_the_recorded_ones(folder: Path) -> None:
    """Whatever the speed."""
    events, _ = replayed(folder, speed=1e6)
    times = [args[1]["received_at"] for event, *args in events if event == "instrument:rate"]
    assert times == [T0 + number for number in range(10)]


@pytest.mark.parametrize("segment_bytes", [1 << 20, 1])
def test_it_begins_and_ends_at_any_time(tmp_path: Path, segment_bytes: int) -> None:
    """From *start* on, before *until*; at the borders, too. What was known then is known."""
    texts = [quote(18, 0), *(quote(18, number, Ask=None) for number in range(1, 10))]
    record_texts(tmp_path, texts, T0, segment_bytes=segment_bytes)
    for start in (T0 - 1, T0, T0 + 0.5, T0 + 3, T0 + 9, T0 + 9.5, T0 + 100):
        for until in (T0 - 1, T0 + 0.5, T0 + 3, T0 + 9, T0 + 10):
            expected = [n + 0.25 for n in range(10) if start <= T0 + n < until]
            stream = Replay(tmp_path, start=start, until=until)
            rates = stream.queue("instrument:rate")
            with stream:
                stream.run_forever()
                if T0 < start <= T0 + 9 < until:
                    assert stream.rates[18].ask == 0.5
            found = []
            while rates.qsize():
                found.append(rates.get()[1].bid)
            assert found == expected, (start, until)


def test_times_are_datetimes_or_seconds(folder: Path) -> None:
    """With a time zone, of any place."""
    when = datetime.fromtimestamp(T0 + 4, timezone.utc)
    there = when.astimezone(timezone(timedelta(hours=-7)))
    for start in (when, there, int(T0) + 4):
        assert bids(Replay(folder, start=start)) == [n + 0.25 for n in range(4, 10)]


def test_an_order_comes_from_its_text_only(tmp_path: Path) -> None:
    """Where a replay begins behind the text, its event behind it is no order of now."""

    def write(feed: Feed) -> None:
        feed.texts([ORDER, quote(18, 1)], T0)
        feed.emit("private:event", WsPrivateEvent(8))
        feed.texts([ORDER], T0 + 1)

    record(MarketStream(write), tmp_path)
    found = {}
    for start in (None, T0, T0 + 0.1, T0 + 1):
        events, _ = replayed(tmp_path, start=start)
        found[start] = [args[0]["order_id"] for event, *args in events if event == "private:event"]
    assert found == {None: [7, 8, 7], T0: [7, 8, 7], T0 + 0.1: [7], T0 + 1: [7]}


def test_an_order_whose_event_is_missing_hides_no_other(tmp_path: Path) -> None:
    """A kill may leave the text alone; the next recording begins anew."""

    def emit(feed: Feed) -> None:
        feed.emit("private:event", WsPrivateEvent(8))

    path = tmp_path / "joined.zst"
    for source in (lambda feed: feed.texts([ORDER], T0), emit):
        record(MarketStream(source), tmp_path / "part")
    one, two = segments_in(tmp_path / "part")
    kept = [raw for frame in whole_frames(one) for raw in (frame.data or b"").splitlines(True)]
    kept = [raw for raw in kept if b'"kind":"event"' not in raw and b'"kind":"end"' not in raw]
    path.write_bytes(load_zstd().compress(b"".join(kept)) + two.read_bytes())
    events, _ = replayed(path)
    orders = [args[0]["order_id"] for event, *args in events if event == "private:event"]
    assert orders == [7, 8]


def test_a_hole_is_a_gap_in_its_place(tmp_path: Path) -> None:
    """Behind it come the rates of the state that was known again; at the end it is a gap, too."""
    folder = tmp_path / "many"
    for number in range(3):
        record_texts(folder, [quote(18, number)], T0 + 10 * number)
    segments_in(folder)[1].unlink()
    stream = Replay(folder)
    tape = Tape(stream)
    shown: list[float] = []
    stream.on("reconnected", lambda gap: shown.append(gap.from_))
    with stream:
        stream.run_forever()
    names = [
        (event, *args)
        for event, *args in tape.read()
        if event in ("reconnected", "instrument:rate")
    ]
    assert [event for event, *_ in names] == ["instrument:rate", "reconnected", "instrument:rate"]
    gap = names[1][1]
    assert (gap.from_, gap.topics) == (T0, ())
    assert shown == [T0]


def test_a_damaged_segment_fails_the_stream_when_it_is_reached(folder: Path) -> None:
    """All before it comes; the error says what to run."""
    (path,) = segments_in(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] + b"\0" * 10 + whole[-10:] + whole)
    stream = Replay(folder)
    rates = stream.queue("instrument:rate")
    stream.connect()
    with pytest.raises(EToroError, match="etoro-sync recover"):
        stream.run_forever()
    assert stream.state is ClientState.FAILED
    assert [rates.get()[1].bid for _ in range(10)] == [n + 0.25 for n in range(10)]
    with pytest.raises(EToroError, match="etoro-sync recover"):
        rates.get()
    stream.disconnect()


def test_a_recording_can_be_replayed_while_it_is_written(tmp_path: Path) -> None:
    """Up to what is there; the recording goes on, and a later replay has more."""
    written, go_on = threading.Event(), threading.Event()

    def write(feed: Feed) -> None:
        feed.texts([quote(18, 1)], T0)
        written.set()
        while not go_on.is_set():
            feed.wait(0.001)
        feed.texts([quote(18, 2)], T0 + 1)

    stream = MarketStream(write)
    rates = stream.queue("instrument:rate")
    with Watchdog(20), stream.record(tmp_path), stream:
        assert written.wait(10)
        rates.get(timeout=10)
        while texts_of(tmp_path) != [quote(18, 1)]:
            pass
        assert bids(Replay(tmp_path)) == [1.25]
        go_on.set()
        stream.run_forever()
    assert bids(Replay(tmp_path)) == [1.25, 2.25]


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": 5},
        {"path": b"x"},
        {"speed": 0},
        {"speed": -1.0},
        {"speed": "fast"},
        {"speed": True},
        {"speed": float("nan")},
        {"speed": float("inf")},
        {"speed": 10**400},
        {"start": "yesterday"},
        {"start": datetime(2026, 1, 1)},
        {"start": float("nan")},
        {"start": 10**400},
        {"until": T0 * 1000},
        {"until": True},
    ],
    ids=str,
)
def test_wrong_arguments_are_named(folder: Path, wrong: dict[str, Any]) -> None:
    """At once, and not on the stream's thread."""
    (name,) = wrong
    with pytest.raises(EToroValidationError) as caught:
        Replay(**{"path": folder, **wrong})
    assert caught.value.field == name


@pytest.mark.parametrize("make", [str, Path, os.fspath])
def test_a_path_is_of_any_kind(folder: Path, make: Callable[[Any], Any]) -> None:
    """A folder or a single segment."""
    assert len(bids(Replay(make(folder)))) == 10
    assert len(bids(Replay(make(segments_in(folder)[0])))) == 10


def test_what_is_missing_is_said_at_once(tmp_path: Path) -> None:
    """Without a recording there is no stream."""
    with pytest.raises(EToroError, match="does not exist"):
        Replay(tmp_path / "nothing")
    with pytest.raises(EToroError, match="has no recording"):
        Replay(tmp_path)


def test_a_folder_that_goes_between_two_runs_fails_the_second(folder: Path) -> None:
    """As a stream fails: state, error and ended loops."""
    stream = Replay(folder)
    assert len(bids(stream)) == 10
    for path in folder.iterdir():
        path.unlink()
    stream.connect()
    with pytest.raises(EToroError, match="has no recording"):
        stream.run_forever()
    assert stream.state is ClientState.FAILED
    stream.disconnect()
