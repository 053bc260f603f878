"""What is in a bar, and when it is closed: each clause by hand, and all of them against a model."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etoro_sync import Bar, Candles, WsInstrumentRate
from etoro_sync.candles.aggregator import Aggregator
from etoro_sync.candles.times import check_intervals
from tests.candles.tools import (
    MINUTE,
    NOON,
    Row,
    Session,
    bars_of,
    bid,
    both,
    by_start,
    find,
    lose,
    model,
    prices,
    rates,
    snapshot,
    stamp,
    stream_of,
    text,
    written,
)
from tests.support.threads import Watchdog

#: Closes every bar before 13:00.
LATER = rates(stamp("13:00:00"))


def test_a_bar_has_its_start_and_not_its_end() -> None:
    """A tick at 12:01:00 belongs to the bar that begins then."""
    found = bars_of(
        rates(
            both(1, "12:00:00"),
            both(3, "12:00:30"),
            both(2, "12:00:59.9999999"),
            both(9, "12:01:00"),
        )
    )
    assert prices(found) == [("12:00:00", 1, 3, 1, 2, 3), ("12:01:00", 9, 9, 9, 9, 1)]
    assert found[0].start == datetime(2026, 3, 16, 12, tzinfo=timezone.utc)
    assert found[0].end == datetime(2026, 3, 16, 12, 1, tzinfo=timezone.utc)


def test_open_and_close_follow_the_dates_and_not_the_arrival() -> None:
    """A tick that comes late while its bar is open takes its place."""
    found = bars_of(
        rates(both(5, "12:00:10"), both(6, "12:00:50"), both(1, "12:00:05"), both(9, "12:00:49"))
    )
    assert prices(found) == [("12:00:00", 1, 9, 1, 6, 4)]


def test_of_equal_times_the_arrival_decides() -> None:
    """The first that came is the open, and the last that came is the close."""
    found = bars_of(
        rates(
            both(5, "12:00:10.50"),
            both(6, "12:00:10.5"),
            both(7, "12:00:10.5"),
            both(4, "12:00:10.500"),
        )
    )
    assert prices(found) == [("12:00:00", 5, 7, 4, 4, 4)]


def test_seven_digits_decide() -> None:
    """A ten-millionth of a second earlier is earlier, whatever the number of digits."""
    found = bars_of(
        rates(both(5, "12:00:10.2168235"), both(6, "12:00:10.2168234"), both(7, "12:00:10.21682"))
    )
    assert prices(found) == [("12:00:00", 7, 7, 5, 5, 3)]


def test_a_heartbeat_moves_the_watermark_and_not_the_price() -> None:
    """It closes the bar, which has no tick of it."""
    found = bars_of(rates(both(5, "12:00:10"), stamp("12:01:02")))
    assert prices(found) == [("12:00:00", 5, 5, 5, 5, 1)]
    assert found[0].complete


def closed_after(date: str, *, key: int = 18, **options: Any) -> int:
    """How many bars of a tick at 12:00:10 are closed by a heartbeat of *date*."""
    waiting: list[int] = []
    stream = stream_of(
        [
            *rates(both(5, "12:00:10")),
            *rates(stamp(date), key=key),
            lambda feed: waiting.append(candles.stats().bars),
        ]
    )
    candles = Candles(stream, "1m", **options)
    queue = candles.queue()
    with Watchdog(10), stream:
        list(queue)
    return waiting[0]


def test_a_bar_is_closed_when_the_watermark_is_the_grace_past_its_end() -> None:
    """The latest date counts, of any instrument, and not the time of the machine."""
    assert closed_after("12:01:01.9999999") == 0
    assert closed_after("12:01:02") == 1
    assert closed_after("12:01:02", key=28) == 1
    assert closed_after("12:01:02", grace=3) == 0
    assert closed_after("12:01:00", grace=0) == 1


def test_the_ask_side_alone_is_no_tick_of_the_bid() -> None:
    """Neither are flags; an equal bid that is sent again is one."""
    found = bars_of(
        rates(
            both(5, "12:00:10"),
            {"Ask": "9", **stamp("12:00:20")},
            {"ConversionRateAsk": "1.0", "ConversionRateBid": "1.0"},
            {"IsMarketOpen": "true", **stamp("12:00:25")},
            bid(5, "12:00:30"),
        )
    )
    assert prices(found) == [("12:00:00", 5, 5, 5, 5, 2)]


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ("bid", (5, 6, 5, 6, 2)),
        ("ask", (7, 9, 7, 9, 2)),
        ("mid", (6, 7, 6, 7, 3)),
        ("last_execution", (5.5, 5.5, 5.5, 5.5, 1)),
    ],
)
def test_a_bar_is_of_the_price_that_was_asked_for(price: str, expected: Any) -> None:
    """The middle moves with either side; a last execution of 0 is none."""
    found = bars_of(
        rates(
            {**both(5, "12:00:10", ask=7), "LastExecution": "5.5"},
            {"Ask": "9", **stamp("12:00:20")},
            bid(6, "12:00:30"),
        )
        if price != "mid"
        else rates(
            both(5, "12:00:10", ask=7), {"Ask": "9", **stamp("12:00:20")}, bid(5, "12:00:30")
        ),
        price=price,
    )
    (bar,) = found
    assert (bar.open, bar.high, bar.low, bar.close, bar.ticks) == expected
    assert bar.price == price


def test_a_message_without_a_date_takes_the_last_one_of_its_instrument() -> None:
    """Also that of a heartbeat, and never that of another instrument."""
    found = bars_of(
        [
            *rates(both(5, "12:00:10"), bid(6, None)),
            *rates(both(1, "12:05:00"), key=28),
            *rates(stamp("12:03:30"), bid(7, None)),
        ]
    )
    mine = [bar for bar in found if bar.instrument_id == 18]
    assert prices(mine) == [("12:00:00", 5, 6, 5, 6, 2)]
    steps = [*rates(both(5, "12:00:10"), stamp("12:00:59"), stamp("12:01:30"), bid(7, None))]
    assert prices(bars_of(steps)) == [("12:00:00", 5, 5, 5, 5, 1), ("12:01:00", 7, 7, 7, 7, 1)]


def test_the_first_snapshot_makes_no_tick_whatever_its_date() -> None:
    """Its price was made before anybody listened; no bar is made of the past."""
    for date in ("09:00:00", "12:00:09"):
        found = bars_of([*snapshot(4, date), *rates(both(5, "12:00:10"))])
        assert prices(found) == [("12:00:00", 5, 5, 5, 5, 1)]


def test_a_snapshot_makes_a_tick_only_where_one_was_missed() -> None:
    """With a newer date than the last message and another price; never with an old date."""
    before, after = rates(both(5, "12:00:10")), rates(both(6, "12:00:50"))
    old = bars_of([*before, lose, *snapshot(9, "12:00:10"), find, *after])
    assert prices(old) == [("12:00:00", 5, 6, 5, 6, 2)]
    same = bars_of([*before, lose, *snapshot(5, "12:00:40"), find, *after])
    assert prices(same) == [("12:00:00", 5, 6, 5, 6, 2)]
    news = bars_of([*before, lose, *snapshot(9, "12:00:40"), find, *after])
    assert prices(news) == [("12:00:00", 5, 9, 5, 6, 3)]
    assert [bar.gap for bar in old + same + news] == [True, True, True]


def test_no_bar_without_a_tick() -> None:
    """Minutes without one have none, and so has an instrument that sends heartbeats alone."""
    found = bars_of(
        [*rates(both(5, "12:00:10"), both(6, "12:07:10")), *rates(stamp("12:08:00"), key=28)]
    )
    assert [f"{bar.start:%H:%M}" for bar in found] == ["12:00", "12:07"]


def test_bars_of_several_intervals_come_from_one_pass() -> None:
    """By their ends; of equal ends the shortest first."""
    steps = [*rates(both(5, "11:59:50"), both(6, "12:00:10"), both(7, "12:01:10")), *LATER]
    found = bars_of(steps, ["1m", "1h", "2m"])
    assert [(bar.interval, f"{bar.start:%H:%M}", bar.close) for bar in found] == [
        ("1m", "11:59", 5.0),
        ("2m", "11:58", 5.0),
        ("1h", "11:00", 5.0),
        ("1m", "12:00", 6.0),
        ("1m", "12:01", 7.0),
        ("2m", "12:00", 7.0),
        ("1h", "12:00", 7.0),
    ]
    assert [bar.complete for bar in found] == [True] * 7


def test_a_day_begins_at_midnight_in_utc() -> None:
    """And so does each of its parts."""
    steps = rates(both(5, "2026-03-16T23:59:59.9Z"), both(6, "2026-03-17T00:00:00Z"))
    found = bars_of(steps, ["1d", "8h"])
    assert [(bar.interval, f"{bar.start:%d %H:%M}") for bar in found] == [
        ("8h", "16 16:00"),
        ("1d", "16 00:00"),
        ("8h", "17 00:00"),
        ("1d", "17 00:00"),
    ]


def test_the_first_bar_of_each_instrument_is_marked() -> None:
    """In each interval, since what was before is not known."""
    steps = [*rates(both(5, "12:00:10"), both(6, "12:01:10")), *rates(both(7, "12:01:20"), key=28)]
    found = bars_of([*steps, *LATER], ["1m", "5m"])
    assert [(b.instrument_id, b.interval, b.first) for b in found] == [
        (18, "1m", True),
        (18, "1m", False),
        (28, "1m", True),
        (18, "5m", True),
        (28, "5m", True),
    ]


def test_bars_that_a_gap_touches_are_marked_and_no_others() -> None:
    """Those that were open when the connection was lost, and the one in which it came back."""
    found = bars_of(
        [
            *rates(both(1, "12:00:10"), both(2, "12:02:10")),
            lose,
            *snapshot(3, "12:02:10"),
            find,
            *rates(both(4, "12:04:30"), both(5, "12:04:40"), both(6, "12:05:10")),
        ],
        ["1m", "10m"],
    )
    assert [(b.interval, f"{b.start:%H:%M}", b.gap) for b in found] == [
        ("1m", "12:00", False),
        ("1m", "12:02", True),
        ("1m", "12:04", True),
        ("1m", "12:05", False),
        ("10m", "12:00", True),
    ]


def test_a_gap_ends_for_all_with_the_first_message_behind_it() -> None:
    """An instrument whose first tick comes much later was received meanwhile: it was silent."""
    found = bars_of(
        [
            *rates(both(1, "12:00:10")),
            *rates(both(1, "12:00:10"), key=28),
            lose,
            *snapshot(1, "12:00:10"),
            *snapshot(1, "12:00:10", key=28),
            find,
            *rates(stamp("12:03:10"), key=28),
            *rates(both(2, "12:03:20"), both(2, "12:09:20")),
            *rates(both(2, "12:09:30"), key=28),
        ]
    )
    assert [(b.instrument_id, f"{b.start:%H:%M}", b.gap) for b in found] == [
        (18, "12:00", True),
        (28, "12:00", True),
        (18, "12:03", True),
        (18, "12:09", False),
        (28, "12:09", False),
    ]


def test_an_instrument_that_is_subscribed_to_again_has_a_gap_of_its_own() -> None:
    """A second snapshot shows it; other instruments were received all the time."""
    found = bars_of(
        [
            *rates(both(1, "12:00:10")),
            *rates(both(1, "12:00:10"), key=28),
            *snapshot(1, "12:00:10"),
            *rates(both(2, "12:00:20"), both(2, "12:01:20")),
        ]
    )
    assert [(b.instrument_id, f"{b.start:%H:%M}", b.gap) for b in found] == [
        (18, "12:00", True),
        (28, "12:00", False),
        (18, "12:01", False),
    ]


def test_a_new_connection_is_a_gap_also_without_an_event() -> None:
    """A source of one's own may only begin a new generation."""
    found = bars_of(
        [
            *rates(both(1, "12:00:10")),
            lambda feed: feed.new_connection(),
            *rates(both(2, "12:01:20"), both(2, "12:02:20")),
        ]
    )
    assert [b.gap for b in found] == [True, True, False]


