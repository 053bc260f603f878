"""A source that is played loses nothing, waits for its readers, and ends as its function does."""

from __future__ import annotations

import gc
import gzip
import logging
import threading
from dataclasses import replace
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
    WsGap,
    WsInstrumentRate,
    synchronization,
)
from etoro_sync.stream import pace
from etoro_sync.stream.core import core_of
from tests.stream.test_surface import frames_file
from tests.support.clients import envelope
from tests.support.threads import Watchdog, run_in_thread

MANY = 25_000
RECORDED = Path(__file__).parents[3] / "shared" / "recorded"


@pytest.fixture(autouse=True)
def _no_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits is woken, and does not find out by itself after a second."""
    monkeypatch.setattr(synchronization, "_SLICE", 60.0)
    monkeypatch.setattr(pace, "_PATIENCE", 60.0)


def wait_until_it_waits(stream: MarketStream) -> None:
    """Return once the source waits for its readers."""
    source: Any = core_of(stream).source
    while not source.pace._monitor._bells:
        assert stream.state is ClientState.LIVE


def text_of(number: int) -> str:
    content = {"Ask": str(number + 2), "Bid": "1", "Date": "d", "PriceRateID": str(number + 1)}
    return envelope("instrument:18", content)


def own_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("etoro-sync")]


def play_many(feed: Feed) -> None:
    feed.texts([text_of(number) for number in range(MANY)])


def test_promise_9_nothing_is_conflated_or_dropped_however_slow_a_reader_is() -> None:
    """Callbacks and queues of any size get every rate, since the source waits for them."""
    stream, seen = MarketStream(play_many), []
    small = stream.queue("instrument:rate", maxsize=7)
    aged = stream.queue("instrument:rate", conflate_after=0.0)
    stream.on("instrument:rate", lambda i, rate: seen.append(rate.ask))
    stream.connect()
    reading = run_in_thread(lambda: [rate.ask for _, rate in aged])
    expected = [float(number + 2) for number in range(MANY)]
    assert [rate.ask for _, rate in small] == expected
    assert reading.result() == expected
    stream.run_forever()
    assert seen == expected
    assert (small.dropped, small.conflated) == (0, 0)


def test_promise_10_memory_stays_bounded_without_a_reader() -> None:
    """The source stands still once a queue is full, and goes on when there is room."""
    played = []

    def play(feed: Feed) -> None:
        for number in range(5_000):
            feed.texts([text_of(number)])
            played.append(number)

    stream = MarketStream(play)
    with Watchdog(20), stream, stream.queue("instrument:rate", maxsize=100) as rates:
        while rates.qsize() < 100:
            pass
        assert rates.get(timeout=5)[1].ask == 2.0
        assert len(played) <= 101
        assert sum(1 for _ in rates) == 4_999


def test_promise_10_the_source_waits_for_callbacks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits for them is bounded, too."""
    monkeypatch.setattr(pace, "_PATIENCE", 0.01)
    goes_on, played = threading.Event(), []

    def play(feed: Feed) -> None:
        for number in range(3_000):
            feed.texts([text_of(number)])
            played.append(number)

    stream = MarketStream(play)
    stream.on("instrument:rate", lambda i, rate: goes_on.wait(10))
    with Watchdog(20), stream:
        while "a callback is slow" not in caplog.text:
            pass
        # The lane, and what the callbacks' thread has taken out of it.
        assert 1_000 <= len(played) <= 1_300
        goes_on.set()
        stream.run_forever()
    assert stream.stats().callbacks == 3_000


def test_a_queue_that_is_closed_holds_nothing_up_any_more() -> None:
    """Also while the source waits for it."""
    stream = MarketStream(play_many)
    full = stream.queue("instrument:rate", maxsize=10)
    rates = stream.queue("instrument:rate")
    with Watchdog(20), stream:
        wait_until_it_waits(stream)
        full.close()
        assert sum(1 for _ in rates) == MANY


def test_waiting_for_the_end_is_enough_to_go_on() -> None:
    """For programs that look at the rates alone; the next run waits for its own reader again."""
    stream = MarketStream(play_many)
    with Watchdog(20), stream:
        stream.run_forever()
        assert stream.rates[18].ask == MANY + 1
        stream.connect()
        wait_until_it_waits(stream)
        assert stream.wait_for("instrument:rate", timeout=10)[1].ask == 2.0


