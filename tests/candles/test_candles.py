"""How candles are read: callbacks, queues, loops, tables; how they begin and end; the timer."""

from __future__ import annotations

import gc
import os
import pickle
import queue
import subprocess
import sys
import threading
import weakref
from datetime import datetime, timezone
from typing import Any

import pytest

from etoro_sync import (
    Bar,
    Candles,
    EToroClosedError,
    EToroError,
    EToroTypeError,
    EToroValidationError,
    Feed,
    MarketStream,
    WsInstrumentRate,
    data_frames,
)
from etoro_sync.candles import to_frame, to_polars
from etoro_sync.candles.aggregator import Aggregator
from etoro_sync.candles.intake import Intake
from etoro_sync.candles.times import check_intervals
from etoro_sync.stream.core import core_of
from tests.candles.tools import bid, both, prices, rates, stamp, stream_of
from tests.conftest import MakeClient, MakeSimulator
from tests.support.clients import make_client
from tests.support.clocks import FakeClock
from tests.support.live_stream import LiveStream, rate
from tests.support.threads import Watchdog

FIVE = [
    *rates(both(5, "12:00:10"), both(6, "12:01:10"), both(7, "12:02:10"), both(8, "12:03:10")),
    *rates(both(9, "12:04:10"), stamp("12:06:00")),
]
FIVE_CLOSES = [5.0, 6.0, 7.0, 8.0, 9.0]


def closes(bars: Any) -> list[float]:
    return [bar.close for bar in bars]


# Reading -----------------------------------------------------------------------------------------


def test_callbacks_queues_and_loops_get_the_same_bars() -> None:
    """And run_forever() returns when the last callback was called."""
    stream = stream_of(FIVE)
    candles = Candles(stream, "1m")
    called: list[Bar] = []
    threads: set[str] = set()

    @candles.on("bar")
    def note(bar: Bar) -> None:
        threads.add(threading.current_thread().name)
        called.append(bar)

    waiting = candles.queue()
    loop = iter(candles)
    with Watchdog(10), stream:
        stream.run_forever()
        assert closes(called) == FIVE_CLOSES
        assert list(waiting) == list(loop) == called
    assert all(name.startswith("etoro-sync-played-callbacks") for name in threads)


def test_the_bars_that_are_open_at_the_end_are_called_before_run_forever_returns() -> None:
    """Not some time later."""
    for _ in range(20):
        stream = stream_of(rates(both(5, "12:00:10")))
        called: list[Bar] = []
        Candles(stream, "1m").on("bar", called.append)
        with Watchdog(10), stream:
            stream.run_forever()
            assert closes(called) == [5.0]


def test_candles_that_have_ended_are_taken_off_their_stream() -> None:
    """It may go on without them, or be played again."""
    stream = stream_of(FIVE)
    registry = core_of(stream).registry
    bars, closed = Candles(stream, "1m").queue(), Candles(stream, "1m", keep=1)
    assert len(registry.taps) == 2
    closed.close()
    assert len(registry.taps) == 1
    with Watchdog(10), stream:
        assert len(list(bars)) == 5
    assert registry.taps == ()


def test_a_callback_may_be_of_one_interval_and_removed() -> None:
    """Several candles of one stream know nothing of each other."""
    stream = stream_of(FIVE)
    candles, others = Candles(stream, ["1m", "5m"]), Candles(stream, "1h")
    called: list[str] = []
    other: list[str] = []

    def gone(bar: Bar) -> None:
        called.append("gone")

    assert candles.on("bar", gone) is candles
    candles.on("bar", lambda bar: called.append(bar.interval), interval="5m")
    others.on("bar", lambda bar: other.append(bar.interval))
    assert candles.off("bar", gone) is candles
    with Watchdog(10), stream:
        stream.run_forever()
    assert (called, other) == (["5m"], ["1h"])


