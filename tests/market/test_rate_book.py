"""Merging: what is published is exact, of this connection, and never silently stale."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etoro_sync.market import rate_book
from etoro_sync.market.merging import make_rate
from etoro_sync.market.rate_book import RateBook
from etoro_sync.market.rate_view import RateView
from etoro_sync.models import WsInstrumentRate

RATE = "Trading.Instrument.Rate"
TOPIC = "instrument:18"


class Feed:
    """A book of one connection, and a short way to feed it."""

    def __init__(self, topics: tuple[str, ...] = (TOPIC,), **options: float) -> None:
        self.book = RateBook(**options)
        self.now = 1000.0
        self.reports: list[tuple[str, Exception]] = []
        self.book.begin_generation(topics)

    def send(self, content: dict[str, Any], type_: str = RATE, topic: str = TOPIC) -> Any:
        """Merge one message; the rate that it makes, or None."""
        self.now += 0.1
        instrument = self.book.instrument(topic, self.now)
        assert instrument is not None
        state = self.book.merge(
            instrument, content, type_, self.now, self.now + 5, lambda *r: self.reports.append(r)
        )
        return None if state is None else make_rate(state)

    @property
    def rate(self) -> WsInstrumentRate | None:
        """What users see."""
        return RateView(self.book).get(18)


def test_sparse_deltas_are_merged() -> None:
    """A side that did not change stays as it was."""
    feed = Feed()
    assert feed.send({"Bid": "1", "Date": "d1", "PriceRateID": "1"}) is None
    first = feed.send({"Ask": "2", "Date": "d2", "PriceRateID": "2"})
    second = feed.send({"Bid": "1.5", "LastExecution": "1.75"})
    assert (first.ask, first.bid, first.last_execution, first.date) == (2.0, 1.0, 0.0, "d2")
    assert (second.ask, second.bid, second.last_execution) == (2.0, 1.5, 1.75)
    assert (second.date, second.price_rate_id) == ("d2", 2)
    assert feed.rate == second


def test_a_rate_tells_what_changed_when_and_on_which_connection() -> None:
    """``changed`` is what the message carried, in its order."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1"})
    rate = feed.send({"Bid": "1", "Date": "d", "IsMarketOpen": "True", "Foreign": "x"})
    assert rate.changed == ("bid", "date", "is_market_open")
    assert rate.generation == 1
    assert rate.received_at == feed.now + 5


@pytest.mark.parametrize("value", ["0", 0, "-1", "0.0"])
def test_a_last_execution_of_zero_keeps_the_previous_one(value: Any) -> None:
    """eToro sends 0 when it has no fresh value; read as a price it is a loss of 100 %."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1", "LastExecution": "1.5"})
    rate = feed.send({"LastExecution": value})
    assert rate.last_execution == 1.5
    assert rate.changed == ("last_execution",)


@pytest.mark.parametrize(
    "content",
    [
        {"Date": "d2", "PriceRateID": "2"},
        {"Date": "d2"},
        {"PriceRateID": "2"},
        {},
        {"Date": "d2", "Foreign": "x"},
        {"Date": "d2", "Ask": None, "Bid": None},
    ],
)
def test_a_heartbeat_is_no_rate_and_not_the_time_of_a_price(content: dict[str, Any]) -> None:
    """It only refreshes when the instrument was heard of."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1", "Date": "d1", "PriceRateID": "1"})
    before = feed.rate
    instrument = feed.book.instrument(TOPIC, 0.0)
    assert instrument is not None
    instrument.stale = True
    assert feed.send(content) is None
    assert feed.rate == before
    assert instrument.heard_at == feed.now
    assert not instrument.stale


