"""Waiting for what becomes of an order."""

from __future__ import annotations

import gc
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from etoro_sync import (
    EToroClosedError,
    EToroOrderError,
    EToroTimeoutError,
    EToroValidationError,
    EToroWebSocketError,
    Feed,
    MarketStream,
    OrderStatus,
    WsGap,
    WsPrivateEvent,
    clocks,
)
from etoro_sync.market.order_states import is_final
from etoro_sync.stream import core as core_module
from etoro_sync.stream.core import core_of
from tests.conftest import MakeClient, MakeSimulator
from tests.support.amounts import amount
from tests.support.clients import Ear
from tests.support.interrupts import every_interrupt
from tests.support.threads import Watchdog, run_in_thread

S = OrderStatus
GAP = "reconnected"
ROAD = (S.RECEIVED, S.PLACED, S.PARTIALLY_FILLED)


def event(order_id: int, status: OrderStatus, **fields: Any) -> WsPrivateEvent:
    return WsPrivateEvent(order_id=order_id, status_id=int(status), **fields)


def playing(*steps: Callable[[Feed], object] | WsPrivateEvent) -> MarketStream:
    """Return a stream that takes the steps, and then waits for its end."""

    def play(feed: Feed) -> None:
        for step in steps:
            if callable(step):
                step(feed)
            else:
                feed.emit("private:event", step)
        feed.wait(1e6)

    return MarketStream(play)


def until_listeners(stream: MarketStream, count: int) -> None:
    """Wait until so many queues are fed: one of two events counts twice."""
    while len(core_of(stream).registry.queues()) < count:
        pass


@pytest.mark.parametrize("status", [s for s in S if is_final(event(1, s))])
@pytest.mark.parametrize("when", ["before", "during"])
def test_each_final_status_ends_the_wait(status: OrderStatus, when: str) -> None:
    """As the event, or as an error where the order came to nothing."""
    waits = threading.Event()
    pause = [] if when == "before" else [lambda feed: waits.wait(5)]
    fields = {"error_code": 720, "error_message": "too small", "executed_units": 1234567.25}
    stream = playing(event(7, S.PLACED), *pause, event(7, status, **fields))
    seen = stream.queue("private:event")
    with Watchdog(10), stream:
        seen.get()
        if when == "before":
            seen.get()
        waiting = run_in_thread(lambda: stream.wait_for_order(7, timeout=5))
        waits.set()
        if status in (S.FILLED, S.CANCELED, S.CANCELED_PARTIALLY_FILLED):
            assert waiting.result().status is status
            return
        error = waiting.exception()
    assert isinstance(error, EToroOrderError)
    assert (error.status, error.code, error.message) == (status, 720, "too small")
    assert error.event.order_id == 7
    assert str(error) == (
        f"Order 7 is {status.name} (code 720): too small. 1234567.25 units were executed."
    )


def test_other_orders_and_other_states_do_not_end_it() -> None:
    """Neither a part of it, nor the order of somebody else."""
    stream = playing(*(event(7, s) for s in ROAD), event(8, S.FILLED), event(7, S.FILLED))
    with Watchdog(10), stream:
        found = stream.wait_for_order(7, timeout=5)
    assert (found.order_id, found.status) == (7, S.FILLED)


def test_an_order_is_found_by_its_request() -> None:
    """Also by later events that have its id alone."""
    stream = playing(
        event(8, S.FILLED, request_guid="b"),
        event(7, S.PLACED, request_guid="a"),
        event(7, S.FILLED),
    )
    with Watchdog(10), stream:
        assert stream.wait_for_order(request_guid="a", timeout=5).order_id == 7


def test_a_request_that_is_known_already_leads_to_the_order() -> None:
    """Before the call or during it, its later events may have the id alone."""
    for early in (True, False):
        goes_on = threading.Event()
        pause = [] if early else [lambda feed: goes_on.wait(5)]  # noqa: B023  # played at once
        stream = playing(event(7, S.PLACED, request_guid="a"), *pause, event(7, S.FILLED))
        seen = stream.queue("private:event")
        with Watchdog(10), stream:
            seen.get()
            if early:
                seen.get()
            updates = stream.order_updates(request_guid="a", timeout=5)
            goes_on.set()
            assert [u.status for u in updates] == [S.PLACED, S.FILLED][early:]
            assert stream.wait_for_order(request_guid="a", timeout=5).status is S.FILLED