def test_a_callback_that_raises_costs_no_other_bar(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its own name, counted, and emitted as the stream's error."""
    stream = stream_of(FIVE)
    errors: list[Exception] = []
    called: list[Bar] = []
    candles = Candles(stream, "1m")

    @candles.on("bar")
    def breaks(bar: Bar) -> None:
        raise ZeroDivisionError

    candles.on("bar", called.append)
    stream.on("error", errors.append)
    with Watchdog(10), stream:
        stream.run_forever()
    assert closes(called) == FIVE_CLOSES
    assert [type(error) for error in errors] == [ZeroDivisionError] * 5
    assert stream.stats().callback_errors == 5
    assert "breaks" in caplog.text


def test_a_slow_reader_loses_nothing_of_a_recording() -> None:
    """The source waits while a queue of bars is full."""
    steps = [step for number in range(60) for step in rates(both(1 + number, f"12:{number:02}:01"))]
    stream = stream_of(steps)
    small = Candles(stream, "1m").queue(maxsize=2)
    with Watchdog(10), stream:
        assert closes(small) == [1.0 + number for number in range(60)]
    assert small.dropped == 0


def test_promise_3_a_slow_callback_costs_no_tick(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The stream's own callbacks skip rates then; a high among them is in the bar."""
    server = simulator(instruments={18: 100.0})
    live = client(server.url, conflate_after=0.0, callback_queue_size=1)
    # Of a day, so that all are in one bar.
    bars = Candles(live, "1d", timer=None).queue()
    hold = threading.Event()
    with Watchdog(20), live:
        live.on("instrument:rate", lambda *_: hold.wait(10))
        live.subscribe([18], snapshot=True)
        with live.expect("instrument:delta", lambda key, delta: delta.bid == 7.0, timeout=10):
            for price in (5.0, 9.0, 1.0, 7.0):
                server.publish(18, Bid=str(price), Ask="20")
        assert live.stats().callbacks_conflated + live.stats().callbacks_dropped > 0
        hold.set()
        live.disconnect()
        assert [each[1:] for each in prices(bars)] == [(5, 9, 1, 7, 4)]


def test_only_the_instruments_that_were_asked_for() -> None:
    """All others do not even move the watermark."""
    stream = stream_of([*rates(both(5, "12:00:10")), *rates(both(6, "12:30:00"), key=28)])
    with Watchdog(10), stream:
        (bar,) = Candles(stream, "1m", instrument_ids=18)
    assert (bar.instrument_id, bar.complete) == (18, False)


# What was kept -----------------------------------------------------------------------------------


def test_nothing_is_kept_unless_asked_for() -> None:
    """Then the last bars of each instrument and interval, by their ends."""
    stream = stream_of([*rates(both(5, "12:00:05"), key=28), *FIVE])
    kept, without = Candles(stream, ["1m", "5m"], keep=2), Candles(stream, "1m")
    without.queue().close()
    with Watchdog(10), stream:
        stream.run_forever()
    assert [(b.instrument_id, b.interval, f"{b.start:%H:%M}") for b in kept.bars] == [
        (28, "1m", "12:00"),
        (18, "1m", "12:03"),
        (18, "1m", "12:04"),
        (18, "5m", "12:00"),
        (28, "5m", "12:00"),
    ]
    assert without.bars == []


def test_of_a_revised_bar_the_last_form_is_kept() -> None:
    """In its place."""
    stream = stream_of(
        [*rates(both(5, "12:00:10"), both(6, "12:01:10"), both(6, "12:03:10"), bid(9, "12:00:20"))]
    )
    candles = Candles(stream, "1m", keep=9, revise=600)
    with Watchdog(10), stream:
        stream.run_forever()
    assert [(bar.close, bar.revision) for bar in candles.bars] == [(9.0, 1), (6.0, 0), (6.0, 0)]


def kept_candles() -> Candles:
    stream = stream_of([*rates(both(5, "12:00:05"), key=28), *FIVE])
    candles = Candles(stream, "1m", keep=9)
    with Watchdog(10), stream:
        stream.run_forever()
    return candles


def test_bars_become_a_frame_of_pandas() -> None:
    """Times in UTC, numbers as numbers, instruments as a category."""
    pandas = pytest.importorskip("pandas", reason="needs the extra pandas")
    candles = kept_candles()
    frame = candles.to_frame()
    assert list(frame.columns) == list(candles.bars[0].to_row())
    assert frame["start"].dtype == frame["end"].dtype == "datetime64[ns, UTC]"
    assert [str(frame[name].dtype) for name in ("open", "high", "low", "close")] == ["float64"] * 4
    assert [str(frame[name].dtype) for name in ("ticks", "revision")] == ["int64"] * 2
    assert [str(frame[name].dtype) for name in ("complete", "first", "gap")] == ["boolean"] * 3
    assert [str(frame[n].dtype) for n in ("instrument_id", "interval", "price")] == ["category"] * 3
    assert list(frame["instrument_id"]) == [18, 28, *[18] * 4]
    assert frame["start"][0] == pandas.Timestamp("2026-03-16T12:00", tz="UTC")
    assert list(frame["close"]) == [5.0, *FIVE_CLOSES]
    empty = to_frame([])
    assert len(empty) == 0
    assert list(empty.dtypes.astype(str)) == list(frame.dtypes.astype(str))


def test_bars_become_a_frame_of_polars() -> None:
    """With the same columns."""
    polars = pytest.importorskip("polars", reason="needs the extra polars")
    candles = kept_candles()
    frame = candles.to_polars()
    assert frame.columns == list(candles.bars[0].to_row())
    time, number = polars.Datetime("ns", "UTC"), polars.Float64
    assert frame.schema["start"] == frame.schema["end"] == time
    assert [frame.schema[name] for name in ("open", "high", "low", "close")] == [number] * 4
    assert [frame.schema[name] for name in ("ticks", "revision")] == [polars.Int64] * 2
    assert [frame.schema[name] for name in ("complete", "first", "gap")] == [polars.Boolean] * 3
    assert frame.schema["instrument_id"] == polars.Categorical
    assert frame["instrument_id"].to_list() == ["18", "28", *["18"] * 4]
    assert frame["start"].to_list() == [bar.start for bar in candles.bars]
    assert to_polars([]).schema == frame.schema


@pytest.mark.parametrize("make", [to_frame, to_polars])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    """With what to install."""

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(data_frames, "import_module", missing)
    with pytest.raises(EToroError, match=r"pandas|polars"):
        make([])


# Beginning and end -------------------------------------------------------------------------------


def test_a_recording_waits_until_somebody_reads_the_bars() -> None:
    """Candles alone are no reader, or the bars before the loop would be missed."""
    stream = stream_of(FIVE)
    with Watchdog(10), stream:
        candles = Candles(stream, "1m")
        assert candles.stats().ticks == 0
        assert closes(candles) == FIVE_CLOSES
    assert candles.stats().bars == 5


def test_close_emits_what_is_open_and_lets_the_stream_go_on() -> None:
    """Queues end, callbacks get the rest; twice is as once."""
    go_on = threading.Event()
    stream = stream_of(
        [*rates(both(5, "12:00:10")), lambda feed: wait(go_on), *rates(both(6, "12:01:10"))]
    )
    seen = stream.queue("instrument:rate")
    candles = Candles(stream, "1m")
    bars = candles.queue()
    with Watchdog(10), stream, candles:
        seen.get(timeout=5)
        candles.close()
        candles.close()
        assert [(bar.close, bar.complete) for bar in bars] == [(5.0, False)]
        go_on.set()
        assert len(list(seen)) == 1
        with pytest.raises(EToroClosedError):
            candles.queue()
        with pytest.raises(EToroClosedError):
            candles.on("bar", print)
        assert candles.stats().ticks == 1


def wait(event: threading.Event) -> None:
    assert event.wait(10)


def test_a_failure_of_the_stream_is_raised_behind_the_last_bar() -> None:
    """A loop does not end as if all were well."""

    def play(feed: Feed) -> None:
        for step in rates(both(5, "12:00:10")):
            step(feed)
        raise ZeroDivisionError

    stream = MarketStream(play)
    bars = Candles(stream, "1m").queue()
    stream.connect()
    with Watchdog(10):
        assert bars.get(timeout=5).close == 5.0
        with pytest.raises(EToroError, match="ZeroDivisionError"):
            bars.get(timeout=5)


def test_a_callback_of_a_bar_may_disconnect() -> None:
    """From the thread of callbacks."""
    stream = stream_of([*FIVE, *FIVE])
    Candles(stream, "1m").on("bar", lambda bar: stream.disconnect())
    with Watchdog(10), stream:
        stream.run_forever()


def test_candles_that_nobody_holds_go_on_only_for_callbacks() -> None:
    """Without one nothing is left of them on the stream."""
    stream = stream_of(FIVE)
    called: list[Bar] = []
    Candles(stream, "1m").on("bar", called.append)
    idle = Candles(stream, "1m", keep=1)
    gone = weakref.ref(idle)
    del idle
    gc.collect()
    assert gone() is None
    with Watchdog(10), stream:
        stream.run_forever()
    assert closes(called) == FIVE_CLOSES


def test_a_client_that_nobody_holds_is_closed_in_spite_of_its_candles(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The timer's thread ends, too, as the check of all tests sees."""
    server = simulator(instruments={18: 100.0})
    live = make_client(server.url)
    live.connect()
    Candles(live, "1m").on("bar", lambda bar: None)
    gone = weakref.ref(live)
    del live
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"price": "close"}, "price"),
        ({"grace": -1}, "grace"),
        ({"grace": "2"}, "grace"),
        ({"grace": float("nan")}, "grace"),
        ({"timer": -1}, "timer"),
        ({"revise": float("inf")}, "revise"),
        ({"keep": -1}, "keep"),
        ({"keep": True}, "keep"),
        ({"instrument_ids": "BTC"}, "instrument_ids"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], field: str) -> None:
    """Before anything listens."""
    with pytest.raises(EToroValidationError) as caught:
        Candles(stream_of([]), "1m", **arguments)
    assert caught.value.field == field