def test_a_hole_of_a_recording_is_a_gap() -> None:
    """It is told by the event alone, without a loss before."""
    found = bars_of(
        [*rates(both(1, "12:00:10")), find, *rates(both(2, "12:01:20"), both(2, "12:02:20"))]
    )
    assert [b.gap for b in found] == [True, True, False]


def late_ones(**options: Any) -> tuple[list[Bar], Any]:
    steps = [*rates(both(5, "12:00:10"), both(6, "12:01:30"), both(9, "12:00:20")), *LATER]
    with Watchdog(10), stream_of(steps) as stream:
        candles = Candles(stream, "1m", **options)
        return list(candles), candles.stats()


def test_a_late_tick_is_counted_and_changes_nothing() -> None:
    """A bar that was emitted stays as it was."""
    found, stats = late_ones()
    assert prices(found) == [("12:00:00", 5, 5, 5, 5, 1), ("12:01:00", 6, 6, 6, 6, 1)]
    assert (stats.late, stats.ticks, stats.bars) == (1, 3, 2)


def test_a_late_tick_revises_its_bar_on_request() -> None:
    """The bar is emitted again, with a higher revision, as long as it is remembered."""
    found, stats = late_ones(revise=60)
    assert prices(found) == [
        ("12:00:00", 5, 5, 5, 5, 1),
        ("12:00:00", 5, 9, 5, 9, 2),
        ("12:01:00", 6, 6, 6, 6, 1),
    ]
    assert [bar.revision for bar in found] == [0, 1, 0]
    assert (stats.late, stats.bars) == (1, 3)
    found, stats = late_ones(revise=20)
    assert len(found) == 2


