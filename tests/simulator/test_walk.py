from collections.abc import Callable
from decimal import Decimal
from random import Random

import pytest

from etoro_sync.simulator.walk import PriceWalk, decimals_for


def in_order(walk: PriceWalk) -> bool:
    """Say whether all prices of a walk lie in the order they must lie in."""
    last = walk.last_execution or walk.bid_discounted
    return 0 < walk.bid < walk.bid_discounted <= last <= walk.ask_discounted < walk.ask


@pytest.mark.parametrize(
    ("price", "decimals"), [(65000, 2), (150, 2), (65, 3), (1.085, 4), (0.5, 5), (1e-12, 12)]
)
def test_the_tick_size_suits_the_price(price: float, decimals: int) -> None:
    """Cheap instruments have finer ticks."""
    assert decimals_for(price) == decimals


@pytest.mark.parametrize("start", [1e-8, 0.0123, 1.0856, 4800.0, 65000.5, 1e9])
def test_prices_stay_in_order_and_near_where_they_began(start: float) -> None:
    """Whatever moves, the bid stays below the ask and the last execution between them."""
    walk = PriceWalk(start, Random(1))
    assert float(walk.text(walk.bid)) == pytest.approx(start, rel=0.01)
    moves = Random(2)
    actions: list[Callable[[], object]] = [walk.move_both, walk.move_bid, walk.move_ask]
    actions.append(walk.move_last_execution)
    for _ in range(5000):
        before = (walk.bid, walk.ask, walk.last_execution)
        moves.choice(actions)()
        assert in_order(walk)
        assert (walk.bid, walk.ask, walk.last_execution) != before
    assert start / 3 < float(walk.text(walk.bid)) < start * 3


def test_each_move_changes_what_it_is_named_after() -> None:
    """A delta never tells a side that didn't move."""
    walk = PriceWalk(100.0, Random(3))
    for _ in range(1000):
        bid, ask, last = walk.bid, walk.ask, walk.last_execution
        walk.move_bid()
        assert (walk.bid != bid, walk.ask, walk.last_execution) == (True, ask, last)
        bid = walk.bid
        walk.move_ask()
        assert (walk.bid, walk.ask != ask, walk.last_execution) == (bid, True, last)
        ask = walk.ask
        walk.move_last_execution()
        assert (walk.bid, walk.ask, walk.last_execution != last) == (bid, ask, True)


def test_a_last_execution_is_kept_only_while_it_lies_between_the_prices() -> None:
    """Keeping it is a wish, the order of prices a law."""
    walk = PriceWalk(100.0, Random(4))
    outcomes = set()
    for _ in range(200):
        last = walk.last_execution
        kept = walk.move_both(keep_last_execution=True)
        outcomes.add(kept)
        assert not kept or walk.last_execution == last
        assert in_order(walk)
    assert outcomes == {True, False}


@pytest.mark.parametrize(("factor", "direction"), [(3, -1), (0.3, 1)])
def test_a_price_that_strayed_is_led_back(factor: float, direction: int) -> None:
    """A walk can't run away from its start."""
    walk = PriceWalk(100.0, Random(5))
    walk.bid, walk.ask = int(walk.bid * factor), int(walk.ask * factor)
    for _ in range(20):
        bid = walk.bid
        walk.move_both()
        assert (walk.bid - bid) * direction > 0


def test_the_walk_goes_on_from_published_prices() -> None:
    """Prices that somebody published are the new starting point, in their own precision."""
    walk = PriceWalk(100.0, Random(6))
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
    walk = PriceWalk(100.0, Random(7))
    assert not walk.adopt({"Bid": "120", "Ask": "110"})
    assert walk.text(walk.bid) == "120"
    assert in_order(walk)


@pytest.mark.parametrize("value", ["", "abc", "NaN", "-1", "0", "1e30", None, True, [1]])
def test_values_that_are_no_prices_leave_the_walk_alone(value: object) -> None:
    """Nonsense may be published, and the market goes on."""
    walk = PriceWalk(100.0, Random(8))
    bid, ask = walk.bid, walk.ask
    assert walk.adopt({"Bid": value, "Ask": value, "LastExecution": value})
    assert (walk.bid, walk.ask, walk.last_execution) == (bid, ask, 0)
