"""
The simulator's feed, held against frames that were recorded from eToro's own server.

The recordings lie beside a checkout, in ``../shared/recorded``; where they are missing, there is
nothing to compare with.
"""

from __future__ import annotations

import gzip
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from etoro_sync.simulator import wire
from etoro_sync.simulator.market import Market

RECORDED = Path(__file__).parents[3] / "shared" / "recorded"
MARCH = "gold_nasdaq_bitcoin_2026-03-16.jsonl.gz"
GOLD, NASDAQ, BITCOIN = INSTRUMENTS = (18, 28, 100000)
PRICES = ("Ask", "Bid", "LastExecution", "BidDiscounted", "AskDiscounted")
NOW = 1_790_000_000_000_000_000
MESSAGES = 6000

pytestmark = pytest.mark.skipif(
    not (RECORDED / MARCH).exists(), reason=f"no recordings in {RECORDED}"
)


class Frame(NamedTuple):
    instrument_id: int
    type: str
    content: dict[str, str]
    size: int


def frame(text: str) -> Frame:
    """Read a frame, which has one message; the content keeps the order of its keys."""
    (message,) = json.loads(text)["messages"]
    content = json.loads(message["content"])
    return Frame(int(message["topic"].partition(":")[2]), message["type"], content, len(text))


def read(path: Path) -> Iterator[Frame]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            yield frame(entry["text"] if "text" in entry else line.rstrip("\n"))


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[Frame]]:
    """All recorded frames, by file."""
    return {path.name: list(read(path)) for path in sorted(RECORDED.glob("*.jsonl.gz"))}


@pytest.fixture(scope="module")
def real(recorded: dict[str, list[Frame]]) -> list[Frame]:
    """All recorded frames together."""
    return [each for frames in recorded.values() for each in frames]


@pytest.fixture(scope="module")
def simulated() -> list[Frame]:
    """What the simulator says about the recorded instruments: an opening, and hours of messages."""
    market = Market({GOLD: 5005.0, NASDAQ: 24620.0, BITCOIN: 74400.0}, seed=1)
    return [each for i in INSTRUMENTS for each in spoken(market, i)]


def spoken(market: Market, instrument_id: int) -> Iterator[Frame]:
    """Let an instrument close, open and send many messages at its own counter."""
    instrument, random, now = market.instrument(instrument_id, NOW), Random(2), NOW

    def say(message_type: str, content: dict[str, str]) -> Frame:
        topic, message_id = wire.topic_of(instrument_id), wire.new_uuid(random)
        return frame(wire.envelope(topic, message_type, wire.compact(content), message_id))

    for active in (False, True):
        yield say(wire.ACTIVE, instrument.set_active(active, "2" if active else "4"))
        yield say(wire.SNAPSHOT, instrument.state)
    yield say(wire.RATE, market.delta(instrument_id, now))
    yield say(wire.RATE, instrument.opened())
    for _ in range(MESSAGES):
        now += int(instrument.profile.gap(random) * 1e9)
        yield say(wire.RATE, market.delta(instrument_id, now))


def rates(frames: list[Frame], instrument_id: int) -> list[dict[str, str]]:
    """Give the contents of an instrument's rates, in order."""
    return [f.content for f in frames if (f.instrument_id, f.type) == (instrument_id, wire.RATE)]


def shape(content: dict[str, str]) -> str:
    """Name the shape of a rate."""
    if "ConversionRateAsk" in content:
        return "conversion"
    sides = {"Bid", "Ask"} & content.keys()
    if len(sides) == 2:
        return "full" if "LastExecution" in content else "full without last execution"
    if sides:
        return sides.pop()
    return "last execution" if "LastExecution" in content else "heartbeat"


def test_each_message_has_recorded_fields_in_the_recorded_order(
    real: list[Frame], simulated: list[Frame]
) -> None:
    """No field comes that never came, none is missing, and no two have changed places."""
    known = {(f.type, tuple(f.content)) for f in real}
    found = Counter((f.type, tuple(f.content)) for f in simulated)
    assert found.keys() <= known
    often = Counter((f.type, tuple(f.content)) for f in real)
    assert {each for each, count in often.items() if count > 20} <= found.keys()


def test_flags_are_spelt_as_recorded_in_each_kind_of_message(
    real: list[Frame], simulated: list[Frame]
) -> None:
    """``"true"`` here and ``"True"`` there, and both where both came."""

    def spelling(frames: list[Frame]) -> dict[tuple[str, str], set[str]]:
        found = defaultdict(set)
        for each in frames:
            for name, value in each.content.items():
                if value.lower() in ("true", "false"):
                    found[each.type, name].add(value)
        return found

    known = spelling(real)
    for place, values in spelling(simulated).items():
        assert {value[0] for value in values} <= {value[0] for value in known[place]}, place
    ones = {f.content.get("ConversionRateAsk", "1") for f in simulated}
    assert ones == {f.content.get("ConversionRateAsk", "1") for f in real} == {"1", "1.0"}