def test_a_late_tick_without_a_bar_makes_one_on_request() -> None:
    """It is the first word of that bar, so it has no revision."""
    steps = rates(both(5, "12:01:10"), both(6, "12:02:30"), both(9, "12:00:20"))
    found = bars_of(steps, revise=3600)
    assert prices(found)[1] == ("12:00:00", 9, 9, 9, 9, 1)
    assert found[1].revision == 0
    assert len(bars_of(steps)) == 2


def test_bars_that_are_open_at_the_end_are_not_complete() -> None:
    """The stream has ended before them; one whose end has passed is."""
    found = bars_of(rates(both(5, "12:00:10"), both(6, "12:01:01")))
    assert [bar.complete for bar in found] == [True, False]


@pytest.mark.parametrize(
    "date",
    ["", "yesterday", "2026-03-16T12:00:70Z", "1969-12-31T23:59:59Z", "9999-12-31T00:00:00Z"],
)
def test_a_wrong_date_makes_no_bar_and_moves_nothing(date: str) -> None:
    """It is counted; one far in the future would close all bars until then."""
    steps = rates(
        both(5, "12:00:10"),
        {**both(9, "12:00:11"), "Date": date},
        {**stamp(""), "Date": date},
        both(6, "12:00:20"),
    )
    with Watchdog(10), stream_of(steps) as stream:
        candles = Candles(stream, "1m")
        assert prices(candles) == [("12:00:00", 5, 6, 5, 6, 2)]
    assert candles.stats().bad >= 1