def test_a_change_of_flags_is_shown_but_is_no_rate() -> None:
    """And its date is not the time of a price."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1", "Date": "d1"})
    assert feed.send({"IsMarketOpen": "False", "Date": "d2"}) is None
    assert feed.rate is not None
    assert feed.rate.is_market_open is False
    assert feed.rate.date == "d1"
    assert feed.rate.changed == ("is_market_open",)


@pytest.mark.parametrize("flag", ["IsMarketOpen", "IsInstrumentActive"])
def test_an_instrument_knows_that_it_is_closed(flag: str) -> None:
    """Silence of a closed market is not staleness."""
    feed = Feed()
    instrument = feed.book.instrument(TOPIC, 0.0)
    assert instrument is not None
    assert not instrument.closed
    feed.send({flag: "False"}, "Trading.Instrument.Active")
    assert instrument.closed
    feed.send({flag: "True"}, "Trading.Instrument.Active")
    assert not instrument.closed


def test_the_last_word_on_whether_an_instrument_is_closed_counts() -> None:
    """A market opens with one flag, though the snapshot of the night has said no to both."""
    feed = Feed()
    instrument = feed.book.instrument(TOPIC, 0.0)
    assert instrument is not None
    night = {"Ask": "2", "Bid": "1", "IsMarketOpen": "false", "IsInstrumentActive": "false"}
    feed.send(night, "Snapshot")
    assert instrument.closed
    feed.send({"IsInstrumentActive": "True"}, "Trading.Instrument.Active")
    assert not instrument.closed
    feed.send({"Ask": "3"})
    assert not instrument.closed
    feed.send({"IsInstrumentActive": "False"}, "Trading.Instrument.Active")
    assert instrument.closed


# Bad fields --------------------------------------------------------------------------------------


def test_a_bad_side_becomes_unknown_and_is_reported() -> None:
    """The old price must not pass for the new one; the other fields are merged."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1"})
    assert feed.send({"Ask": "x", "Bid": "1.5", "Date": "d"}) is None
    assert feed.rate is None
    assert [wire for wire, _ in feed.reports] == ["Ask"]
    rate = feed.send({"Ask": "3"})
    assert (rate.ask, rate.bid, rate.date) == (3.0, 1.5, "d")


@pytest.mark.parametrize("value", ["0", "0.0", "-0", "1e-400", "-3", 0, -3.5])
@pytest.mark.parametrize("wire", ["Ask", "Bid"])
def test_a_side_that_is_not_above_zero_is_unknown_and_reported(wire: str, value: Any) -> None:
    """Nobody may sell at 0 because of it, and the old price must not pass for the new one."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1"})
    assert feed.send({"LastExecution": "1.5", wire: value}) is None
    assert feed.rate is None
    ((reported, cause),) = feed.reports
    assert reported == wire
    assert "is not a price" in str(cause)
    # What else the message brought counts, and the next price is shown again.
    rate = feed.send({wire: "3"})
    assert (getattr(rate, wire.lower()), rate.last_execution) == (3.0, 1.5)
    assert feed.rate == rate


@pytest.mark.parametrize("side", [{"Ask": "0", "Bid": "1"}, {"Ask": "2", "Bid": "0"}])
def test_a_snapshot_with_one_side_of_zero_knows_the_other(side: dict[str, str]) -> None:
    """Nothing is shown until the missing one comes."""
    feed = Feed()
    assert feed.send(side, "Snapshot") is None
    assert feed.rate is None
    assert feed.send({wire: "1.5" for wire in side if side[wire] == "0"}) is not None
    assert feed.rate is not None


def test_a_bad_last_execution_becomes_unknown() -> None:
    """Unlike 0, which is eToro's word for nothing new, it says that something was new."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1", "LastExecution": "1.5"})
    rate = feed.send({"LastExecution": "x"})
    assert rate.last_execution == 0.0
    rate = feed.send({"LastExecution": "0", "IsMarketOpen": "perhaps"})
    assert rate.last_execution == 0.0
    assert [wire for wire, _ in feed.reports] == ["LastExecution", "IsMarketOpen"]


def test_a_bad_field_may_be_nested_without_end() -> None:
    """A value that cannot even be shown is one bad field like any other."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    feed = Feed()
    rate = feed.send({"Ask": "2", "Bid": "1", "AvailabilityReason": deep})
    assert rate.availability_reason is None
    assert len(feed.reports) == 1


# Generations -------------------------------------------------------------------------------------


def test_nothing_is_published_until_both_sides_are_known_on_this_connection() -> None:
    """A side of the old connection is never mixed with one of the new."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1"})
    assert feed.book.begin_generation([TOPIC]) == 2
    assert feed.rate is not None
    assert feed.rate.generation == 1
    assert feed.send({"Bid": "5"}) is None
    assert feed.rate.bid == 1.0
    rate = feed.send({"Ask": "6"})
    assert (rate.ask, rate.bid, rate.generation) == (6.0, 5.0, 2)


def test_a_new_generation_keeps_the_old_rates_of_what_is_wanted_only() -> None:
    """What is no longer wanted is not shown again."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1"})
    feed.send({"Ask": "2", "Bid": "1"}, topic="instrument:19")
    feed.book.begin_generation(["private", TOPIC])
    assert list(RateView(feed.book)) == [18]


def test_an_unknown_side_does_not_hide_the_rate_of_an_older_generation() -> None:
    """During a restoration the last known rate, marked by its generation, is better than none."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1"})
    feed.book.begin_generation([TOPIC])
    feed.send({"Ask": "x"})
    assert feed.rate is not None
    assert feed.rate.generation == 1