def test_prices_have_the_recorded_number_of_digits(
    recorded: dict[str, list[Frame]], simulated: list[Frame]
) -> None:
    """Two decimals most of the time, and no zero at the end but where one was recorded."""

    def digits(contents: list[dict[str, str]], name: str) -> Counter[int]:
        return Counter(len(c[name].partition(".")[2]) for c in contents if name in c)

    for instrument_id in INSTRUMENTS:
        ours, theirs = rates(simulated, instrument_id), rates(recorded[MARCH], instrument_id)
        for name in PRICES:
            found, known = digits(ours, name), digits(theirs, name)
            assert max(found) == max(known)
            assert found[2] / found.total() == pytest.approx(known[2] / known.total(), abs=0.2)
    dated = [f.content for f in simulated if "Date" in f.content and f.type == wire.RATE]
    assert not [c for c in dated for p in PRICES if "." in c.get(p, "") and c[p].endswith("0")]


def test_dates_have_the_recorded_fractions_and_never_run_backwards(
    real: list[Frame], simulated: list[Frame]
) -> None:
    """Nine of ten have seven digits."""

    def fractions(frames: list[Frame]) -> dict[int, float]:
        dates = [f.content["Date"] for f in frames if "Date" in f.content]
        counted = Counter(len(date.partition(".")[2]) - 1 for date in dates)
        return {digits: count / len(dates) for digits, count in counted.items()}

    found, known = fractions(simulated), fractions(real)
    assert found[7] == pytest.approx(known[7], abs=0.03)
    assert found[6] == pytest.approx(known[6], abs=0.03)
    for instrument_id in INSTRUMENTS:
        dates = [c["Date"] for c in rates(simulated, instrument_id) if "Date" in c]
        assert dates == sorted(dates, key=lambda date: date[:-1].ljust(27, "0"))


@pytest.mark.parametrize("instrument_id", INSTRUMENTS)
def test_shapes_have_the_recorded_shares(
    recorded: dict[str, list[Frame]], simulated: list[Frame], instrument_id: int
) -> None:
    """Each instrument has its own: heartbeats are 11, 15 and 59 per cent."""
    ours = Counter(map(shape, rates(simulated, instrument_id)))
    theirs = Counter(map(shape, rates(recorded[MARCH], instrument_id)))
    for name in {*ours, *theirs}:
        share, known = ours[name] / ours.total(), theirs[name] / theirs.total()
        assert share == pytest.approx(known, abs=0.02), name
    undated = [sum("Date" not in c for c in rates(f, instrument_id)) for f in (simulated,)]
    assert 0.004 < undated[0] / ours.total() < 0.015


@pytest.mark.parametrize("instrument_id", INSTRUMENTS)
def test_prices_lie_as_recorded(
    recorded: dict[str, list[Frame]], simulated: list[Frame], instrument_id: int
) -> None:
    """Where the discounted prices and the last execution lie, and how wide the spread is."""

    def places(contents: list[dict[str, str]]) -> tuple[Counter[str], list[Decimal]]:
        found, spreads = Counter[str](), []
        for content in contents:
            if {"BidDiscounted", "Bid", "Ask", "LastExecution"} <= content.keys():
                bid, ask = Decimal(content["Bid"]), Decimal(content["Ask"])
                inner = [Decimal(content[name]) for name in ("BidDiscounted", "AskDiscounted")]
                last = Decimal(content["LastExecution"])
                spreads.append(ask - bid)
                found["all"] += 1
                found["bid is discounted"] += bid == inner[0]
                found["discounted are equal"] += inner[0] == inner[1]
                found["last is the discounted bid"] += last == inner[0]
                found["last is outside"] += not bid <= last <= ask
        return found, spreads

    (ours, our_spreads), (theirs, their_spreads) = (
        places(rates(frames, instrument_id)) for frames in (simulated, recorded[MARCH])
    )
    for name in {*ours, *theirs} - {"all"}:
        share, known = ours[name] / ours["all"], theirs[name] / theirs["all"]
        assert share == pytest.approx(known, abs=0.03), name
    widths = [float(statistics.median(spreads)) for spreads in (our_spreads, their_spreads)]
    assert widths[0] == pytest.approx(widths[1], rel=0.05)