def test_another_order_of_the_same_request_is_not_taken_for_it() -> None:
    """The id decides where an event has one."""
    stream = playing(
        event(7, S.PLACED, request_guid="a"),
        event(8, S.CANCELED, request_guid="a"),
        event(7, S.FILLED, request_guid="a"),
    )
    with Watchdog(10), stream:
        assert stream.wait_for_order(7, "a", timeout=5).status is S.FILLED


@pytest.mark.parametrize("timeout", [0.01, 0])
def test_an_event_that_comes_while_confirm_asks_is_not_lost(timeout: float) -> None:
    """The time is up then, and eToro's REST API lags behind the stream."""
    goes_on = threading.Event()
    stream = playing(lambda feed: goes_on.wait(5), event(7, S.FILLED), event(8, S.PLACED))
    seen = stream.queue("private:event")

    def confirm(order_id: int | str) -> None:
        goes_on.set()
        # With the second one here, the first is in all queues.
        seen.get(timeout=5), seen.get(timeout=5)

    with Watchdog(10), stream:
        assert stream.wait_for_order(7, timeout=timeout, confirm=confirm).status is S.FILLED


def test_nothing_final_in_time_says_what_is_known() -> None:
    """The last state, and what may have been missed."""
    gap = WsGap(1.0, 3.5, 2, ("private",))
    stream = playing(event(7, S.PLACED), lambda feed: feed.emit("reconnected", gap))
    with Watchdog(10), stream, pytest.raises(EToroTimeoutError) as caught:
        stream.wait_for_order(7, timeout=0.2)
    error = caught.value
    assert error.gaps == (gap,)
    assert "may have been sent in 1 gap, of 2.5 s, and is lost then." in str(error)
    assert "order 7" in str(error)
    assert "the last state: PLACED" in str(error)
    expected = r"order of request a .* 0.01 s; .*: none has come; the stream is live\. Ask"
    with Watchdog(10), playing() as quiet, pytest.raises(EToroTimeoutError, match=expected):
        quiet.wait_for_order(request_guid="a", timeout=0.01)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(S.FILLED, 7), (3, 7), (event(7, S.CANCELED), 7), (S.REJECTED, EToroOrderError)],
)
def test_what_rest_confirms_when_the_time_is_up_decides(answer: Any, outcome: Any) -> None:
    """As an event, as a status, or as its number."""
    asked: list[Any] = []

    def confirm(order_id: int | str) -> Any:
        asked.append(order_id)
        return answer

    with Watchdog(10), playing() as stream:
        if outcome is EToroOrderError:
            with pytest.raises(EToroOrderError):
                stream.wait_for_order(7, timeout=0.01, confirm=confirm)
        else:
            found = stream.wait_for_order(7, timeout=0.01, confirm=confirm)
            assert found.order_id == outcome
    assert asked == [7]


@pytest.mark.parametrize("answer", [None, S.PLACED])
def test_a_confirmation_that_is_not_final_leaves_the_timeout(answer: Any) -> None:
    """The caller learns that nothing is known."""
    with Watchdog(10), playing() as stream, pytest.raises(EToroTimeoutError):
        stream.wait_for_order(7, timeout=0.01, confirm=lambda order_id: answer)


@pytest.mark.parametrize("confirm", [7, lambda: None])
def test_a_confirm_that_cannot_be_called_is_refused_at_once(confirm: Any) -> None:
    """And not when the time is up, which is when it is needed."""
    with Watchdog(10), playing() as stream, pytest.raises(EToroValidationError) as caught:
        stream.wait_for_order(7, timeout=60, confirm=confirm)
    assert caught.value.field == "confirm"


def test_a_confirmation_of_another_type_is_refused() -> None:
    """With the types that serve."""
    with Watchdog(10), playing() as stream, pytest.raises(EToroValidationError, match="confirm"):
        stream.wait_for_order(7, timeout=0.01, confirm=lambda order_id: "FILLED")  # type: ignore[arg-type,return-value]


