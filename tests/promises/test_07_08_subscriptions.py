"""Promises 7 and 8: what is wanted is restored and verified, and a gap is visible in order."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest

from etoro_sync import EToroSubscriptionError, WsInstrumentRate
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import Ear, envelope
from tests.support.peer import Peer

FULL = {"Ask": "1.5", "Bid": "1.4", "Date": "2026-04-20T17:24:50.3Z", "PriceRateID": "1"}


def test_promise_7_every_topic_is_restored_with_a_snapshot_and_acknowledged(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """500 topics through 5 losses, with changes meanwhile: the server holds what is wanted."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    c.subscribe(range(1, 501))
    choice = random.Random(7)
    for loss in range(1, 6):
        sim.drop()
        c.subscribe([1000 + loss], wait=False)
        c.unsubscribe([choice.randint(1, 500)], wait=False)
        ear.wait_for("reconnected", loss)
    # Whatever is under way is done when one more request has been answered.
    c.subscribe([5000])
    sim.wait_until(lambda s: s.subscribed == frozenset(c.subscriptions))
    last = [r for r in sim.requests if r["operation"] == "Subscribe"][-3:]
    assert any(r["data"]["snapshot"] for r in last)


def test_promise_7_a_restored_topic_asks_for_a_snapshot_even_if_the_user_did_not(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """After a gap a side that never changes would otherwise stay unknown."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    c.subscribe([18])
    assert ear.of("instrument:rate") == []
    sim.drop()
    ear.wait_for("reconnected")
    ((instrument_id, rate),) = ear.wait_for("instrument:rate")
    assert instrument_id == 18
    assert rate.generation == 2


def test_promise_7_a_missing_acknowledgement_is_a_failed_connection(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The connection is replaced, and the next one acknowledges what was wanted."""
    sim = simulator()
    c = client(sim.url, request_timeout=0.3)
    ear = Ear(c)
    c.connect()
    sim.ignore("Subscribe")
    c.subscribe([18], wait=False)
    ear.wait_for("close")
    ear.wait_for("reconnected")
    assert sim.subscribed == {"instrument:18"}


def test_promise_7_a_refusal_raises_and_those_topics_are_no_longer_wanted(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The error carries the code, eToro's words and the topics; earlier topics stay."""
    sim = simulator(max_topics=3)
    c = client(sim.url)
    c.connect()
    c.subscribe([1, 2])
    with pytest.raises(EToroSubscriptionError, match="Too many subscriptions") as caught:
        c.subscribe([3, 4])
    assert caught.value.error_code == "SubscribeFailed"
    assert caught.value.topics == ("instrument:3", "instrument:4")
    assert c.subscriptions == ("instrument:1", "instrument:2")
    c.subscribe([3])
    assert sim.subscribed == {"instrument:1", "instrument:2", "instrument:3"}


def test_promise_7_a_refusal_is_logged_where_nobody_raises_it(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Told once: by the call that waits for the answer, or by the log."""
    sim = simulator(max_topics=0)
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    with pytest.raises(EToroSubscriptionError, match="Too many"):
        c.subscribe([3])
    ear.wait_for("error")
    assert "Too many" not in caplog.text
    c.subscribe([3], wait=False)
    ear.wait_for("error", 2)
    assert caplog.text.count("Too many") == 1


def test_promise_7_a_restoration_that_is_refused_is_tried_again(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Topics that were accepted once are not given up because of one bad moment."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    c.subscribe([18])
    sim.refuse("Subscribe", "UnhandledException", "server fault", times=2)
    sim.drop()
    ear.wait_for("reconnected")
    assert sim.subscribed == {"instrument:18"}
    assert c.generation == 4


def test_promise_7_topics_wanted_before_connect_and_in_an_outage_are_subscribed(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Without a connection subscribe() records and returns; the connection brings it about."""
    served: list[list[str]] = []
    lost = threading.Event()

    def serve(peer: Peer) -> None:
        request = peer.read_json()
        # Noted before the answer, because the client goes on as soon as it has that.
        served.append(request["data"]["topics"])
        peer.reply(request)

    def first(peer: Peer) -> None:
        peer.accept()
        for _ in range(2):
            serve(peer)
        peer.wait(lost)
        peer.reset()

    def second(peer: Peer) -> None:
        peer.accept()
        while True:
            serve(peer)

    c = client(raw_server([first, second]).url, reconnect_delay=0.5, reconnect_max_delay=0.5)
    ear = Ear(c)
    c.subscribe([18, "private"])
    assert c.subscriptions == ("instrument:18", "private")
    c.connect()
    wanted = threading.Event()

    @c.on("reconnecting")
    def in_the_outage(attempt: int, delay: float) -> None:
        c.subscribe([19])
        c.unsubscribe([18])
        wanted.set()

    lost.set()
    assert wanted.wait(5)
    gap = ear.wait_for("reconnected")[0]
    assert served[:2] == [["private"], ["instrument:18"]]
    assert sorted(topic for topics in served[2:] for topic in topics) == [
        "instrument:19",
        "private",
    ]
    assert set(gap.topics) == {"private", "instrument:19"}


def test_promise_7_4999_topics_are_subscribed_in_frames_that_etoro_accepts(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """No frame is over 20 KiB, and the next is sent when the last was acknowledged."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    c.subscribe(range(100_000, 104_999))
    assert len(sim.subscribed) == 4999
    assert len(c.subscriptions) == 4999
    assert len([r for r in sim.requests if r["operation"] == "Subscribe"]) >= 4


def test_promise_8_a_gap_is_visible_in_order_between_the_rates(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Last rate, close, reconnecting, reconnected with the gap, snapshot, delta: in that order."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    c.subscribe([18], snapshot=True)
    sim.publish(18, **FULL)
    ear.wait_for("instrument:rate", 2)
    sim.drop()
    ear.wait_for("instrument:rate", 3)
    sim.publish(18, Ask="1.7")
    ear.wait_for("instrument:rate", 4)
    events = ear.names("instrument:rate", "close", "reconnecting", "reconnected")
    assert events == [
        *["instrument:rate"] * 2,
        "close",
        "reconnecting",
        "reconnected",
        *["instrument:rate"] * 2,
    ]
    (gap,) = ear.of("reconnected")
    assert gap.generation == 2
    assert gap.topics == ("instrument:18",)
    assert 0 <= gap.seconds < 5
    rates = [rate for _, rate in ear.of("instrument:rate")]
    assert [rate.generation for rate in rates] == [1, 1, 2, 2]
    assert rates[3].ask == 1.7
    # Merged with the snapshot of this generation, not with anything older.
    assert rates[3].bid == rates[2].bid


def test_promise_8_the_first_rate_of_a_new_generation_comes_from_a_snapshot(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A delta that overtakes the snapshot is merged, but not shown before it."""

    def first(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", FULL))
        peer.reset()

    def second(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", {"Ask": "7", "Bid": "6"}))
        peer.send_text(envelope("instrument:18", {"Ask": "9", "Bid": "8"}, "Snapshot"))
        peer.send_text(envelope("instrument:18", {"Bid": "8.5"}))
        peer.serve()

    c = client(raw_server([first, second]).url)
    ear = Ear(c)
    c.subscribe([18])
    c.connect()
    rates: list[WsInstrumentRate] = [rate for _, rate in ear.wait_for("instrument:rate", 3)]
    assert [(r.generation, r.ask, r.bid) for r in rates] == [
        (1, 1.5, 1.4),
        (2, 9.0, 8.0),
        (2, 9.0, 8.5),
    ]


def test_promise_7_what_is_unsubscribed_as_the_connection_ends_is_shown_no_longer(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Nothing keeps its price up to date, whether or not eToro has seen the request."""

    def script(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        for topic in ("instrument:18", "instrument:19"):
            peer.send_text(envelope(topic, {"Ask": "2", "Bid": "1"}, "Snapshot"))
        peer.read_json()  # Unsubscribe, which is not acknowledged
        peer.reset()

    c = client(raw_server(script).url, reconnect_delay=60, reconnect_max_delay=60)
    rates, reconnecting = c.queue("instrument:rate"), c.queue("reconnecting")
    c.subscribe([18, 19], snapshot=True)
    c.connect()
    assert {rates.get(timeout=5)[0], rates.get(timeout=5)[0]} == {18, 19}
    c.unsubscribe([18], wait=False)
    reconnecting.get(timeout=5)
    assert list(c.rates) == [19]


def test_promise_8_a_gap_covers_the_silence_of_a_connection_that_has_brought_nothing(
    raw_server: StartServer, client: MakeClient
) -> None:
    """The first order event of the day may have been sent into a connection that was dead already.

    But no gap begins before the session: what was received in an earlier one says nothing here.
    """
    lose = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        if peer.index == 0:
            peer.send_text(envelope("instrument:18", {"Ask": "2", "Bid": "1"}))
        elif peer.index == 1:
            peer.wait(lose)
            peer.reset()
            return
        peer.serve()

    c = client(raw_server(script).url)
    c.connect()
    messages = c.queue("message")
    c.subscribe([18])
    messages.get(timeout=5)
    c.disconnect()
    begun = time.time()
    c.connect()
    gaps = c.queue("reconnected")
    c.subscribe(["private"])
    silent_since = time.time()
    lose.set()
    gap = gaps.get(timeout=5)
    assert begun <= gap.from_ <= silent_since < gap.until


def test_promise_8_a_price_is_held_back_for_a_snapshot_that_never_comes_within_a_bound(
    raw_server: StartServer, client: MakeClient
) -> None:
    """It is told ``request_timeout`` after the acknowledgement, though no message follows."""

    def script(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        if peer.index == 0:
            peer.send_text(envelope("instrument:18", {"Ask": "2", "Bid": "1"}, "Snapshot"))
            peer.reset()
        else:
            peer.send_text(envelope("instrument:18", {"Ask": "4", "Bid": "3"}))
            peer.serve()

    c = client(raw_server(script).url, request_timeout=0.2)
    rates = c.queue("instrument:rate")
    ear = Ear(c)
    c.subscribe([18], snapshot=True)
    c.connect()
    assert [(r.generation, r.bid) for _, r in (rates.get(timeout=5), rates.get(timeout=5))] == [
        (1, 1.0),
        (2, 3.0),
    ]
    assert c.rates[18].bid == 3.0
    ear.wait_for("instrument:rate", 2)


def one_gap(asleep: threading.Event | None = None) -> Callable[[Peer], None]:
    """Prices of two instruments, then a gap, then prices of the first one only.

    :param asleep: nothing is sent before it is set
    """

    def script(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        if asleep is not None:
            peer.wait(asleep)
        for instrument_id in (1, 2, 1) if peer.index == 0 else (1, 1):
            price = {"Ask": "2", "Bid": "1"}
            peer.send_text(envelope(f"instrument:{instrument_id}", price, "Snapshot"))
        if peer.index == 0:
            peer.reset()
        else:
            peer.serve()

    return script


def test_promise_8_queues_keep_generations_apart(
    raw_server: StartServer, client: MakeClient
) -> None:
    """In a full queue a new generation's rate does not move to the place of an old one's."""
    c = client(raw_server(one_gap()).url)
    q = c.queue("instrument:rate", maxsize=2)
    ear = Ear(c)
    c.subscribe([1, 2], snapshot=True)
    c.connect()
    ear.wait(lambda e: len([r for _, r in e.of("instrument:rate") if r.generation == 2]) == 2)
    waiting = [q.get_nowait() for _ in range(q.qsize())]
    assert [(key, rate.generation) for key, rate in waiting] == [(2, 1), (1, 2)]


def test_promise_8_a_slow_callback_sees_the_gap_before_the_rates_behind_it(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Also where rates were conflated while it slept."""
    release, heard, asleep = (threading.Event() for _ in range(3))
    c = client(raw_server(one_gap(asleep)).url, callback_queue_size=2)
    seen: list[str] = []

    @c.once("open")
    def sleep() -> None:
        asleep.set()
        release.wait(10)

    @c.on("reconnected")
    def gap(gap: object) -> None:
        seen.append("gap")

    @c.on("instrument:rate")
    def rate(instrument_id: int, rate: WsInstrumentRate) -> None:
        seen.append(f"{instrument_id} of {rate.generation}")
        if seen[-1] == "1 of 2":
            heard.set()

    after = c.queue("instrument:rate")
    c.subscribe([1, 2], snapshot=True)
    c.connect()
    while after.get(timeout=5)[1].generation != 2:
        pass
    after.get(timeout=5)
    release.set()
    assert heard.wait(5)
    assert seen == ["2 of 1", "gap", "1 of 2"]