def test_promise_8_what_hangs_in_a_handler_of_the_log_changes_no_later_price(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A run that disconnect() could not wait for adds nothing to the next one."""
    inside, goes_on, left = threading.Event(), threading.Event(), threading.Event()
    runs: list[int] = []

    class Hanging(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "cannot be understood" in record.getMessage() and len(runs) == 1:
                inside.set()
                goes_on.wait(10)

    def play(feed: Feed) -> None:
        runs.append(1)
        if len(runs) == 2:
            feed.texts([text_of(5)])
            feed.wait(1000)
        try:
            feed.texts(["no JSON", text_of(100)])
        finally:
            left.set()

    stream, handler = MarketStream(play), Hanging()
    logging.getLogger("etoro_sync").addHandler(handler)
    try:
        with Watchdog(20):
            rates = stream.queue("instrument:rate")
            stream.connect()
            assert inside.wait(5)
            stream.disconnect(0.01)
            rates = stream.queue("instrument:rate")
            stream.connect()
            assert rates.get(timeout=5)[1].ask == 7.0
            goes_on.set()
            assert left.wait(5)
            assert stream.rates[18].ask == 7.0
            stream.disconnect()
    finally:
        logging.getLogger("etoro_sync").removeHandler(handler)


def test_a_queue_that_may_drop_holds_nothing_up() -> None:
    """Who asks for a policy gets it; unbounded is unbounded."""
    stream = MarketStream(play_many)
    newest = stream.queue("instrument:rate", maxsize=10, overflow="drop_oldest")
    everything = stream.queue("instrument:rate", maxsize=0)
    with Watchdog(20), stream:
        stream.run_forever()
    assert (newest.qsize(), newest.dropped) == (10, MANY - 10)
    assert everything.qsize() == MANY


def test_promise_2_it_begins_when_somebody_listens() -> None:
    """What comes between connect() and the first reader is not lost; nor between two waits."""
    stream = MarketStream(play_many)
    with Watchdog(20), stream:
        assert stream.wait_for("instrument:rate")[1].ask == 2.0
        stream.disconnect()
        stream.connect()
        _, first = next(iter(stream.stream([18])))
        assert first.ask == 2.0


def test_promise_2_a_callback_that_is_registered_later_sets_it_going() -> None:
    """As a queue does."""
    stream, got = MarketStream(play_many), threading.Event()
    with Watchdog(20), stream:
        wait_until_it_waits(stream)
        stream.once("instrument:rate", lambda i, rate: got.set())
        assert got.wait(10)


def test_a_source_without_a_listener_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says for what the source waits, once."""
    monkeypatch.setattr(pace, "_PATIENCE", 0.01)
    with Watchdog(20), MarketStream(play_many):
        while "there are none" not in caplog.text:
            pass
    caplog.clear()
    stream = MarketStream(play_many)
    with Watchdog(20), stream.queue("instrument:rate", maxsize=1), stream:
        while "a queue that nobody reads is full" not in caplog.text:
            pass


def test_promise_11_two_runs_bring_the_same_in_the_same_order() -> None:
    """Orders keep their place among the rates, for callbacks, too."""

    def play(feed: Feed) -> None:
        for number in range(2_000):
            feed.texts([text_of(number)])
            if number % 100 == 50:
                feed.texts([envelope("private", {"OrderID": number}, "Trading.New")])
            if number == 1_000:
                feed.new_connection()
                feed.emit("reconnected", WsGap(1.0, 2.0, 2, ()))

    stream = MarketStream(play)

    def events() -> list[Any]:
        seen: list[Any] = []
        stream.remove_all_listeners()
        stream.on("instrument:rate", lambda i, rate: seen.append((i, rate.ask, rate.generation)))
        stream.on("private:event", lambda order: seen.append((order.order_id, order.generation)))
        stream.on("reconnected", seen.append)
        with Watchdog(20), stream:
            stream.run_forever()
        return seen

    first = events()
    assert first == events()
    assert len(first) == 2_021
    assert first[50:52] == [(18, 52.0, 1), (50, 1)]
    assert [event for event in first if isinstance(event, WsGap)] == [WsGap(1.0, 2.0, 2, ())]
    assert first[-1] == (18, 2001.0, 2)


def test_merged_rates_can_be_played_too() -> None:
    """As they are; they stand in the view."""
    rate = WsInstrumentRate(2.0, 1.0, None, "d", 5)
    stream = MarketStream(lambda feed: feed.rates([(18, rate), (19, rate)]))
    with Watchdog(20), stream:
        named = {n: replace(rate, instrument_id=n) for n in (18, 19)}
        assert list(stream.stream([18, 19])) == list(named.items())
        assert stream.rates[19] == named[19]
        assert (stream.stats().messages, stream.stats().rates) == (2, 2)


def test_promise_1_an_error_of_the_source_ends_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    """Behind all that came before it; it is raised, also in loops, and emitted."""

    def play(feed: Feed) -> None:
        feed.texts([text_of(0)])
        raise OSError("no such file")

    stream, errors = MarketStream(play), []
    rates = stream.queue("instrument:rate")
    stream.on("error", errors.append)
    with (
        Watchdog(20),
        pytest.raises(EToroError, match="raised OSError: no such file") as caught,
        stream,
    ):
        stream.run_forever()
    assert isinstance(caught.value.__cause__, OSError)
    assert stream.state is ClientState.CLOSED
    assert len(errors) == 1
    assert rates.get()[1].ask == 2.0
    with pytest.raises(EToroError, match="no such file"):
        rates.get()
    assert not isinstance(errors[0], EToroClosedError)


class _Mute(Exception):
    """One whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("error", [_Mute(), SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_promise_1_whatever_a_source_raises_ends_the_stream(error: BaseException) -> None:
    """A source that has ended must not look alive, also where the error cannot be shown."""

    def play(feed: Feed) -> None:
        raise error

    stream = MarketStream(play)
    stream.connect()
    with Watchdog(20), pytest.raises(EToroError, match=f"raised {type(error).__name__}"):
        stream.run_forever()
    assert stream.state is ClientState.FAILED


def test_promise_1_callbacks_that_cannot_go_on_end_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And its source, which would wait for them for ever."""

    def fail(*arguments: object) -> None:
        raise SystemError("broken")

    stream = MarketStream(play_many)
    stream.on("instrument:rate", lambda i, rate: None)
    monkeypatch.setattr("etoro_sync.delivery.callbacks.Callbacks.call", fail)
    stream.connect()
    with Watchdog(20):
        with pytest.raises(EToroError, match="callbacks cannot go on"):
            stream.run_forever()
        while own_threads():
            pass


@pytest.mark.parametrize("where", ["waiting", "full", "sleeping", "deaf"])
def test_promise_13_disconnect_ends_the_source_wherever_it_is(where: str) -> None:
    """Its files are closed on the way; one that does not listen is left behind."""
    inside, closed, goes_on = threading.Event(), threading.Event(), threading.Event()

    def play(feed: Feed) -> None:
        try:
            inside.set()
            if where == "sleeping":
                feed.wait(1000)
            if where == "deaf":
                goes_on.wait(10)
            play_many(feed)
        finally:
            closed.set()

    stream = MarketStream(play)
    with Watchdog(20):
        rates = None if where == "waiting" else stream.queue("instrument:rate", maxsize=5)
        stream.connect()
        assert inside.wait(5)
        if where == "full":
            assert rates is not None
            while rates.qsize() < 5:
                pass
        stream.disconnect(0.05)
        goes_on.set()
        assert closed.wait(5)
    assert stream.state is ClientState.CLOSED


def test_promise_12_calls_that_would_wait_for_the_source_are_refused_on_its_thread() -> None:
    """They would wait for themselves; disconnect() is legal."""
    problems: list[Exception] = []
    streams: list[MarketStream] = []

    def play(feed: Feed) -> None:
        for call in (streams[0].connect, streams[0].run_forever):
            try:
                call()
            except EToroWebSocketError as exc:
                problems.append(exc)
        streams[0].disconnect()
        feed.texts([text_of(0)])

    streams.append(MarketStream(play))
    with Watchdog(20):
        streams[0].connect()
        streams[0].run_forever()
        while own_threads():
            pass
    assert len(problems) == 2
    assert streams[0].state is ClientState.CLOSED


def test_a_stream_that_is_not_used_is_collected(caplog: pytest.LogCaptureFixture) -> None:
    """And its threads end; the log says that its callbacks are not called any more."""

    def play(feed: Feed) -> None:
        feed.wait(1000)

    stream = MarketStream(play)
    stream.on("error", print)
    stream.connect()
    del stream
    with Watchdog(20):
        while own_threads():
            gc.collect()
    assert "nothing refers to it any more" in caplog.text


def test_what_is_no_source_is_refused() -> None:
    """At once, and bad ids and events when they are written."""
    with pytest.raises(EToroValidationError, match="play must be a function"):
        MarketStream("file.jsonl")  # type: ignore[arg-type]
    rate = WsInstrumentRate(2.0, 1.0, None, "d", 5)
    for play, words in (
        (lambda feed: feed.emit("rate"), "Did you mean 'instrument:rate'"),
        (lambda feed: feed.rates([(-1, rate)]), "positive whole number .*, not -1"),
        (lambda feed: feed.rates([("18", rate)]), "Write 18"),
        (lambda feed: feed.texts(text_of(1)), r"Write \[text\]"),
    ):
        stream = MarketStream(play)
        stream.connect()
        with Watchdog(20), pytest.raises(EToroValidationError, match=words):
            stream.run_forever()


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded frames are not here")
def test_recorded_frames_of_etoro_are_played() -> None:
    """All of a day's frames, by the example."""
    path = RECORDED / "gold_nasdaq_bitcoin_2026-03-16.jsonl.gz"
    with gzip.open(path, "rt") as lines:
        frames = sum(1 for _ in lines)
    stream, seen = frames_file()(path), []
    stream.on("instrument:rate", lambda i, rate: seen.append(i))
    with Watchdog(60), stream:
        stream.run_forever()
    assert stream.stats().messages == frames
    assert {18, 28, 100000} == {*seen}
    assert stream.stats().bad_messages == 0