def test_a_confirmation_of_another_order_is_refused() -> None:
    """It would be taken for what became of this one; without an id it is taken as it is."""
    other, unnamed = event(8, S.FILLED), WsPrivateEvent(status_id=S.FILLED)
    with Watchdog(10), playing() as stream:
        with pytest.raises(EToroValidationError, match=r"asked for order 7.* of order 8") as caught:
            stream.wait_for_order(7, timeout=0.01, confirm=lambda order_id: other)
        assert caught.value.field == "confirm"
        assert stream.wait_for_order(7, timeout=0, confirm=lambda i: unnamed) is unnamed
        found = stream.wait_for_order(request_guid="a", timeout=0, confirm=lambda i: other)
        assert found is other


def test_a_confirmed_status_has_the_names_of_the_order() -> None:
    """So that the caller knows what it is of."""
    asked: list[Any] = []

    def confirm(name: int | str) -> OrderStatus:
        asked.append(name)
        return S.CANCELED

    with Watchdog(10), playing() as stream:
        found = stream.wait_for_order(request_guid="a", timeout=0, confirm=confirm)
    assert (found.order_id, found.request_guid, found.status) == (None, "a", S.CANCELED)
    stream = playing(event(7, S.PLACED, request_guid="b"))
    seen = stream.queue("private:event")
    with Watchdog(10), stream:
        seen.get()
        found = stream.wait_for_order(request_guid="b", timeout=0, confirm=confirm)
    assert (found.order_id, found.request_guid, found.status) == (7, "b", S.CANCELED)
    assert asked == ["a", 7]


def test_what_confirm_raises_ends_the_wait() -> None:
    """Nothing of it is left behind, and what has come is known to the next call."""

    def confirm(order_id: int | str) -> None:
        raise ConnectionError("no REST")

    with Watchdog(10), playing() as stream, pytest.raises(ConnectionError, match="no REST"):
        stream.wait_for_order(7, timeout=0.01, confirm=confirm)
    assert core_of(stream).registry.queues() == []


def test_after_a_gap_in_the_wait_confirm_is_asked_at_once() -> None:
    """The final event may have been sent in it, and would be waited for for ever."""
    gap, waits = WsGap(1.0, 3.5, 2, ("private",)), threading.Event()
    stream = playing(
        event(7, S.PLACED), lambda feed: waits.wait(5), lambda feed: feed.emit("reconnected", gap)
    )
    seen = stream.queue("private:event")
    with Watchdog(10), stream:
        seen.get()
        waiting = run_in_thread(lambda: stream.wait_for_order(7, confirm=lambda i: S.FILLED))
        until_listeners(stream, 3)
        waits.set()
        assert waiting.result().status is S.FILLED


