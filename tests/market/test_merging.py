"""Merging: what is published is exact, and never silently stale."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.market.tools import TOPIC, Feed


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


def test_a_rate_has_what_changed_when_and_on_which_connection() -> None:
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
    """It only changes when the last message came."""
    feed = Feed()
    feed.send({"Ask": "2", "Bid": "1", "Date": "d1", "PriceRateID": "1"})
    before = feed.rate
    instrument = feed.book.instrument(TOPIC, 0.0)
    assert instrument is not None
    instrument.stale = True
    assert feed.send(content) is None
    assert feed.rate == before
    assert instrument.last_message_at == feed.now
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


@pytest.mark.parametrize("closed_by", ["IsMarketOpen", "IsInstrumentActive"])
def test_one_of_two_flags_is_enough_to_close_an_instrument(closed_by: str) -> None:
    """One is not traded in an open market, the other has a market that is closed."""
    feed = Feed()
    instrument = feed.book.instrument(TOPIC, 0.0)
    assert instrument is not None
    flags = {"IsMarketOpen": "True", "IsInstrumentActive": "True", closed_by: "False"}
    feed.send({"Ask": "2", "Bid": "1", **flags}, "Snapshot")
    assert instrument.closed


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