def test_rates_that_were_merged_elsewhere_are_ticks() -> None:
    """They do not say what has changed; prices that are none are left out."""
    odd = [float("nan"), float("inf"), 0.0, -1.0]
    ones = [
        WsInstrumentRate(ask=9.0, bid=price, date="2026-03-16T12:00:10Z")
        for price in (5.0, *odd, 6.0)
    ]
    found = bars_of([lambda feed: feed.rates([(18, one) for one in ones])])
    assert prices(found) == [("12:00:00", 5, 6, 5, 6, 2)]


def test_a_read_of_many_messages_is_taken_in_their_order() -> None:
    """Heartbeats and rates of one read keep their places."""
    contents = [both(5, "12:00:10"), stamp("12:01:30"), both(9, "12:00:20"), both(6, "12:01:40")]
    found = bars_of([lambda feed: feed.texts([text(18, each) for each in contents])])
    assert prices(found) == [("12:00:00", 5, 5, 5, 5, 1), ("12:01:00", 6, 6, 6, 6, 1)]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", ["1s", "1m", "15m"])
def test_bars_are_those_of_an_obvious_model(seed: int, name: str) -> None:
    """Random sessions with gaps, late ticks, missing dates and snapshots."""
    session = Session(seed)
    length = {"1s": MINUTE // 60, "1m": MINUTE, "15m": 15 * MINUTE}[name]
    expected, late = model(session.rows, length)
    with Watchdog(20), stream_of(session.steps) as stream:
        candles = Candles(stream, name)
        found = list(candles)
    assert by_start(found) == expected
    assert len(found) == len(expected)
    assert candles.stats().late == late > 0


@pytest.mark.parametrize("event", ["instrument:delta", "message"])
def test_bars_are_the_same_whoever_else_listens(event: str) -> None:
    """Listeners of every message lead the feed handler a longer way."""
    session = Session(3)
    with Watchdog(20), stream_of(session.steps) as stream:
        stream.on(event, lambda *_: None)
        found = Candles(stream, "1s").queue()
        assert by_start(found) == model(session.rows, MINUTE // 60)[0]


@st.composite
def ticks(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    one = st.tuples(st.sampled_from([18, 28]), st.integers(0, 400 * 10**7), st.integers(1, 5))
    return draw(st.lists(one, max_size=40))


@settings(deadline=None, max_examples=150)
@given(ticks(), st.sampled_from([0.0, 2.0, 60.0]))
def test_any_order_of_ticks_gives_the_bars_of_the_model(
    some: list[tuple[int, int, int]], grace: float
) -> None:
    """However far they jump forth and back."""
    made = Aggregator(check_intervals(["1m", "5m"]), "bid", grace, 0.0)
    rows = [Row(key, NOON + time * 100, float(price)) for key, time, price in some]
    for row in rows:
        rate = WsInstrumentRate(ask=9.0, bid=row.price or 0.0, date=written(row.time))
        made.take([(row.key, vars(rate))])
    made.bars.finish()
    for name, length in (("1m", MINUTE), ("5m", 5 * MINUTE)):
        expected, _ = model(rows, length, grace)
        assert by_start(bar for bar in made.bars.out if bar.interval == name) == expected


def test_the_model_is_checked_by_hand() -> None:
    """Or both could be wrong in the same way."""
    rows = [
        Row(1, NOON, 5.0),
        Row(1, NOON + 70 * 10**9, 6.0),
        Row(1, NOON + 10**9, 7.0),
        Row(1, NOON + 65 * 10**9, 4.0),
    ]
    assert model(rows, MINUTE) == (
        {(1, NOON): (5.0, 5.0, 5.0, 5.0, 1), (1, NOON + MINUTE): (4.0, 6.0, 4.0, 6.0, 2)},
        1,
    )


def test_the_end_of_a_bar_is_not_in_it_on_the_fast_way_either() -> None:
    """A tick in a minute that is known, for a bar that is open."""
    found = bars_of(
        [
            *rates(both(1, "12:01:00"), key=28),
            *rates(both(5, "12:00:30"), both(6, "12:01:00"), both(7, "12:01:00")),
        ]
    )
    mine = [bar for bar in found if bar.instrument_id == 18]
    assert prices(mine) == [("12:00:00", 5, 5, 5, 5, 1), ("12:01:00", 6, 7, 6, 7, 2)]


def test_all_intervals_are_marked_in_which_a_gap_ends() -> None:
    """Also where the gap goes over a boundary of the longer one."""
    found = bars_of(
        [
            *rates(both(1, "12:00:10")),
            lambda feed: feed.new_connection(),
            *rates(both(2, "12:11:20"), both(3, "12:12:20")),
        ],
        ["1m", "10m"],
    )
    assert [(bar.interval, bar.gap) for bar in found if f"{bar.start:%H:%M}" != "12:00"] == [
        ("1m", True),
        ("1m", False),
        ("10m", True),
    ]


def test_a_gap_within_a_bar_is_seen_however_it_is_told() -> None:
    """By a new generation, by the loss alone, or by a snapshot whose date closes the bar."""
    before, after = rates(both(1, "12:00:10")), rates(both(2, "12:00:20"))
    (quiet,) = bars_of([*before, lambda feed: feed.new_connection(), *after])
    (lost,) = bars_of([*before, lambda feed: feed.emit("reconnecting", 1, 0.1)])
    (closed,) = bars_of([*before, *snapshot(1, "12:05:00")])
    assert [bar.gap for bar in (quiet, lost, closed)] == [True, True, True]


def test_a_message_of_another_instrument_ends_the_gap_of_one() -> None:
    """From then on it was received, and silent."""
    found = bars_of(
        [
            *rates(both(1, "12:00:10")),
            *snapshot(1, "12:00:10"),
            *rates(stamp("12:00:30"), key=28),
            *rates(both(2, "12:03:00")),
        ]
    )
    assert [bar.gap for bar in found] == [True, False]


def test_a_date_without_its_letter_is_read_to_the_last_digit() -> None:
    """The order of two ticks may hang on it."""
    odd = {**both(6, ""), "Date": "2026-03-16T12:00:10.52"}
    found = bars_of(rates(both(5, "12:00:10.51"), odd))
    assert prices(found) == [("12:00:00", 5, 6, 5, 6, 2)]


def test_a_snapshot_is_compared_with_the_latest_price_and_not_with_one_that_came_late() -> None:
    """A late tick does not make what the snapshot repeats a price that was missed."""
    ticks = rates(both(6, "12:00:50"), both(1, "12:00:05"))
    found = bars_of([*ticks, lose, *snapshot(6, "12:00:50"), find])
    assert prices(found) == [("12:00:00", 1, 6, 1, 6, 2)]
    ticks = rates(both(6, "12:00:50"), both(2, "12:02:30"), both(1, "12:00:55"))
    found = bars_of([*ticks, lose, *snapshot(2, "12:02:40"), find])
    assert prices(found) == [("12:00:00", 6, 6, 6, 6, 1), ("12:02:00", 2, 2, 2, 2, 1)]


def test_a_heartbeat_whose_date_is_no_text_changes_nothing() -> None:
    """Neither the bars, nor the stream, nor what comes behind it in the same read."""
    odd = {"Date": 20260316, "PriceRateID": "7"}
    contents: list[Any] = [both(5, "12:00:10"), stamp("12:00:11"), odd, both(6, "12:00:20")]
    texts = [text(18, each) for each in contents]
    found = bars_of([lambda feed: feed.texts(texts), lambda feed: feed.texts(texts)])
    assert prices(found) == [("12:00:00", 5, 6, 5, 6, 4)]


def of_connection(key: int, price: float, date: str, generation: int) -> Any:
    """A step that plays a merged rate of one of several connections."""
    whole = f"2026-03-16T{date}Z"
    rate = WsInstrumentRate(ask=9.0, bid=price, date=whole, generation=generation)
    return lambda feed: feed.rates([(key, rate)])


def test_connections_that_go_on_side_by_side_are_no_gap() -> None:
    """Each instrument has one; its own is new where a gap is, and the others' are not."""
    found = bars_of(
        [
            of_connection(18, 5, "12:00:10", 1),
            of_connection(28, 5, "12:00:11", 2),
            of_connection(18, 6, "12:00:12", 1),
            of_connection(28, 6, "12:00:13", 2),
            of_connection(18, 7, "12:01:10", 1),
            of_connection(28, 7, "12:01:11", 3),
            of_connection(18, 8, "12:01:12", 1),
            of_connection(28, 8, "12:02:11", 3),
        ],
        ["1m", "1h"],
    )
    marks = [(b.instrument_id, b.interval, f"{b.start:%H:%M}", b.gap) for b in found]
    assert sorted(marks) == [
        (18, "1h", "12:00", False),
        (18, "1m", "12:00", False),
        (18, "1m", "12:01", False),
        (28, "1h", "12:00", True),
        (28, "1m", "12:00", False),
        (28, "1m", "12:01", True),
        (28, "1m", "12:02", False),
    ]


def test_a_new_connection_without_an_event_marks_also_those_that_stay_silent() -> None:
    """What they have sent meanwhile is missing, too."""
    steps = [*rates(both(1, "12:00:10")), *rates(both(1, "12:00:10"), key=28)]
    found = bars_of([*steps, lambda feed: feed.new_connection(), *rates(both(2, "12:00:20"))])
    assert [(bar.instrument_id, bar.gap) for bar in found] == [(18, True), (28, True)]


def test_another_connection_within_a_bar_is_a_gap_of_it() -> None:
    """Also where the tick could take the short way; the bar behind it has none."""
    found = bars_of(
        [
            of_connection(18, 5, "12:00:10", 1),
            of_connection(18, 6, "12:00:20", 1),
            of_connection(18, 7, "12:00:30", 2),
            of_connection(18, 8, "12:00:40", 2),
            of_connection(18, 9, "12:01:40", 2),
        ]
    )
    assert [(bar.ticks, bar.gap) for bar in found] == [(4, True), (1, False)]


def test_a_loss_ends_with_a_tick_though_nothing_says_that_messages_come_again() -> None:
    """It marks the bar in which it was, and none behind it."""
    found = bars_of(
        [
            *rates(both(1, "12:00:10"), both(2, "12:00:15")),
            lambda feed: feed.emit("reconnecting", 1, 0.1),
            *rates(both(3, "12:00:20"), both(4, "12:00:30"), both(5, "12:01:10")),
        ]
    )
    assert [(bar.ticks, bar.gap) for bar in found] == [(4, True), (1, False)]


def test_a_first_tick_at_the_begin_of_a_bar_is_the_first_of_all_intervals() -> None:
    """Whichever of them takes it before the others."""
    found = bars_of(rates(both(5, "12:00:00"), both(6, "12:00:10")), ["1m", "5m", "1h"])
    assert [bar.first for bar in found] == [True, True, True]


def test_a_bar_that_begins_late_does_not_hide_the_latest_price() -> None:
    """A snapshot that repeats it is no tick."""
    ticks = rates(both(6, "12:01:10"), both(1, "12:00:50"))
    found = bars_of([*ticks, lose, *snapshot(6, "12:01:10"), find], grace=60)
    assert prices(found) == [("12:00:00", 1, 1, 1, 1, 1), ("12:01:00", 6, 6, 6, 6, 1)]


def test_behind_a_gap_that_has_ended_a_first_tick_is_no_other_gap() -> None:
    """Its connection is another one, which is known."""
    found = bars_of(
        [
            *rates(both(1, "12:00:10")),
            *rates(both(1, "12:00:10"), key=28),
            lose,
            find,
            *rates(stamp("12:03:10"), key=28),
            *rates(both(2, "12:05:20")),
        ]
    )
    assert [b.gap for b in found if b.instrument_id == 18] == [True, False]


def test_a_snapshot_of_another_connection_ends_the_gap_of_its_instrument() -> None:
    """A fleet moves an instrument so: what follows on the new connection is complete."""
    made = Aggregator(check_intervals("1m"), "bid", 2.0, 0.0)

    def state(date: str, generation: int) -> dict[str, Any]:
        whole = f"2026-03-16T{date}Z"
        return vars(WsInstrumentRate(ask=9.0, bid=5.0, date=whole, generation=generation))

    made.take([(18, state("12:00:10", 1)), (18, "snapshot"), (18, state("12:00:10", 2))])
    made.take([(28, state("12:01:10", 1)), (18, state("12:03:10", 2))])
    made.bars.finish()
    found = [(bar.instrument_id, bar.gap) for bar in made.bars.out]
    assert found == [(18, True), (28, False), (18, False)]