def test_a_gap_that_has_not_ended_counts_and_confirm_is_asked_at_once(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """An outage may be longer than the wait, and would look as if nothing could be missing."""
    sim = simulator()
    user = client(sim.url)
    seen, lost = user.queue("private:event"), user.queue("reconnecting")
    with Watchdog(20), user:
        user.subscribe("private")
        sim.fill_order(7, status_id=S.PLACED)
        begun = seen.get().received_at
        sim.stop()
        lost.get()
        assert user.wait_for_order(7, confirm=lambda i: S.FILLED).status is S.FILLED
        with pytest.raises(EToroTimeoutError, match=r"is reconnecting.* in 1 gap, of") as caught:
            user.wait_for_order(7, timeout=0.01)
        (gap,) = caught.value.gaps
        assert gap.from_ <= begun + 1 < gap.until + 1
        assert (gap.generation, gap.topics) == (1, ("private",))


@pytest.mark.parametrize("failed", [True, False])
def test_the_time_between_two_sessions_is_a_gap_of_orders(
    failed: bool, simulator: MakeSimulator, client: MakeClient
) -> None:
    """No "reconnected" is emitted for it, and a wait without a timeout would never end."""
    sim = simulator()
    user = client(sim.url, reconnect_attempts=1)
    seen = user.queue("private:event")
    with Watchdog(20):
        user.connect()
        user.subscribe("private")
        sim.fill_order(7, status_id=S.PLACED)
        begun = seen.get().received_at
        if failed:
            sim.stop()
            with pytest.raises(EToroWebSocketError):
                user.run_forever()
            sim = simulator(port=sim.port)
        else:
            user.disconnect()
        user.connect()
        user.subscribe("private")
        assert user.wait_for_order(7, confirm=lambda i: S.FILLED).status is S.FILLED
        with pytest.raises(EToroTimeoutError) as caught:
            user.wait_for_order(7, timeout=0.01)
        (gap,) = caught.value.gaps
        assert begun - 1 < gap.from_ <= gap.until
        assert gap.topics == ("private",)
        again = user.queue("private:event")
        sim.fill_order(7, status_id=S.PARTIALLY_FILLED)
        again.get()
        with pytest.raises(EToroTimeoutError) as caught:
            user.wait_for_order(7, timeout=0.01)
        assert caught.value.gaps == ()


@pytest.mark.parametrize("by_queue", [True, False])
def test_a_wait_in_a_callback_lets_a_source_that_is_played_go_on(
    by_queue: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for callbacks that are behind, and these for the order: neither would go on."""
    for name in ("etoro_sync.synchronization._SLICE", "etoro_sync.stream.pace._PATIENCE"):
        monkeypatch.setattr(name, 60.0)  # so that it has to be woken

    def play(feed: Feed) -> None:
        feed.emit("private:event", event(7, S.PLACED))
        for _ in range(3000):
            feed.emit("private:event", event(8, S.PLACED))
        feed.emit("private:event", event(7, S.FILLED))

    stream, found = MarketStream(play), []
    seen = stream.queue("private:event")
    source: Any = core_of(stream).source

    def wait(order: WsPrivateEvent) -> None:
        if found:
            return
        while not source.pace._monitor._bells:
            pass  # until the source waits
        if not by_queue:
            seen.close()
            found.append(stream.wait_for_order(7))
        while not found:
            found.extend([each for each in [seen.get()] if is_final(each)])

    stream.on("private:event", wait)
    with Watchdog(20), stream:
        stream.run_forever()
    assert found[0].status is S.FILLED
    assert not source.pace.callback_waits


@pytest.mark.parametrize("known", [True, False])
def test_a_gap_before_the_wait_counts_and_confirm_is_asked_at_once(
    known: bool, simulator: MakeSimulator, client: MakeClient
) -> None:
    """The order is placed, the connection breaks, and only then the wait begins."""
    sim = simulator()
    user = client(sim.url)
    seen, back = user.queue("private:event"), user.queue("reconnected")
    with Watchdog(20), user:
        user.subscribe("private")
        if known:
            sim.fill_order(7, status_id=S.PLACED)
            seen.get()
        sim.drop()
        gap = back.get()
        waiting = run_in_thread(lambda: user.wait_for_order(7, confirm=lambda i: S.FILLED))
        assert waiting.result().status is S.FILLED
        with pytest.raises(EToroTimeoutError) as caught:
            user.wait_for_order(7, timeout=0.01)
        assert caught.value.gaps == (gap,)
        sim.fill_order(7, status_id=S.PARTIALLY_FILLED)
        seen.get()
        with pytest.raises(EToroTimeoutError) as caught:
            user.wait_for_order(7, timeout=0.01, confirm=lambda i: None)
        assert caught.value.gaps == ()  # its last event came on the new connection


def test_a_wait_without_the_topic_of_orders_is_refused_at_once(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """It would never end; a played source has no topics, and an order that is final needs none."""
    sim = simulator()
    user = client(sim.url)
    seen = user.queue("private:event")
    early = user.order_updates(7, timeout=0.01)
    with pytest.raises(EToroTimeoutError, match="the stream is disconnected"):
        next(early)  # which may be subscribed to when it connects
    with Watchdog(20), user:
        user.subscribe(18)
        for wait in (lambda: user.wait_for_order(7), lambda: next(early)):
            with pytest.raises(EToroWebSocketError, match=r"order 7 .* subscribe\('private'\)"):
                wait()
        user.subscribe("private")
        sim.fill_order(7)
        seen.get()
        user.unsubscribe("private")
        assert user.wait_for_order(7).status is S.FILLED
        with pytest.raises(EToroWebSocketError, match="not subscribed"):
            user.wait_for_order(8)


@pytest.mark.parametrize("refused", [True, False])
def test_a_wait_ends_when_order_events_cannot_come_any_more(
    refused: bool,
    simulator: MakeSimulator,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key may lack the permission, which eToro says later; without a timeout it would hang."""
    monkeypatch.setattr("etoro_sync.stream.orders._LOOK", 0.01)
    sim = simulator()
    user = client(sim.url)
    user.subscribe("private")
    if refused:
        sim.fault("reject", operation="Subscribe", code="Forbidden")
    with Watchdog(20), user:
        waiting = run_in_thread(lambda: user.wait_for_order(7))
        if not refused:
            until_listeners(user, 2)
            user.unsubscribe("private")
        with pytest.raises(EToroWebSocketError, match="'private' is not subscribed"):
            raise waiting.exception()


def test_updates_begin_with_what_is_known_and_end_behind_the_final_one() -> None:
    """Each event of the order once."""
    goes_on = threading.Event()
    stream = playing(
        event(7, S.RECEIVED),
        event(7, S.PLACED),
        lambda feed: goes_on.wait(5),
        event(8, S.FILLED),
        event(7, S.PARTIALLY_FILLED),
        event(7, S.FILLED),
        event(7, S.FILLED),
    )
    seen = stream.queue("private:event")
    with Watchdog(10), stream:
        seen.get(), seen.get()
        updates = stream.order_updates(7, timeout=5)
        goes_on.set()
        assert [u.status for u in updates] == [S.PLACED, S.PARTIALLY_FILLED, S.FILLED]
        assert list(updates) == []
        assert [u.status for u in stream.order_updates(7)] == [S.FILLED]


def test_what_is_remembered_and_still_on_its_way_is_told_once() -> None:
    """An event, or a gap, is remembered a moment before queues get it."""
    placed, gap = event(7, S.PLACED), WsGap(1.0, 2.0, 2, ("private",))
    remembered, goes_on = threading.Event(), threading.Event()

    def remember(feed: Feed) -> None:
        states = core_of(stream).order_states
        states.note(placed)
        states.note_gap(gap, clocks.uptime())
        remembered.set()
        goes_on.wait(5)

    steps = [remember, placed, lambda feed: feed.emit(GAP, gap), event(7, S.FILLED)]
    stream = playing(*steps)
    with Watchdog(10), stream, stream.queue("private:event"):
        assert remembered.wait(5)
        updates = stream.order_updates(7, timeout=5)
        assert updates.gaps == [gap]
        goes_on.set()
        assert [update.status for update in updates] == [S.PLACED, S.FILLED]
        assert updates.gaps == [gap]


def test_what_comes_while_it_begins_to_listen_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """After it has looked at what is known, and before its queue is fed."""
    stream, begin = playing(), core_module.StreamCore.feed_mixed
    coming = [event(7, S.FILLED), event(7, S.PLACED)]

    def begin_late(core: Any, *arguments: Any) -> None:
        if coming:
            core.order_states.note(coming.pop())
        begin(core, *arguments)

    monkeypatch.setattr(core_module.StreamCore, "feed_mixed", begin_late)
    with Watchdog(10), stream:
        assert stream.wait_for_order(7, timeout=5).status is S.FILLED
        assert core_of(stream).registry.queues() == []


def test_the_final_event_ends_the_updates_for_all_threads() -> None:
    """One of them gets it, and the others would wait for ever."""
    goes_on = threading.Event()
    stream = playing(lambda feed: goes_on.wait(5), event(7, S.FILLED))
    with Watchdog(10), stream:
        updates = stream.order_updates(7)
        looping = [run_in_thread(lambda: list(updates)) for _ in range(3)]
        goes_on.set()
        got = [each.status for loop in looping for each in loop.result()]
    assert got == [S.FILLED]


def test_updates_that_nobody_refers_to_collect_nothing_more() -> None:
    """Else each loop that was left early would keep events, and stop a source that is played."""
    with Watchdog(10), playing(event(7, S.PLACED)) as stream:
        for update in stream.order_updates(7, timeout=5):
            assert update.status is S.PLACED
            break
        gc.collect()
        assert core_of(stream).registry.queues() == []


def test_ctrl_c_at_any_place_leaves_no_queue_behind() -> None:
    """Neither of updates, nor of a queue of several events."""
    calls: list[Callable[[MarketStream], object]] = [
        lambda stream: stream.order_updates(7),
        lambda stream: stream.queue(["private:event", "reconnected"]),
    ]
    made: list[object] = []
    with playing() as stream:
        for call in calls:
            for where, _ in every_interrupt(lambda: made.append(call(stream))):  # noqa: B023
                del _
                made.clear()  # here, because a Ctrl-C in a finalizer would be lost
                if core_of(stream).registry.queues():
                    gc.collect()
                assert core_of(stream).registry.queues() == [], where


def test_updates_go_on_behind_a_step_that_came_too_late() -> None:
    """The loop has other work then; what has come meanwhile is not lost."""
    goes_on = threading.Event()
    stream = playing(lambda feed: goes_on.wait(5), event(7, S.FILLED), event(8, S.PLACED))
    seen = stream.queue("private:event")
    with Watchdog(10), stream:
        updates = stream.order_updates(7, timeout=0.01)
        with pytest.raises(EToroTimeoutError, match=r"order 7 came within 0\.01 s"):
            next(updates)
        assert repr(updates) == "<OrderUpdates of order 7, the last state: none has come>"
        goes_on.set()
        seen.get(), seen.get()
        assert next(updates).status is S.FILLED
        assert repr(updates) == "<OrderUpdates of order 7, the last state: FILLED>"
        assert list(updates) == []


def test_updates_can_be_closed_from_any_thread() -> None:
    """A loop that waits ends."""
    with Watchdog(10), playing() as stream:
        updates = stream.order_updates(7)
        looping = run_in_thread(lambda: list(updates))
        updates.close()
        with stream.order_updates(7, timeout=0.01) as quiet, pytest.raises(EToroTimeoutError):
            next(quiet)
        assert looping.result() == []


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "order_id"),
        ({"order_id": "seven"}, "order_id"),
        ({"order_id": "7"}, "order_id"),
        ({"order_id": True}, "order_id"),
        ({"order_id": 7.0}, "order_id"),
        ({"order_id": 0}, "order_id"),
        ({"request_guid": ""}, "request_guid"),
        ({"request_guid": 7}, "request_guid"),
    ],
)
def test_orders_without_a_name_are_refused(arguments: dict[str, Any], field: str) -> None:
    """At once, and not after the wait."""
    stream = playing()
    for call in (stream.wait_for_order, stream.order_updates):
        with pytest.raises(EToroValidationError) as caught:
            call(**arguments)
        assert caught.value.field == field