def test_other_mistakes_are_explained() -> None:
    """A source that is none, an event that is none, a coroutine, a copy."""
    candles = Candles(stream_of([]), "1m")
    for wrong, field in (
        (lambda: Candles(5), "source"),  # type: ignore[arg-type]
        (lambda: candles.on("bars", print), "event"),
        (lambda: candles.on("bar", print, interval="5m"), "interval"),
        (lambda: candles.on("bar", None), "handler"),  # type: ignore[call-overload]
        (lambda: candles.queue(overflow="conflate"), "overflow"),
    ):
        with pytest.raises(EToroValidationError) as caught:
            wrong()
        assert caught.value.field == field
    with pytest.raises(EToroValidationError, match=r"on_bar\(number, bar\) .* are \(Bar\)"):

        @candles.on("bar")
        def on_bar(number: int, bar: Bar) -> None: ...

    with pytest.raises(EToroTypeError):
        pickle.dumps(candles)
    assert repr(candles) == "<Candles 1m of bid, 0 bars>"


def test_a_bar_is_a_row_and_a_line() -> None:
    """For tables, and for print()."""
    (bar,) = list(played(rates(both(5, "12:00:10"))))
    assert bar.to_row()["close"] == 5.0
    assert bar == Bar(**bar.to_row())
    assert str(bar) == (
        "18 1m 2026-03-16 12:00:00 open 5.0 high 5.0 low 5.0 close 5.0, 1 ticks (incomplete, first)"
    )
    with pytest.raises(AttributeError):
        bar.close = 6.0  # type: ignore[misc]