@pytest.mark.parametrize("instrument_id", INSTRUMENTS)
def test_prices_move_about_as_far_as_recorded(
    recorded: dict[str, list[Frame]], simulated: list[Frame], instrument_id: int
) -> None:
    """The usual step between two bids."""

    def step(frames: list[Frame]) -> float:
        bids = [float(c["Bid"]) for c in rates(frames, instrument_id) if "Bid" in c]
        return statistics.median(abs(after - before) for before, after in pairwise(bids))

    assert 1 / 3 < step(simulated) / step(recorded[MARCH]) < 3


def test_only_conversion_updates_have_no_date_or_step_back(
    recorded: dict[str, list[Frame]], simulated: list[Frame]
) -> None:
    """In the recordings and here: whatever has a date has a greater id than all before."""
    for frames in (recorded[MARCH], simulated):
        for instrument_id in INSTRUMENTS:
            last, backwards = 0, 0
            for content in rates(frames, instrument_id):
                if "Date" not in content:
                    assert not {"Ask", "Bid", "LastExecution"} & content.keys()
                    backwards += int(content.get("PriceRateID", last)) < last
                    continue
                assert int(content["PriceRateID"]) > last
                assert len(content["PriceRateID"]) == 12
                last = int(content["PriceRateID"])
            assert backwards


def test_a_conversion_update_is_settled_by_the_next_message(
    recorded: dict[str, list[Frame]], simulated: list[Frame]
) -> None:
    """Until then its discounted prices may lie outside of the spread."""
    for frames in (recorded[MARCH], simulated):
        outside = 0
        for instrument_id in INSTRUMENTS:
            state: dict[str, str] = {}
            unsettled = False
            for content in rates(frames, instrument_id):
                state.update(content)
                if unsettled:
                    assert content["ConversionRateAsk"] == "1"
                unsettled = content.get("ConversionRateAsk") == "1.0"
                names = ("Bid", "BidDiscounted", "AskDiscounted", "Ask")
                if state.keys() >= {*names}:
                    prices = [Decimal(state[name]) for name in names]
                    outside += prices != sorted(prices)
        assert outside > 5


def test_messages_have_the_recorded_sizes(real: list[Frame], simulated: list[Frame]) -> None:
    """From a heartbeat's 200 bytes to a snapshot's thousand."""

    def sizes(frames: list[Frame]) -> dict[tuple[str, tuple[str, ...]], list[int]]:
        found = defaultdict(list)
        for each in frames:
            found[each.type, tuple(each.content)].append(each.size)
        return found

    known = sizes(real)
    for kind, found in sizes(simulated).items():
        assert statistics.median(found) == pytest.approx(statistics.median(known[kind]), rel=0.04)
        assert 0.9 * min(known[kind]) <= min(found) <= max(found) <= 1.1 * max(known[kind])


@pytest.mark.parametrize("instrument_id", INSTRUMENTS)
def test_messages_come_at_the_recorded_intervals(
    recorded: dict[str, list[Frame]], simulated: list[Frame], instrument_id: int
) -> None:
    """About one second, never less than a quarter, and now and then several."""

    def gaps(frames: list[Frame]) -> list[float]:
        dates = [c["Date"] for c in rates(frames, instrument_id) if "Date" in c]
        seconds = [sum(map(_seconds, date[11:-1].split(":"), (3600, 60, 1))) for date in dates]
        # The recorder was switched off for a while.
        return sorted(b - a for a, b in pairwise(seconds) if 0 < b - a < 60)

    ours, theirs = gaps(simulated), gaps(recorded[MARCH])
    assert statistics.median(ours) == pytest.approx(statistics.median(theirs), rel=0.05)
    assert ours[10] > 0.25 < theirs[10]
    assert statistics.mean(ours) == pytest.approx(statistics.mean(theirs), rel=0.3)


def _seconds(text: str, factor: int) -> float:
    return float(text) * factor


def test_a_snapshot_says_what_the_recorded_ones_do(
    real: list[Frame], simulated: list[Frame]
) -> None:
    """Apart from prices: the same limits and flags for the same instrument."""
    names = ("IsExchangeOpen", "MaxPositionUnits", "AllowBuy", "AllowSell", "DelayedAsk")
    known: dict[Any, set[str]] = defaultdict(set)
    for each in real:
        for name in names:
            known[each.instrument_id, name].add(each.content.get(name, ""))
    known_closing = {each.content.get("ClosingPrices") for each in real}
    for each in simulated:
        if each.type == wire.SNAPSHOT:
            assert all(each.content[name] in known[each.instrument_id, name] for name in names)
            closing = each.content["ClosingPrices"]
            if closing not in known_closing:  # the name of a type, which the server prints at times
                days = json.loads(closing)
                assert list(days) == ["Daily", "Weekly", "Monthly"]
                prices = {*days.values(), *(float(each.content[name]) for name in PRICES)}
                assert len(prices) > len(days)