def test_a_wrong_name_of_an_order_is_shown_with_what_to_do() -> None:
    """REST answers have ids as text, and a request's id is easily passed in its place."""
    stream = playing()
    with pytest.raises(EToroValidationError, match=r"not '981286176'\. Convert it with int\(\)"):
        stream.wait_for_order("981286176")  # type: ignore[arg-type]
    with pytest.raises(EToroValidationError, match=r"'49a2-22'\. The id of a request"):
        stream.wait_for_order("49a2-22")  # type: ignore[arg-type]
    with pytest.raises(EToroValidationError, match=r"confirm .*\(\) cannot be called: .*order_id"):
        stream.wait_for_order(7, confirm=lambda: None)  # type: ignore[arg-type,misc]


def test_a_stream_that_is_not_connected_knows_what_it_knew() -> None:
    """An order that was final before needs no connection; any other wait would have no end."""
    stream = playing(event(7, S.FILLED))
    seen = stream.queue("private:event")
    with pytest.raises(EToroClosedError, match="connect"):
        stream.wait_for_order(7)
    with Watchdog(10), stream:
        seen.get()
    assert stream.wait_for_order(7).status is S.FILLED
    with pytest.raises(EToroClosedError):
        stream.wait_for_order(8)


def test_a_source_that_is_played_again_knows_nothing_of_its_last_run() -> None:
    """Each run brings the same; another one's numbers of connections would hide a gap."""
    goes_on = threading.Event()
    stream = playing(event(7, S.PLACED), lambda feed: goes_on.wait(5), event(7, S.FILLED))
    found = []
    for _ in range(2):
        goes_on.clear()
        seen = stream.queue("private:event")
        with Watchdog(10), stream:
            seen.get()
            with stream.order_updates(7, timeout=5) as updates:
                goes_on.set()
                found.append([update.status for update in updates])
    assert found == [[S.PLACED, S.FILLED]] * 2