def test_clear_forgets_everything_but_the_generation() -> None:
    """After disconnect() no price is shown."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1"})
    feed.book.forget(["instrument:19"])
    feed.book.clear()
    assert len(RateView(feed.book)) == 0
    assert list(feed.book.instruments) == []
    assert feed.book.generation == 1
    feed.send({"Ask": "2", "Bid": "1"}, topic="instrument:19")
    assert list(RateView(feed.book)) == [19]


# Snapshots ---------------------------------------------------------------------------------------


def test_rates_are_held_until_the_snapshot_is_in() -> None:
    """The first rate comes from the snapshot, which completes the deltas before it."""
    feed = Feed()
    feed.book.expect_snapshots([TOPIC, "private"])
    feed.book.subscribed([TOPIC, "private"], feed.now)
    assert feed.send({"Ask": "2", "Bid": "1"}) is None
    assert feed.rate is None
    rate = feed.send({"Ask": "3", "Bid": "2", "IsMarketOpen": "True"}, "Snapshot")
    assert (rate.ask, rate.bid, rate.is_market_open) == (3.0, 2.0, True)
    assert feed.send({"Ask": "4"}) is not None


def test_a_snapshot_without_a_price_ends_the_holding_too() -> None:
    """What the deltas have brought by then is shown, and published, once."""
    feed = Feed()
    feed.book.expect_snapshots([TOPIC])
    feed.send({"Ask": "2", "Bid": "1"})
    assert feed.send({"Date": "d"}, "Snapshot") == feed.rate
    assert feed.rate is not None
    assert feed.rate.ask == 2.0
    assert feed.send({"Date": "e"}) is None


def test_a_price_that_was_held_back_is_published_when_the_snapshot_is_overdue() -> None:
    """Ten seconds after the acknowledgement the deltas alone have to do, though nothing follows."""
    feed = Feed(snapshot_timeout=10.0)
    feed.book.expect_snapshots([TOPIC])
    feed.book.subscribed([TOPIC], 1000.0)
    assert feed.send({"Ask": "2", "Bid": "1"}) is None
    assert feed.book.next_overdue == 1010.0
    assert feed.book.give_up_waiting(1009.9) == []
    assert feed.rate is None
    ((instrument_id, state),) = feed.book.give_up_waiting(1010.0)
    assert (instrument_id, state["ask"], state["bid"]) == (18, 2.0, 1.0)
    assert feed.rate == make_rate(state)
    assert feed.book.next_overdue == float("inf")
    assert feed.send({"Bid": "1.5"}) is not None


def test_half_a_price_that_was_held_back_is_not_published() -> None:
    """One side is no rate."""
    feed = Feed(snapshot_timeout=10.0)
    feed.book.expect_snapshots([TOPIC])
    feed.book.subscribed([TOPIC], feed.now)
    feed.send({"Ask": "2"})
    assert feed.book.give_up_waiting(feed.now + 60.0) == []
    feed.book.expect_snapshots([TOPIC])
    assert feed.book.expect_none([TOPIC]) == []


def test_each_snapshot_is_waited_for_from_its_own_acknowledgement() -> None:
    """A message that came before it does not start the wait, nor does another instrument's."""
    feed = Feed(snapshot_timeout=10.0)
    feed.book.expect_snapshots([TOPIC, "instrument:19"])
    feed.send({"Ask": "2", "Bid": "1"})
    feed.send({"Ask": "4", "Bid": "3"}, topic="instrument:19")
    assert feed.book.next_overdue == float("inf")
    feed.book.subscribed(["instrument:19"], 1020.0)
    feed.book.subscribed([TOPIC], 1025.0)
    assert [key for key, _ in feed.book.give_up_waiting(1030.0)] == [19]
    assert feed.book.next_overdue == 1035.0
    assert [key for key, _ in feed.book.give_up_waiting(1035.0)] == [18]


def test_an_instrument_of_which_nothing_came_is_waited_for_no_longer_either() -> None:
    """Its first price is published at once."""
    feed = Feed(snapshot_timeout=10.0)
    feed.book.expect_snapshots([TOPIC])
    feed.book.subscribed([TOPIC], 1000.0)
    assert feed.book.give_up_waiting(1010.0) == []
    assert feed.send({"Ask": "2", "Bid": "1"}) is not None


