"""The view of the latest rates: a mapping that other threads read while it changes."""

from __future__ import annotations

import gc
import threading

from etoro_sync.market.rate_view import RateView
from tests.market.tools import Feed


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