def test_final_before_during_and_after_the_call_in_a_thousand_interleavings() -> None:
    """None is wrong, and none hangs, also where a gap takes some of the events."""
    for seed in range(1000):
        chance = random.Random(seed)
        mine = [event(7, s) for s in ROAD if chance.random() < 0.5]
        mine += [event(7, chance.choice([S.FILLED, S.CANCELED]))]
        others = [event(chance.randrange(8, 12), chance.choice(list(S))) for _ in range(6)]
        steps: list[Any] = list(others)
        for place, each in zip(
            sorted(chance.choices(range(len(steps) + 1), k=len(mine))), mine, strict=True
        ):
            steps.insert(place + mine.index(each), each)
        if chance.random() < 0.5:
            begin, end = sorted(chance.choices(range(len(steps) + 1), k=2))
            gap = WsGap(1.0, 2.0, 2, ("private",))
            steps[begin:end] = [Feed.new_connection, lambda feed, gap=gap: feed.emit(GAP, gap)]
        is_lost = mine[-1] not in steps
        seen_most = sum(not callable(step) for step in steps)
        stream = playing(*steps)
        seen = stream.queue("private:event")
        with Watchdog(10), stream:
            for _ in range(chance.randrange(seen_most + 1)):
                seen.get()
            # As by REST: it is final from the gap on, if it became so in it.
            found = stream.wait_for_order(7, confirm=lambda i: mine[-1] if is_lost else None)  # noqa: B023  # called at once
        assert (found.order_id, found.status) == (7, mine[-1].status), seed