def played(steps: Any) -> list[Bar]:
    with Watchdog(10), stream_of(steps) as stream:
        return list(Candles(stream, "1m"))


def test_a_defect_of_the_library_is_a_gap_and_not_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The bars say that rates are missing, and the log says why."""
    timed = Timed()
    rate = WsInstrumentRate(ask=6.0, bid=5.0, date="2026-03-16T12:00:50Z")
    timed.intake.take([(18, vars(rate))])
    timed.intake.take([(18, object())])
    timed.intake.take([(18, vars(rate))])
    timed.intake.finish()
    assert [(bar.ticks, bar.gap) for bar in timed.bars] == [(2, True)]
    assert "missed rates" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_in_a_forked_child_candles_are_closed() -> None:
    """They say so, and are collected without waiting for a lock of a thread that is gone."""
    code = (
        "import gc, os, sys\n"
        "from etoro_sync import Candles, EToroClosedError, MarketStream\n"
        "candles = Candles(MarketStream(print), '1m', keep=1)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try:\n"
        "        candles.queue()\n"
        "    except EToroClosedError:\n"
        "        candles.close()\n"
        "        registry = candles._core.registry\n"
        "        registry._lock.acquire()\n"
        "        del candles\n"
        "        gc.collect()\n"
        "        os._exit(7)\n"
        "    os._exit(1)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


def test_without_a_thread_for_the_timer_nothing_is_begun(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what is the matter, and the stream goes on."""
    live = client(simulator(instruments={18: 100.0}).url)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with live:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(EToroError, match="timer of candles"):
                Candles(live, "1m").on("bar", print)
        assert live.is_connected


