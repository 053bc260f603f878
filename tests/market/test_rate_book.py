"""The book: what is shown is of this connection, and what waits for a snapshot is held back."""

from __future__ import annotations

import pytest

from etoro_sync.market import rate_book
from etoro_sync.market.merging import make_rate
from etoro_sync.market.rate_book import RateBook
from etoro_sync.market.rate_view import RateView
from tests.market.tools import TOPIC, Feed


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


def test_a_snapshot_of_flags_alone_publishes_the_price_that_was_held_back() -> None:
    """With the flags, and once: what follows without a price is no rate."""
    feed = Feed()
    feed.book.expect_snapshots([TOPIC])
    feed.send({"Ask": "2", "Bid": "1"})
    rate = feed.send({"IsMarketOpen": "True"}, "Snapshot")
    assert (rate.ask, rate.bid, rate.is_market_open) == (2.0, 1.0, True)
    assert feed.rate == rate
    assert feed.send({"IsMarketOpen": "False"}) is None


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


def test_a_later_subscription_does_not_put_off_an_earlier_snapshot() -> None:
    """The next look is due when the first of all snapshots is overdue."""
    feed = Feed(snapshot_timeout=10.0)
    feed.book.expect_snapshots([TOPIC, "instrument:19"])
    feed.book.subscribed([TOPIC], 1020.0)
    feed.book.subscribed(["instrument:19"], 1025.0)
    assert feed.book.next_overdue == 1030.0


def test_a_snapshot_that_will_not_come_holds_nothing_back_later_either() -> None:
    """Also of an instrument of which nothing had come when that was known."""
    feed = Feed()
    feed.book.expect_snapshots([TOPIC])
    assert feed.book.expect_none([TOPIC]) == []
    feed.book.subscribed([TOPIC], feed.now)
    assert feed.send({"Ask": "2", "Bid": "1"}) is not None


def test_a_snapshot_is_not_awaited_any_more_once_its_topic_was_unsubscribed() -> None:
    """Whoever subscribes again without one gets the first rate at once."""
    feed = Feed()
    feed.book.expect_snapshots([TOPIC])
    feed.book.subscribed([TOPIC], feed.now)
    feed.book.forget([TOPIC])
    feed.book.subscribed([TOPIC], feed.now)
    assert feed.send({"Ask": "2", "Bid": "1"}) is not None


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


def test_a_server_that_invents_topics_does_not_fill_the_memory() -> None:
    """There is room for more instruments than eToro has, and not for any number of them."""
    book = RateBook()
    book.begin_generation([])
    made = [book.instrument(f"instrument:{n}", 0.0) for n in range(1, 60_001)]
    assert made[20_000] is not None
    assert made[-1] is None
