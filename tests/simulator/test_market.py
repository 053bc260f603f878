import json
import re
from collections import Counter
from decimal import Decimal
from itertools import pairwise

import pytest

from etoro_sync.simulator.market import MIXES, Market

NOW = 1_790_000_000_000_000_000
DELTAS = 20_000


def deltas(market: Market, count: int, instruments: int = 20) -> list[dict[str, str]]:
    """Draw deltas of several instruments, a bit more than a microsecond apart."""
    return [market.delta(100 + i % instruments, NOW + i * 1_234) for i in range(count)]


def shape(content: dict[str, str]) -> str:
    """Name the shape of a delta the way the protocol sheet does."""
    bid, ask = "Bid" in content, "Ask" in content
    if bid or ask:
        return "full" if bid and ask else "bid" if bid else "ask"
    if "LastExecution" in content:
        return "last"
    return "heartbeat" if "PriceRateID" in content else "conversion"


@pytest.mark.parametrize(
    ("mix", "shares"),
    [
        ("universe", {"full": 15, "heartbeat": 59, "bid": 13, "ask": 11, "last": 2}),
        ("liquid", {"full": 70, "heartbeat": 21.5, "bid": 4.5, "ask": 3.5, "last": 0.5}),
        ("full", {"full": 100}),
    ],
)
def test_the_shapes_of_messages_have_the_shares_of_their_mix(
    mix: str, shares: dict[str, float]
) -> None:
    """Each mix has the shares that were measured on the real feed."""
    found = Counter(map(shape, deltas(Market(None, seed=1, mix=mix), DELTAS)))
    assert found.keys() - shares.keys() <= {"conversion"}
    for name, share in shares.items():
        assert found[name] / DELTAS * 100 == pytest.approx(share, abs=1.2)
    assert found["conversion"] / DELTAS < 0.005


@pytest.mark.parametrize("mix", MIXES)
def test_few_messages_have_no_date_and_heartbeats_always_have_one(mix: str) -> None:
    """About 0.75 per cent come undated, whatever the mix."""
    contents = deltas(Market(None, seed=2, mix=mix), DELTAS)
    undated = [content for content in contents if "Date" not in content]
    assert 0.005 < len(undated) / DELTAS < 0.0105
    assert "heartbeat" not in map(shape, undated)


def test_a_delta_carries_the_fields_of_its_shape_and_only_strings() -> None:
    """A side comes with its margins and its discounted price, and nothing of the other side."""
    bid = {"Bid", "NewUnitMargin", "UnitMarginBid", "BidDiscounted", "UnitMarginBidDiscounted"}
    ask = {"Ask", "UnitMarginAsk", "AskDiscounted", "UnitMarginAskDiscounted"}
    conversion = {"ConversionRateAsk", "ConversionRateBid"}
    expected = {
        "heartbeat": set(),
        "bid": bid,
        "ask": ask,
        "last": {"LastExecution"},
        "full": bid | ask,
        "conversion": conversion,
    }
    seen = set()
    for content in deltas(Market(None, seed=3), DELTAS):
        name = shape(content)
        extra = {"LastExecution"} | conversion if name == "full" else set()
        fields = content.keys() - {"Date", "PriceRateID"} - extra
        assert fields == expected[name]
        assert all(type(value) is str for value in content.values())
        seen.add((name, bool(content.keys() & extra)))
    assert seen >= {(name, False) for name in expected} | {("full", True)}


def test_merged_deltas_always_make_a_sound_market() -> None:
    """A client that merges sees the bid below the ask and the last execution between them."""
    market = Market(None, seed=4, mix="universe")
    states: dict[int, dict[str, str]] = {i: {} for i in range(10)}
    zeros = 0
    for n in range(DELTAS):
        state = states[n % 10]
        state.update(market.delta(n % 10, NOW))
        if {"Bid", "Ask", "LastExecution"} <= state.keys():
            bid, ask, last = (Decimal(state[k]) for k in ("Bid", "Ask", "LastExecution"))
            assert bid < ask
            assert last == 0 or bid <= last <= ask
            zeros += last == 0
        for price in state.keys() & {"Bid", "Ask", "LastExecution"}:
            assert re.fullmatch(r"\d+(\.\d*[1-9])?", state[price])
    assert zeros


def test_dates_have_fractions_as_dotnet_trims_them_and_never_run_backwards() -> None:
    """Seven digits in nine of ten cases, six in nearly all others."""
    market = Market(None, seed=5, mix="full")
    dates = []
    for n in range(DELTAS):
        date = market.delta(1, NOW + n * 1_000_003 - (n % 7 == 0) * 30_000_000).get("Date")
        if date is not None:
            dates.append(date)
    digits = Counter(len(date.partition(".")[2]) - 1 for date in dates)
    assert digits[7] / len(dates) == pytest.approx(0.90, abs=0.02)
    assert digits[6] / len(dates) == pytest.approx(0.09, abs=0.02)
    assert set(digits) <= {2, 3, 4, 5, 6, 7}
    padded = [date[:-1].ljust(27, "0") for date in dates]
    assert padded == sorted(padded)


