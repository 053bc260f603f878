import json
import re
from collections import Counter
from decimal import Decimal

import pytest

from etoro_sync.simulator.market import Market
from etoro_sync.simulator.profile import MIXES
from tests.support.amounts import amount

pytestmark = pytest.mark.heavy

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
    return "conversion" if "ConversionRateAsk" in content else "heartbeat"


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
    assert found["conversion"] / DELTAS < 0.02


@pytest.mark.parametrize("mix", MIXES)
def test_no_price_comes_without_a_date_and_conversions_do(mix: str) -> None:
    """About 0.8 per cent of the recorded messages have none: all about conversion rates."""
    contents = deltas(Market(None, seed=2, mix=mix), DELTAS)
    undated = [content for content in contents if "Date" not in content]
    assert {shape(content) for content in undated} <= {"conversion"}
    if mix != "full":
        assert 0.006 < len(undated) / DELTAS < 0.0105


def test_a_delta_carries_the_fields_of_its_shape_and_only_strings() -> None:
    """A side comes with its margins and its discounted price, the bid with the last execution."""
    bid = {"Bid", "LastExecution", "NewUnitMargin", "UnitMarginBid", *_BID_DISCOUNTED}
    ask = {"Ask", "UnitMarginAsk", *_ASK_DISCOUNTED}
    expected = {
        "heartbeat": set(),
        "bid": bid,
        "ask": ask,
        "last": {"LastExecution"},
        "full": bid | ask,
    }
    seen = set()
    for content in deltas(Market(None, seed=3, mix="liquid"), DELTAS):
        assert all(type(value) is str for value in content.values())
        name = shape(content)
        if name == "conversion":
            continue
        converted = {"ConversionRateAsk", "ConversionRateBid"} & content.keys()
        assert name == "full" or not converted
        fields = content.keys() - converted
        left_out = (expected[name] | {"Date", "PriceRateID"}) ^ fields
        assert left_out <= ({"LastExecution"} if name == "full" else set())
        seen.add((name, bool(converted), bool(left_out)))
    assert {name for name, _, _ in seen} == expected.keys()
    assert seen >= {("full", True, False), ("full", False, True)}


_BID_DISCOUNTED = ("BidDiscounted", "UnitMarginBidDiscounted")
_ASK_DISCOUNTED = ("AskDiscounted", "UnitMarginAskDiscounted")


@pytest.mark.long_form
def test_a_conversion_update_is_undated_and_the_next_message_puts_it_right() -> None:
    """Its id steps back, and its discounted prices lie outside of the spread now and then."""
    market = Market(None, seed=13)
    outside, instruments = 0, amount(12, 40)
    for instrument_id in range(100, 100 + instruments):
        state = dict(market.instrument(instrument_id, NOW).state)
        updated = False
        for n in range(1500):
            before = dict(state)
            content = market.delta(instrument_id, NOW + n)
            state.update(content)
            prices = [Decimal(state[k]) for k in _INSIDE_OUT]
            if updated:
                assert content.keys() >= {"ConversionRateAsk", "ConversionRateBid", "Date"}
                assert prices == sorted(prices)
            updated = "Date" not in content
            if updated:
                rates = {"ConversionRateAsk", "ConversionRateBid"}
                discounted = {*_BID_DISCOUNTED, *_ASK_DISCOUNTED}
                assert content.keys() - {"PriceRateID"} in (rates, rates | discounted)
                if "PriceRateID" in content:
                    assert int(content["PriceRateID"]) < int(before["PriceRateID"])
                outside += prices != sorted(prices)
            else:
                assert prices == sorted(prices)
    assert outside > instruments * 3 / 4


_INSIDE_OUT = ("Bid", "BidDiscounted", "AskDiscounted", "Ask")


def test_conversion_rates_are_those_of_the_instruments_currency() -> None:
    """Most are 1, in two ways of writing; the others are not, and move."""
    market = Market(None, seed=14)
    rates: dict[int, set[str]] = {}
    for n, content in enumerate(deltas(market, 100_000, 40)):
        if "ConversionRateAsk" in content:
            assert Decimal(content["ConversionRateAsk"]) >= Decimal(content["ConversionRateBid"])
            rates.setdefault(n % 40, set()).add(content["ConversionRateBid"])
    dollars = [i for i, found in rates.items() if found == {"1", "1.0"}]
    others = [found for i, found in rates.items() if i not in dollars]
    assert len(dollars) > 20
    assert len(others) > 5
    assert all(len(found) > 3 and "1" not in found for found in others)


def test_merged_deltas_always_make_a_sound_market() -> None:
    """A client that merges sees the bid below the ask and the last execution between them."""
    for mix in ("universe", "own"):
        market = Market(None, seed=4, mix=mix)
        states: dict[int, dict[str, str]] = {i: {} for i in range(10)}
        for n in range(DELTAS):
            state = states[n % 10]
            state.update(market.delta(n % 10, NOW))
            if {"Bid", "Ask", "LastExecution"} <= state.keys():
                bid, ask, last = (Decimal(state[k]) for k in ("Bid", "Ask", "LastExecution"))
                assert 0 < bid < ask
                assert bid <= last <= ask
            for price in state.keys() & {"Bid", "Ask", "LastExecution"}:
                assert re.fullmatch(r"\d+(\.\d*[1-9])?", state[price])


