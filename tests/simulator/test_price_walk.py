from collections.abc import Callable
from decimal import Decimal
from random import Random

import pytest

from etoro_sync.simulator.price_walk import PriceWalk, decimals_for
from etoro_sync.simulator.profile import PriceBehavior

GOLD = PriceBehavior(1.2e-4, 2.92e-4, 0.432, 0.83, True)
NASDAQ = PriceBehavior(6e-5, 1.5e-4, 0.5, 1.0, False, round=True)
BITCOIN = PriceBehavior(2.5e-4, 0.0, 0.0, 0.86, True)
MANNERS = pytest.mark.parametrize(
    "behavior", [GOLD, NASDAQ, BITCOIN], ids=["gold", "nasdaq", "btc"]
)


def in_order(walk: PriceWalk) -> bool:
    """Say whether all prices of a walk lie in the order they must lie in."""
    discounted = walk.bid <= walk.bid_discounted <= walk.ask_discounted <= walk.ask
    last = walk.last_execution or walk.bid
    return discounted and 0 < walk.bid < walk.ask and walk.bid <= last <= walk.ask


@pytest.mark.parametrize(
    ("price", "decimals"), [(65000, 2), (150, 2), (65, 3), (1.085, 4), (0.5, 5), (1e-12, 12)]
)
def test_the_tick_size_suits_the_price(price: float, decimals: int) -> None:
    """Cheap instruments have finer ticks."""
    assert decimals_for(price) == decimals


@MANNERS
@pytest.mark.parametrize("start", [1e-8, 0.0123, 1.0856, 4800.0, 65000.5, 1e9])
def test_prices_stay_in_order_and_near_where_they_began(
    start: float, behavior: PriceBehavior
) -> None:
    """Whatever moves, the bid stays below the ask and the last execution between them."""
    walk = PriceWalk(start, Random(1), behavior)
    assert float(walk.text(walk.bid)) == pytest.approx(start, rel=0.01)
    moves = Random(2)
    actions: list[Callable[[], object]] = [walk.move_both, walk.move_bid, walk.move_ask]
    actions.append(walk.move_last_execution)
    for _ in range(5000):
        before = (walk.bid, walk.ask, walk.last_execution)
        moves.choice(actions)()
        assert in_order(walk)
        assert walk.last_execution > 0
        assert (walk.bid, walk.ask, walk.last_execution) != before
    assert start / 3 < float(walk.text(walk.bid)) < start * 3


@pytest.mark.parametrize("start", [1e-6, 7.67, 100.0, 280.0, 24620.0])
def test_the_last_execution_moves_with_the_prices_at_every_price(start: float) -> None:
    """Only a few messages with both sides leave it out, 7 in 100 of the recorded ones."""
    walk = PriceWalk(start, Random(3), NASDAQ)
    still = [walk.move_both() for _ in range(3000)].count(False)
    assert 0.03 < still / 3000 < 0.09


@MANNERS
def test_each_move_changes_what_it_is_named_after(behavior: PriceBehavior) -> None:
    """A delta never tells a side that didn't move; the bid takes the last execution along."""
    walk = PriceWalk(100.0, Random(3), behavior)
    for _ in range(1000):
        bid, ask = walk.bid, walk.ask
        walk.move_bid()
        assert (walk.bid != bid, walk.ask) == (True, ask)
        if behavior.last_is_bid:
            assert walk.last_execution == walk.bid_discounted
        bid, last = walk.bid, walk.last_execution
        walk.move_ask()
        assert (walk.bid, walk.ask != ask, walk.last_execution) == (bid, True, last)
        ask = walk.ask
        walk.move_last_execution()
        assert (walk.bid, walk.ask, walk.last_execution != last) == (bid, ask, True)


@pytest.mark.parametrize(("behavior", "kept"), [(GOLD, 0.0), (NASDAQ, 0.07), (BITCOIN, 0.0)])
def test_only_a_last_execution_of_its_own_stays_when_both_sides_move(
    behavior: PriceBehavior, kept: float
) -> None:
    """Where it is the discounted bid, it moves with the bid."""
    walk = PriceWalk(20000.0, Random(4), behavior)
    stayed = 0
    for _ in range(5000):
        last = walk.last_execution
        moved = walk.move_both()
        assert moved == (walk.last_execution != last)
        assert behavior.last_is_bid <= (walk.last_execution == walk.bid_discounted)
        stayed += not moved
    assert stayed / 5000 == pytest.approx(kept, abs=0.02)


def test_the_discounted_prices_lie_as_the_manner_says() -> None:
    """Gold: apart, inside the spread. NASDAQ: both in its middle. Bitcoin: bid and ask."""
    for behavior in (GOLD, NASDAQ, BITCOIN):
        walk = PriceWalk(20000.0, Random(5), behavior)
        for _ in range(200):
            walk.move_both()
            inner = walk.ask_discounted - walk.bid_discounted
            assert (walk.bid < walk.bid_discounted) == (behavior is not BITCOIN)
            assert (inner == 0) == (behavior is NASDAQ)


def test_discounted_prices_of_another_moment_stray_about_as_far_as_prices_move() -> None:
    """To either side, never by nothing."""
    walk = PriceWalk(5000.0, Random(6), GOLD)
    found = [walk.stray() for _ in range(1000)]
    assert 0 not in found
    assert min(found) < -50 < 50 < max(found) <= 91


@pytest.mark.parametrize(("factor", "direction"), [(3, -1), (0.3, 1)])
def test_a_price_that_strayed_is_led_back(factor: float, direction: int) -> None:
    """A walk can't run away from its start."""
    walk = PriceWalk(100.0, Random(5), GOLD)
    walk.bid, walk.ask = int(walk.bid * factor), int(walk.ask * factor)
    for _ in range(20):
        bid = walk.bid
        walk.move_both()
        assert (walk.bid - bid) * direction > 0


def test_the_walk_goes_on_from_published_prices() -> None:
    """Prices that somebody published are the new starting point, in their own precision."""
    walk = PriceWalk(100.0, Random(6), GOLD)
    assert walk.adopt({"Bid": "7.123456", "Ask": "7.2", "LastExecution": "7.15"})
    assert walk.text(walk.bid) == "7.123456"
    assert walk.text(walk.ask) == "7.2"
    assert walk.text(walk.last_execution) == "7.15"
    for _ in range(100):
        walk.move_both()
        assert in_order(walk)
    assert 6 < Decimal(walk.text(walk.bid)) < 8


def test_published_prices_that_contradict_each_other_call_for_a_full_message() -> None:
    """A bid above the ask is taken over, and the walk is put in order around it."""
    walk = PriceWalk(100.0, Random(7), GOLD)
    assert not walk.adopt({"Bid": "120", "Ask": "110"})
    assert walk.text(walk.bid) == "120"
    assert in_order(walk)


@pytest.mark.parametrize("value", ["", "abc", "NaN", "-1", "0", "1e30", None, True, [1]])
def test_values_that_are_no_prices_leave_the_walk_alone(value: object) -> None:
    """Nonsense may be published, and the market goes on."""
    walk = PriceWalk(100.0, Random(8), GOLD)
    bid, ask = walk.bid, walk.ask
    assert walk.adopt({"Bid": value, "Ask": value, "LastExecution": value})
    assert (walk.bid, walk.ask, walk.last_execution) == (bid, ask, 0)