def test_the_module_is_loaded_late() -> None:
    """A program without candles does not pay for them."""
    code = "import sys, etoro_sync; assert not any('candles' in name for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


# The timer ---------------------------------------------------------------------------------------


class Timed:
    """An intake with a clock that the test moves, whose timer looks when it is asked to."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.bars: list[Bar] = []
        self.made = Aggregator(check_intervals("1m"), "bid", 2.0, 0.0)
        self.intake = Intake(self.made, self.bars.extend, self.clock)

    def look(self) -> None:
        self.intake.close_due(5.0)


def test_the_timer_closes_bars_while_nothing_comes() -> None:
    """The time goes on from the latest date, by the monotonic clock."""
    timed = Timed()
    rate = WsInstrumentRate(ask=6.0, bid=5.0, date="2026-03-16T12:00:50Z")
    timed.intake.take([(18, vars(rate))])
    for seconds, bars in ((0, 0), (16.9, 0), (0.1, 1), (100, 1)):
        timed.clock.now += seconds
        timed.look()
        assert len(timed.bars) == bars
    timed.intake.take([(18, vars(rate))])
    assert timed.made.bars.late == 1


def test_bars_of_a_silent_client_are_closed_by_its_timer(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """And not before it has been silent."""
    server = simulator(instruments={18: 100.0})
    live = client(server.url)
    bars = Candles(live, "1s", grace=0.0, timer=0.1).queue()
    with Watchdog(20), live:
        live.subscribe([18], snapshot=True)
        server.publish(18, Bid="5.0", Ask="20")
        assert bars.get(timeout=10).close == 5.0
        assert bars.empty()


def test_bars_of_any_live_source_are_closed_by_a_timer() -> None:
    """Also of one that a function plays, such as a reader of Redis."""
    live = LiveStream()
    bars = Candles(live, "1s", grace=0.0, timer=0.1).queue()
    with Watchdog(20), live:
        now = datetime.now(timezone.utc)
        live.bring(rate(18, 5.0, date=f"{now:%Y-%m-%dT%H:%M:%S}Z", received_at=now.timestamp()))
        assert bars.get(timeout=10).close == 5.0


def test_a_recording_has_no_timer() -> None:
    """However long it pauses, the watermark alone decides."""
    go_on = threading.Event()
    stream = stream_of(
        [*rates(both(5, "12:00:59")), lambda feed: wait(go_on), *rates(both(6, "12:00:59.5"))]
    )
    bars = Candles(stream, "1s", timer=0.0, grace=0.0).queue()
    with Watchdog(10), stream:
        with pytest.raises(queue.Empty):
            bars.get(timeout=1.1)
        go_on.set()
        assert prices(bars) == [("12:00:59", 5, 6, 5, 6, 2)]