def test_rate_ids_have_twelve_digits_repeat_and_step_back() -> None:
    """They are of no use as a sequence number."""
    market = Market(None, seed=6)
    ids = [int(c["PriceRateID"]) for c in deltas(market, 5000, 1) if "PriceRateID" in c]
    steps = [after - before for before, after in pairwise(ids)]
    assert all(len(str(rate_id)) == 12 for rate_id in ids)
    assert any(step > 0 for step in steps)
    assert any(step == 0 for step in steps)
    assert any(step < 0 for step in steps)


def test_the_same_seed_gives_the_same_deltas() -> None:
    """A run can be repeated exactly, and another seed is another run."""
    first, again, other = (deltas(Market(None, seed=s), 500) for s in (7, 7, 8))
    assert first == again != other


def test_an_instruments_prices_do_not_depend_on_the_other_instruments() -> None:
    """Who else is subscribed changes nothing."""
    alone = Market(None, seed=9)
    crowd = Market(None, seed=9)
    expected = [alone.delta(18, NOW) for _ in range(200)]
    found = []
    for _ in range(200):
        crowd.delta(19, NOW)
        found.append(crowd.delta(18, NOW))
    assert found == expected


def test_a_snapshot_has_every_known_field_as_a_string_and_about_a_kilobyte() -> None:
    """The snapshot is the whole state of an instrument."""
    state = Market({18: 4800.0}).instrument(18, NOW).state
    assert state.keys() == {
        *("InstrumentID", "InstrumentId", "Ask", "Bid", "LastExecution", "Date", "PriceRateID"),
        *("BidDiscounted", "AskDiscounted", "NewUnitMargin", "UnitMarginAsk", "UnitMarginBid"),
        *("UnitMarginBidDiscounted", "UnitMarginAskDiscounted", "ConversionRateAsk"),
        *("ConversionRateBid", "IsInstrumentActive", "OfficialClosingPrice", "ClosingPrices"),
        *("IsOfficialClosingPrice", "IsMarketOpen", "IsExchangeOpen", "AllowBuy", "AllowSell"),
        *("MaxPositionUnits", "DelayedAsk", "DelayedBid", "AvailabilityReason", "DailyClose"),
        *("CfdMarkupAsk", "CfdMarkupBid", "RealMarkupAsk", "RealMarkupBid"),
    }
    assert all(type(value) is str for value in state.values())
    assert state["InstrumentID"] == state["InstrumentId"] == "18"
    assert state["Date"].startswith("2026-09-21T")
    assert 700 < len(json.dumps(state)) < 1300


def test_closing_prices_are_json_in_a_string_except_where_the_server_bug_shows() -> None:
    """Few instruments show the name of a .NET type instead."""
    market = Market(None, seed=10)
    texts = [market.instrument(i).state["ClosingPrices"] for i in range(1000)]
    broken = [text for text in texts if text.startswith("System.Collections.Generic.Dictionary`2[")]
    assert 5 < len(broken) < 50
    prices = json.loads(next(text for text in texts if text not in broken))
    assert prices.keys() == {"Daily", "Weekly", "Monthly"}


def test_the_state_is_the_merge_of_all_deltas() -> None:
    """A late snapshot says the same as an early one plus all deltas since."""
    market = Market(None, seed=11)
    merged = dict(market.instrument(18, NOW).state)
    for n in range(1000):
        merged.update(market.delta(18, NOW + n))
    assert market.instrument(18).state == merged


def test_a_full_message_follows_after_published_prices_that_make_no_sense() -> None:
    """The next delta puts both sides in order again."""
    market = Market(None, seed=12, mix="universe")
    instrument = market.instrument(18, NOW)
    instrument.merge({"Bid": "500000", "Ask": "1"})
    assert instrument.state["Bid"] == "500000"
    assert shape(market.delta(18, NOW)) == "full"
    assert Decimal(instrument.state["Bid"]) < Decimal(instrument.state["Ask"])
    assert Decimal(instrument.state["Bid"]) > 400000


def test_only_known_instruments_exist_where_they_are_listed() -> None:
    """With a list of instruments, asking for another one is an error that names it."""
    market = Market({18: 4800.0, 19: None})
    assert [market.knows(i) for i in (18, 19, 20)] == [True, True, False]
    assert market.instrument(18).bid == pytest.approx(4800, rel=0.001)
    assert market.instrument(19).bid > 1
    assert Market(None).knows(20)
    with pytest.raises(ValueError, match=r"instrument_id .* not 20"):
        market.instrument(20)


def test_closed_instruments_are_not_active_and_their_state_says_so() -> None:
    """Closing and opening shows in the state and in the message about it."""
    market = Market({18: None, 19: None})
    assert market.active([19, 18, 20]) == [18, 19]
    content = market.instrument(18).set_active(False, "6")
    assert content == {"IsInstrumentActive": "False", "AvailabilityReason": "6"}
    assert market.instrument(18).state.items() >= {**content, "IsMarketOpen": "false"}.items()
    assert market.active([18, 19]) == [19]
    market.instrument(18).set_active(True, "2")
    assert market.active([18, 19]) == [18, 19]
    assert market.instrument(18).state["IsMarketOpen"] == "true"