def test_a_lost_connection_waits_for_nothing() -> None:
    """The next one asks for snapshots of its own."""
    feed = Feed(snapshot_timeout=10.0)
    feed.book.expect_snapshots([TOPIC])
    feed.book.subscribed([TOPIC], 1000.0)
    feed.book.connection_lost([TOPIC])
    assert feed.book.next_overdue == float("inf")


def test_a_known_instrument_is_not_held_back_for_a_second_snapshot() -> None:
    """Whoever subscribes again must not make others blind."""
    feed = Feed()
    feed.send({"Ask": "2"})
    feed.book.expect_snapshots([TOPIC])
    assert feed.send({"Bid": "1"}) is not None


def test_an_instrument_of_which_nothing_is_known_is_held_back() -> None:
    """It was subscribed without a snapshot before."""
    feed = Feed()
    feed.book.subscribed([TOPIC], feed.now)
    feed.book.expect_snapshots([TOPIC])
    assert feed.send({"Ask": "2", "Bid": "1"}) is None
    assert feed.send({"Ask": "2", "Bid": "1"}, "Snapshot") is not None


# Unsubscribing -----------------------------------------------------------------------------------


def test_an_unsubscribed_instrument_is_shown_no_longer() -> None:
    """Nothing keeps it up to date."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1"})
    feed.book.forget([TOPIC, "private", "instrument:77"])
    assert feed.rate is None
    assert list(feed.book.instruments) == []


def test_a_message_that_was_on_its_way_does_not_bring_it_back() -> None:
    """Else its price would be shown until the next connection, and grow old unseen."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1"})
    feed.book.forget([TOPIC])
    assert feed.send({"Ask": "3", "Bid": "2"}) is not None
    assert feed.rate is None
    assert list(feed.book.instruments) == []


@pytest.mark.parametrize("snapshot", [True, False])
def test_subscribing_again_starts_from_nothing(snapshot: bool) -> None:
    """Between the two subscriptions changes were missed."""
    feed = Feed()
    feed.book.forget([TOPIC])
    feed.send({"Ask": "3", "Bid": "2"})
    if snapshot:
        feed.book.expect_snapshots([TOPIC])
    feed.book.subscribed([TOPIC], feed.now)
    assert [topic for topic, _ in feed.book.instruments] == [TOPIC]
    assert feed.send({"Bid": "5"}) is None
    assert feed.rate is None
    rate = feed.send({"Ask": "6"}, "Snapshot")
    assert (rate.ask, rate.bid) == (6.0, 5.0)
    assert feed.rate == rate


# Bounds ------------------------------------------------------------------------------------------


def test_topics_that_a_server_invents_do_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From a number on that eToro does not reach, new instruments are not kept."""
    monkeypatch.setattr(rate_book, "_MOST_INSTRUMENTS", 2)
    book = RateBook()
    first = book.instrument("instrument:1", 0.0)
    assert first is not None
    assert book.instrument("instrument:2", 0.0) is not None
    assert book.instrument("instrument:3", 0.0) is None
    assert book.instrument("instrument:1", 0.0) is first
    assert book.instrument("private", 0.0) is None


@pytest.mark.parametrize("how", ["acknowledged", "awaited"])
def test_what_is_subscribed_to_has_a_place_whatever_a_server_invents(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Its first message may come before the acknowledgement, too, if a snapshot was asked for."""
    monkeypatch.setattr(rate_book, "_MOST_INSTRUMENTS", 2)
    feed = Feed()
    for number in (1, 2):
        feed.send({"Ask": "2", "Bid": "1"}, topic=f"instrument:{number}")
    if how == "awaited":
        feed.book.expect_snapshots([TOPIC])
    else:
        feed.book.subscribed([TOPIC], feed.now)
    assert feed.send({"Ask": "4", "Bid": "3"}, "Snapshot") is not None
    assert feed.rate is not None
    assert feed.rate.ask == 4.0
    assert feed.book.instrument("instrument:3", feed.now) is None


# The view ----------------------------------------------------------------------------------------


def test_the_view_is_a_mapping_of_rates() -> None:
    """It works as a dictionary that cannot be written to."""
    feed = Feed()
    rate = feed.send({"Ask": "2", "Bid": "1"})
    view = RateView(feed.book)
    assert view[18] == rate
    assert 18 in view
    assert 19 not in view
    assert (list(view), list(view.items()), list(view.values())) == ([18], [(18, rate)], [rate])
    assert (len(view), view.get(19)) == (1, None)
    assert rate in view.values()
    assert (18, rate) in view.items()
    assert repr(view) == "<RateView of 1 instrument>"
    assert not hasattr(view, "__setitem__")