@pytest.mark.long_form
def test_random_losses_of_the_connection_hide_the_end_of_no_order(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Over real sockets: before, during and after the wait; no timeout would end it."""
    sim = simulator()
    user = client(sim.url)
    truth: dict[int | str, OrderStatus] = {}
    with Watchdog(100), user:
        user.subscribe("private")
        for seed in range(amount(25, 1000)):
            chance = random.Random(seed)
            steps = ["placed", "final", "drop", "drop", "wait"]
            chance.shuffle(steps)
            order = seed + 1
            truth[order] = S.PLACED
            expected = chance.choice([S.FILLED, S.CANCELED])
            waiting = None
            for step in steps:
                if step == "placed" and truth[order] is S.PLACED:
                    sim.fill_order(order, status_id=S.PLACED)
                elif step == "final":
                    truth[order] = expected
                    sim.fill_order(order, status_id=expected)
                elif step == "drop":
                    sim.drop()
                elif step == "wait":
                    waiting = run_in_thread(
                        lambda order=order: user.wait_for_order(order, confirm=truth.get)
                    )
            assert waiting is not None
            found = waiting.result()
            assert (found.order_id, found.status) == (order, expected), seed


def test_an_order_that_is_filled_across_a_reconnect_is_found(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Over real sockets: the event of the next connection ends the wait."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.subscribe("private")
    c.connect()
    sim.wait_until(lambda s: "private" in s.subscribed)
    waiting = run_in_thread(lambda: c.wait_for_order(77, timeout=10))
    sim.drop()
    ear.wait_for("reconnected")
    sim.fill_order(order_id=77)
    assert waiting.result().status is S.FILLED


def test_a_wait_on_the_streams_own_thread_is_refused() -> None:
    """It would wait for itself; also where nothing has to be waited for, so that it is found."""
    refused = threading.Semaphore(0)

    def wait(feed: Feed) -> None:
        for order_id in (7, 8):
            with pytest.raises(EToroWebSocketError, match=r"wait_for_order\(\) was called"):
                stream.wait_for_order(order_id)
            refused.release()

    stream = playing(event(7, S.FILLED), wait)
    with Watchdog(10), stream, stream.queue("private:event"):
        for _ in range(2):
            assert refused.acquire(timeout=10)