def test_each_instrument_has_a_mix_of_its_own() -> None:
    """Gold, the NASDAQ and Bitcoin as recorded; the others, anything between."""
    market = Market(None, seed=15)
    shares = {}
    for instrument_id in (18, 28, 100000, *range(1000, 1030)):
        found = Counter(shape(market.delta(instrument_id, NOW)) for _ in range(2000))
        shares[instrument_id] = {name: found[name] / 20 for name in found}
    assert shares[18]["heartbeat"] == pytest.approx(15, abs=3)
    assert shares[28]["heartbeat"] == pytest.approx(11, abs=3)
    assert shares[100000]["heartbeat"] == pytest.approx(59, abs=4)
    assert shares[18]["bid"] == pytest.approx(7, abs=2)
    assert "bid" not in shares[28]
    heartbeats = sorted(found["heartbeat"] for found in shares.values())
    assert heartbeats[0] < 15
    assert heartbeats[-1] > 60
    assert len({round(share) for share in heartbeats}) > 10


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


def test_rate_ids_have_twelve_digits_and_step_back_for_conversions_only() -> None:
    """Prices and heartbeats have ever greater ones, as recorded."""
    market = Market(None, seed=6)
    last = 0
    seen = Counter[bool]()
    for content in deltas(market, 5000, 1):
        if "PriceRateID" not in content:
            continue
        assert len(content["PriceRateID"]) == 12
        rate_id = int(content["PriceRateID"])
        forward = rate_id > last
        assert forward == ("Date" in content)
        seen[forward] += 1
        last = max(last, rate_id)
    assert seen[False] > 10


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
        *("MaxPositionUnits", "DelayedAsk", "DelayedBid", "AvailabilityReason"),
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


def test_what_is_constant_for_an_instrument_differs_between_instruments() -> None:
    """A program that takes a flag, a limit or a closing price for granted is found out."""
    market = Market(None, seed=16)
    values: dict[str, set[str]] = {}
    for instrument_id in (18, 28, 100000, *range(500)):
        state = market.instrument(instrument_id, NOW).state
        for name, value in state.items():
            values.setdefault(name, set()).add(value)
        if state["ClosingPrices"].startswith("{"):
            closing = {*json.loads(state["ClosingPrices"], parse_float=str).values()}
            closing |= {state["OfficialClosingPrice"], state["Bid"], state["Ask"]}
            assert len(closing) >= 5  # two of another day may happen to be the same
        markup = Decimal(state["Ask"]) - Decimal(state["AskDiscounted"])
        assert markup == Decimal(state["CfdMarkupAsk"]) == Decimal(state["CfdMarkupBid"])
    assert values["IsExchangeOpen"] == values["AllowSell"] == {"true", "false"}
    assert values["IsOfficialClosingPrice"] == {"True", "False"}
    assert values["IsInstrumentActive"] == values["IsMarketOpen"] == {"true"}
    assert values["MaxPositionUnits"] >= {"32", "1000", "6500"}
    assert len(values["ConversionRateBid"]) > 3
    assert len(values["CfdMarkupAsk"]) > 20
    recorded = {i: market.instrument(i).state for i in (18, 28, 100000)}
    assert [s["MaxPositionUnits"] for s in recorded.values()] == ["6500", "1000", "32"]
    assert {s["IsExchangeOpen"] for s in recorded.values()} == {"false"}


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
    closed = {"IsInstrumentActive": "false", "IsMarketOpen": "false", "AvailabilityReason": "6"}
    assert market.instrument(18).state.items() >= closed.items()
    assert market.instrument(18).set_active(False, "") == {"IsInstrumentActive": "False"}
    assert market.instrument(18).state.items() >= closed.items()
    assert market.active([18, 19]) == [19]
    content = market.instrument(18).set_active(True, "2")
    assert content == {"IsInstrumentActive": "True", "AvailabilityReason": "2"}
    assert market.active([18, 19]) == [18, 19]
    opened = {"IsInstrumentActive": "true", "IsMarketOpen": "true", "AvailabilityReason": "2"}
    assert market.instrument(18).state.items() >= opened.items()


def test_the_flags_of_an_opening_come_with_conversion_rates_and_before_anything_else() -> None:
    """As recorded: an undated message, which the next one puts right."""
    market = Market({18: 4800.0}, seed=17)
    instrument = market.instrument(18, NOW)
    instrument.set_active(True, "2")
    first = market.delta(18, NOW)
    assert shape(first) == "full"
    assert first["ConversionRateAsk"] == "1"
    flags = instrument.opened()
    assert list(flags)[:4] == [
        *("IsInstrumentActive", "IsMarketOpen", "ConversionRateAsk", "ConversionRateBid")
    ]
    assert flags["IsInstrumentActive"] == flags["IsMarketOpen"] == "true"
    assert "Date" not in flags
    assert instrument.state.items() >= flags.items()
    assert market.delta(18, NOW).keys() >= {"ConversionRateAsk", "Date"}