def test_a_loop_over_the_view_survives_an_instrument_that_goes_away() -> None:
    """It goes over the rates of the moment at which it began."""
    feed = Feed()
    for number in (18, 19):
        feed.send({"Ask": "2", "Bid": "1"}, topic=f"instrument:{number}")
    view = RateView(feed.book)
    for loop in (iter(view.items()), iter(view.values()), iter(view)):
        next(loop)
        feed.book.forget(["instrument:18", "instrument:19"])
        assert len(list(loop)) == 1
        for number in (18, 19):
            feed.book.subscribed([f"instrument:{number}"], 0.0)
            feed.send({"Ask": "2", "Bid": "1"}, topic=f"instrument:{number}")


def test_the_view_can_be_read_while_another_thread_changes_it() -> None:
    """No dictionary changes its size under a loop."""
    feed = Feed()
    view = RateView(feed.book)
    done = threading.Event()
    failures: list[Exception] = []

    def read() -> None:
        try:
            while not done.is_set():
                assert all(rate.ask == 2.0 for rate in view.values())
                assert all(rate.bid == 1.0 for _, rate in view.items())
                list(view)
        except Exception as exc:
            failures.append(exc)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(1500):
        topic = f"instrument:{turn % 50 + 1}"
        feed.book.subscribed([topic], 0.0)
        feed.send({"Ask": "2", "Bid": "1"}, topic=topic)
        if turn % 3 == 0:
            feed.book.forget([topic])
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []


def test_the_view_can_be_read_while_the_garbage_collector_runs() -> None:
    """It may run wherever an object is made, finalizers with it, and in these other threads."""
    feed = Feed()
    for number in range(1, 100):
        feed.send({"Ask": "2", "Bid": "1"}, topic=f"instrument:{number}")
    view, runs, threshold = RateView(feed.book), 0, gc.get_threshold()

    def another_thread(phase: str, info: object) -> None:
        nonlocal runs
        runs += 1
        feed.book.latest[1000 + runs] = feed.book.latest[1]

    gc.callbacks.append(another_thread)
    try:
        gc.set_threshold(1)
        pairs, values, ids = list(view.items()), list(view.values()), list(view)
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(another_thread)
    assert runs > 0
    assert min(len(pairs), len(values), len(ids)) >= 99


def test_published_rates_never_change() -> None:
    """What a consumer holds is not touched by later messages."""
    feed = Feed()
    first = feed.send({"Ask": "2", "Bid": "1"})
    feed.send({"Ask": "3"})
    assert first.ask == 2.0


# Exactness ---------------------------------------------------------------------------------------

PRICES = st.sampled_from(["0.5", "1", "2.25", 3, 4.5])
DELTAS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("Ask", "Bid", "BidDiscounted", "ConversionRateAsk"), PRICES),
            "LastExecution": st.sampled_from(["0", "1.5", 2, "-1"]),
            "IsMarketOpen": st.sampled_from(["True", "False", True]),
            "Foreign": st.text(max_size=2),
        },
    ),
    max_size=12,
)


@given(DELTAS)
def test_the_last_published_state_is_the_merge_of_all_deltas(deltas: list[dict[str, Any]]) -> None:
    """As a plain dictionary would be merged, with the one rule for LastExecution."""
    feed = Feed()
    expected: dict[str, Any] = {}
    for delta in deltas:
        rate = feed.send(delta)
        news = {wire: value for wire, value in delta.items() if wire != "Foreign"}
        if float(news.get("LastExecution", 1)) <= 0:
            del news["LastExecution"]
        expected.update(news)
        complete = "Ask" in expected and "Bid" in expected
        priced = not {"Ask", "Bid", "LastExecution"}.isdisjoint(delta)
        assert (rate is not None) == (complete and priced)
        assert (feed.rate is not None) == complete
    if feed.rate is not None:
        flag = expected.get("IsMarketOpen")
        assert feed.rate.ask == float(expected["Ask"])
        assert feed.rate.bid == float(expected["Bid"])
        assert feed.rate.last_execution == float(expected.get("LastExecution", 0))
        assert feed.rate.is_market_open == (None if flag is None else str(flag) == "True")
        for name, wire in (("bid_discounted", "BidDiscounted"),):
            value = expected.get(wire)
            assert getattr(feed.rate, name) == (None if value is None else float(value))


def test_a_server_that_invents_topics_does_not_fill_the_memory() -> None:
    """There is room for more instruments than eToro has, and not for any number of them."""
    book = RateBook()
    book.begin_generation([])
    made = [book.instrument(f"instrument:{n}", 0.0) for n in range(1, 60_001)]
    assert made[20_000] is not None
    assert made[-1] is None
