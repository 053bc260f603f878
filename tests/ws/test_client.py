"""The client's surface: what each member does and refuses, against the simulator."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

import etoro_sync
from etoro_sync import (
    ClientState,
    EToroClosedError,
    EToroKeyError,
    EToroSubscriptionError,
    EToroTimeoutError,
    EToroTypeError,
    EToroValidationError,
    EToroWebSocketError,
    WsClient,
    WsClientOptions,
)
from etoro_sync.market import feed_handler as feed
from etoro_sync.ws.core import core_of
from etoro_sync.ws.protocol.requests import Operation
from etoro_sync.ws.session import session
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import Ear, envelope, make_client, quick_options
from tests.support.foreign import Float, Int
from tests.support.peer import Peer
from tests.support.threads import run_in_thread


@pytest.fixture
def idle() -> WsClient:
    """A client that is never connected."""
    return make_client("ws://127.0.0.1:9/ws")


# -- arguments ---------------------------------------------------------------------------------


BAD_CALLS: dict[str, tuple[Any, str]] = {
    "options": (lambda c: WsClient({"api_key": "x"}), "options"),  # type: ignore[arg-type]
    "event": (lambda c: c.on("instrument:rates", print), "event"),
    "event once": (lambda c: c.once("opened", print), "event"),
    "event off": (lambda c: c.off("x", print), "event"),
    "event remove": (lambda c: c.remove_all_listeners("x"), "event"),
    "event queue": (lambda c: c.queue("x"), "event"),
    "event wait_for": (lambda c: c.wait_for("x"), "event"),
    "event type": (lambda c: c.on(5, print), "event"),
    "handler": (lambda c: c.on("open", "print"), "handler"),
    "filter": (lambda c: c.on("open", print, instrument_id=1), "instrument_id"),
    "filter list": (lambda c: c.on("stale", print, instrument_id=[1]), "instrument_id"),
    "filter zero": (lambda c: c.on("stale", print, instrument_id=0), "instrument_id"),
    "filter bool": (lambda c: c.on("stale", print, instrument_id=True), "instrument_id"),
    "queue ids": (lambda c: c.queue("instrument:rate", instrument_ids=["1"]), "instrument_ids"),
    "queue filter": (lambda c: c.queue("open", instrument_ids=[1]), "instrument_ids"),
    "queue no ids": (lambda c: c.queue("stale", instrument_ids=[]), "instrument_ids"),
    "queue maxsize": (lambda c: c.queue("open", maxsize=-1), "maxsize"),
    "queue overflow": (lambda c: c.queue("open", overflow="x"), "overflow"),
    "stream ids": (lambda c: c.stream([]), "instrument_ids"),
    "stream text": (lambda c: c.stream("18"), "instrument_ids"),
    "stream overflow": (lambda c: c.stream([1], overflow="x"), "overflow"),
    "stream timeout": (lambda c: c.stream([1], timeout=-1), "timeout"),
    "topic": (lambda c: c.subscribe(["quotes:18"]), "topics"),
    "topic id": (lambda c: c.subscribe(["instrument:-1"]), "topics"),
    "topic float": (lambda c: c.subscribe([1.5]), "topics"),
    "topic bool": (lambda c: c.subscribe([True]), "topics"),
    "topic none": (lambda c: c.subscribe(None), "topics"),
    "topics empty": (lambda c: c.unsubscribe([]), "topics"),
    "timeout": (lambda c: c.subscribe([18], timeout="soon"), "timeout"),
    "connect timeout": (lambda c: c.connect(timeout=-1), "timeout"),
    "disconnect timeout": (lambda c: c.disconnect(timeout=float("nan")), "timeout"),
    "wait_for timeout": (lambda c: c.wait_for("open", timeout=True), "timeout"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_bad_argument_is_refused_by_name(idle: WsClient, name: str) -> None:
    """EToroValidationError, also a ValueError, names the field and says what is allowed."""
    call, field = BAD_CALLS[name]
    with pytest.raises(EToroValidationError) as caught:
        call(idle)
    assert caught.value.field == field
    assert isinstance(caught.value, ValueError)
    assert len(str(caught.value)) > 20
    assert idle.subscriptions == ()


def test_an_unknown_event_is_answered_with_the_nearest_known_one(idle: WsClient) -> None:
    """A misspelled name raises at once, instead of a program that never gets the event."""
    with pytest.raises(EToroValidationError, match="Did you mean 'instrument:rate'"):
        idle.on("instrument_rate", print)


def test_topics_may_be_given_as_people_write_them(idle: WsClient) -> None:
    """One or several, strings or ints; each is kept once, in eToro's spelling."""
    idle.subscribe(18)
    idle.subscribe("private")
    idle.subscribe(["instrument:0018", 19, "instrument:19"])
    idle.subscribe({20})
    assert idle.subscriptions == (
        "instrument:18",
        "private",
        "instrument:19",
        "instrument:20",
    )
    idle.unsubscribe([18, "private", 77])
    assert idle.subscriptions == ("instrument:19", "instrument:20")


def test_numbers_of_other_libraries_are_ids(simulator: MakeSimulator, client: MakeClient) -> None:
    """From the subscription to the callback, as with numpy's, and what comes has Python's."""
    c = client(simulator().url)
    c.connect()
    one: Any = Int(18)
    ids: queue.Queue[int] = queue.Queue()
    c.on("instrument:rate", lambda key, rate: ids.put(key), instrument_id=one)
    rates = c.queue("instrument:rate", instrument_ids=one)
    c.subscribe(one, snapshot=True, timeout=Float(5.0))  # type: ignore[arg-type]
    assert repr(ids.get(timeout=5)) == repr(rates.get(timeout=5)[0]) == "18"
    assert repr(next(iter(c.stream(one)))[0]) == "18"
    assert c.subscriptions == ("instrument:18",)
    c.disconnect(Float(1.0))  # type: ignore[arg-type]


def test_without_options_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """ETORO_API_KEY, ETORO_USER_KEY and ETORO_WS_URL; arguments win."""
    monkeypatch.setenv("ETORO_API_KEY", " from-env ")
    monkeypatch.setenv("ETORO_USER_KEY", "user")
    monkeypatch.setenv("ETORO_WS_URL", "ws://127.0.0.1:9/ws")
    options = core_of(WsClient()).options
    assert (options.api_key, options.user_key) == ("from-env", "user")
    assert options.ws_url == "ws://127.0.0.1:9/ws"
    assert WsClientOptions.from_env(user_key="other").user_key == "other"


# -- callbacks ---------------------------------------------------------------------------------


def test_on_and_once_are_decorators_and_chain(simulator: MakeSimulator, client: MakeClient) -> None:
    """With a handler they return the client, without one a decorator that returns the function."""
    c = client(simulator().url)
    heard: list[str] = []

    @c.on("open")
    def opened() -> None:
        heard.append("open")

    @c.once("authenticated")
    def authenticated() -> None:
        heard.append("authenticated")

    def again() -> None:
        heard.append("again")

    assert c.on("open", again).once("open", again) is c
    assert opened.__name__ == "opened"
    c.connect()
    c.disconnect()
    c.off("open", again)
    c.connect()
    c.disconnect()
    assert heard == ["open", "again", "again", "authenticated", "open"]
    c.remove_all_listeners()
    c.connect()
    c.disconnect()
    assert len(heard) == 5


def test_off_removes_a_handler_that_was_registered_with_once(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Unlike in etoropy."""
    c = client(simulator().url)
    heard: list[int] = []

    def handler() -> None:
        heard.append(1)

    c.once("open", handler)
    c.off("open", handler)
    c.connect()
    c.disconnect()
    assert heard == []


def test_handlers_and_queues_can_be_limited_to_instruments(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """By id; a handler without a filter hears everything."""
    sim = simulator()
    c = client(sim.url)
    gold: list[int] = []
    everything: list[int] = []
    c.on("instrument:rate", lambda key, rate: gold.append(key), instrument_id=18)
    c.on("instrument:rate", lambda key, rate: everything.append(key))
    q = c.queue("instrument:rate", instrument_ids=[19, 20])
    ear = Ear(c)
    c.connect()
    c.subscribe([18, 19, 20, 21])
    for key in (18, 19, 20, 21):
        sim.publish(key, Ask="2", Bid="1")
    ear.wait_for("instrument:rate", 4)
    assert [q.get(timeout=1)[0], q.get(timeout=1)[0]] == [19, 20]
    c.disconnect()
    assert gold == [18]
    assert everything == [18, 19, 20, 21]


# -- sessions ----------------------------------------------------------------------------------


def test_connecting_twice_is_an_error_and_connecting_again_works(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """After disconnect() the client is as new, but for its callbacks and its generation."""
    c = client(simulator().url)
    assert c.state is ClientState.DISCONNECTED
    assert (c.is_connected, c.is_authenticated, c.generation) == (False, False, 0)
    c.connect()
    assert c.state is ClientState.LIVE
    assert (c.is_connected, c.is_authenticated, c.generation) == (True, True, 1)
    with pytest.raises(EToroWebSocketError, match="live already"):
        c.connect()
    c.subscribe([18], snapshot=True)
    c.disconnect()
    assert (c.is_connected, c.is_authenticated, c.subscriptions) == (False, False, ())
    assert dict(c.rates) == {}
    c.connect()
    assert c.generation == 2
    assert c.stats().connections == 2


def test_run_forever_needs_a_connection_and_returns_when_it_was_closed(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Before connect() it says what to do; after disconnect() it returns at once."""
    c = client(simulator().url)
    with pytest.raises(EToroClosedError, match="connect"):
        c.run_forever()
    c.connect()
    c.disconnect()
    c.run_forever()


def test_a_client_is_a_context_manager(simulator: MakeSimulator) -> None:
    """Connected inside, closed behind, also when the block raises."""
    c = make_client(simulator().url)

    def block() -> None:
        with c as same:
            assert same is c
            assert c.is_authenticated
            raise RuntimeError

    with pytest.raises(RuntimeError):
        block()
    assert c.state is ClientState.CLOSED


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda function: function.__name__
)
@pytest.mark.parametrize(
    ("original", "instead"),
    [
        (lambda c: c, "Make another one there, with the same options"),
        (lambda c: c.queue("open"), "pass on its items"),
        (lambda c: c.rates, r"dict\(client.rates.items\(\)\)"),
        (lambda c: core_of(c).tracker, r"Take get_all\(\)"),
    ],
    ids=["client", "queue", "rates", "tracker"],
)
def test_what_cannot_be_copied_says_what_to_take_instead(
    idle: WsClient, original: Callable[[WsClient], Any], instead: str, duplicate: Callable[..., Any]
) -> None:
    """Such as an argument of another process; and not by the name of a lock inside."""
    thing = original(idle)
    with pytest.raises(EToroTypeError, match=f"cannot be copied or pickled[:,] .*{instead}"):
        duplicate(thing)


def test_what_holds_a_client_is_not_pickled_either(idle: WsClient) -> None:
    """Such as its methods, and a list of clients."""
    for thing in (idle.on, [idle]):
        with pytest.raises(EToroTypeError, match="A WsClient cannot be copied or pickled"):
            pickle.dumps(thing)


def test_a_subclass_may_say_how_it_is_pickled(idle: WsClient) -> None:
    """The other process then makes a new one."""
    assert isinstance(pickle.loads(pickle.dumps(Portable())), Portable)


class Portable(WsClient):
    """A client that other processes make for themselves."""

    def __init__(self) -> None:
        super().__init__(WsClientOptions())

    def __reduce__(self) -> Any:
        return (Portable, ())


def test_an_instrument_without_a_rate_is_a_key_error_that_says_what_to_do(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The error names the id, or says that it is none. ``get()`` returns None or the default."""
    c = client(simulator().url)
    with pytest.raises(KeyError) as caught:
        c.rates[18]
    assert isinstance(caught.value, EToroKeyError)
    assert str(caught.value).startswith("No rate of instrument 18 has come. Subscribe")
    for key, advice in (("18", "Write 18."), ("BTC", "id of a symbol."), (None, "not None.")):
        with pytest.raises(EToroKeyError, match="keys of rates are instrument ids") as caught:
            c.rates[key]  # type: ignore[index]
        assert str(caught.value).endswith(advice)
    assert c.rates.get(18) is None
    assert c.rates.get(18, "none") == "none"
    c.connect()
    rates = c.queue("instrument:rate")
    c.subscribe([18], snapshot=True)
    rate = rates.get(timeout=5)[1]
    assert c.rates.get(18) == c.rates[18] == rate


def test_debug_records_show_what_is_asked_and_answered(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """In order, with the ids by which they belong together, and without the keys."""
    caplog.set_level(logging.DEBUG, "etoro_sync")
    c = client(simulator(max_topics=2).url)
    c.connect()
    c.subscribe([18, "private"], snapshot=True)
    with pytest.raises(EToroSubscriptionError, match=r"refused Subscribe of instrument:77\b"):
        c.subscribe([77])
    c.unsubscribe([18])
    c.disconnect()
    records = [r.getMessage() for r in caplog.records if r.levelno == logging.DEBUG]
    assert records[0] == "Sent Authenticate"
    assert [text.split()[0] for text in records] == ["Sent", "Received"] * 4
    assert '"operation": "Authenticate"' in records[1]
    asked, answered = (json.loads(text.split(maxsplit=1)[1]) for text in records[2:4])
    assert asked["data"] == {"topics": ["instrument:18", "private"], "snapshot": True}
    assert asked["id"] == answered["id"]
    assert '"success": false' in records[5]
    assert "Unsubscribe" in records[6]


def test_repr_shows_the_state_and_no_key(idle: WsClient) -> None:
    """For logs and notebooks."""
    idle.subscribe([18])
    assert repr(idle) == "<WsClient disconnected, generation 0, 1 topic>"


def test_a_session_that_cannot_start_says_so_and_leaves_the_client_usable(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of descriptors, or of threads: an error, and not a client that is connecting for ever.

    Whoever reads a queue of it gets the same error.
    """
    c = client(simulator().url)
    early = c.queue("instrument:rate")
    with monkeypatch.context() as patch:

        def no_descriptor() -> None:
            raise OSError(24, "Too many open files")

        patch.setattr(socket, "socketpair", no_descriptor)
        with pytest.raises(EToroWebSocketError, match="Too many open files"):
            c.connect()
    assert c.state is ClientState.FAILED
    with pytest.raises(EToroWebSocketError, match="Too many open files"):
        early.get(timeout=5)
    with monkeypatch.context() as patch:

        def no_thread(self: object) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(EToroWebSocketError, match=r"can't start new thread. Raise the limit"):
            c.connect()
    assert c.state is ClientState.FAILED
    c.connect()
    assert c.is_authenticated


def test_a_session_that_cannot_start_counts_nothing_twice(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the callbacks of the one before have lost stays what it was."""
    c = client(simulator().url)
    c.connect()
    assert core_of(c).sessions.present is not None
    core_of(c).sessions.dispatcher.lanes.rates.dropped = 3
    c.disconnect()

    def no_descriptor() -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socketpair", no_descriptor)
        with pytest.raises(EToroWebSocketError):
            c.connect()
    assert c.stats().callbacks_dropped == 3
    c.connect()
    assert c.stats().callbacks_dropped == 3


def test_a_defect_in_the_reader_is_told_and_not_a_silent_death(
    simulator: MakeSimulator,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If it repeats at each attempt, all blocked calls end with an error."""
    sim = simulator()
    c = client(sim.url)
    q = c.queue("instrument:rate")
    c.connect()
    c.subscribe([18])

    def defect(self: object, now: float) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(feed.FeedHandler, "begin_read", defect)
    sim.publish(18, Ask="2", Bid="1")
    with pytest.raises(EToroWebSocketError, match="Internal error"):
        q.get(timeout=5)
    with pytest.raises(EToroWebSocketError, match="a defect"):
        c.run_forever()
    assert "please report" in caplog.text


def test_the_end_of_the_program_ends_all_sessions_together(simulator: MakeSimulator) -> None:
    """What the interpreter calls at its exit."""
    sim = simulator()
    clients = [make_client(sim.url) for _ in range(3)]
    for c in clients:
        c.connect()
    session._end_all()
    sim.wait_until(lambda s: not s.clients)
    for c in clients:
        c.disconnect()


def test_connect_that_is_interrupted_by_disconnect_leaves_the_client_closed(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """disconnect() in a callback of the first connection wins over connect()."""
    sim = simulator()
    sim.ignore("Authenticate")
    c = client(sim.url)
    c.on("open", c.disconnect)
    with pytest.raises(EToroClosedError, match="disconnect"):
        c.connect()
    c.run_forever()  # returns when disconnect() is done
    assert c.state is ClientState.CLOSED


def test_an_operation_that_comes_after_the_end_is_ended_too(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The session may end between two checks of the state; the caller must not wait then."""
    c = client(simulator().url)
    c.connect()
    session_ = core_of(c).sessions.present
    c.disconnect()
    assert session_ is not None
    told: list[Any] = []
    session_.reader.post(Operation("Subscribe", ["instrument:18"], on_done=told.append))
    assert isinstance(told[0], EToroClosedError)


# -- subscriptions and streams -----------------------------------------------------------------


def test_stream_subscribes_yields_merged_rates_and_unsubscribes(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Leaving the loop is enough; the topics are gone from the server too."""
    sim = simulator(rate=200)
    c = client(sim.url)
    c.connect()
    seen = set()
    for instrument_id, rate in c.stream([18, 19]):
        assert rate.ask > rate.bid > 0
        assert rate.changed
        seen.add(instrument_id)
        if seen == {18, 19}:
            break
    sim.wait_until(lambda s: not s.subscribed)
    assert c.subscriptions == ()
    assert core_of(c).registry.queues() == []


def test_streams_share_topics_with_each_other_and_with_the_user(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """A topic is unsubscribed when the last stream that uses it ends, unless the user wants it."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    c.subscribe([1])
    one, two = iter(c.stream([1, 2])), iter(c.stream([2, 3]))
    next(one), next(two)
    one.close()  # type: ignore[attr-defined]
    assert set(c.subscriptions) == {"instrument:1", "instrument:2", "instrument:3"}
    c.subscribe([3])
    two.close()  # type: ignore[attr-defined]
    sim.wait_until(lambda s: s.subscribed == {"instrument:1", "instrument:3"})
    assert c.subscriptions == ("instrument:1", "instrument:3")


def test_a_stream_that_is_refused_leaves_nothing_behind(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Neither a queue nor a wanted topic."""
    sim = simulator(max_topics=1)
    c = client(sim.url)
    c.connect()
    with pytest.raises(EToroSubscriptionError):
        next(iter(c.stream([1, 2])))
    assert c.subscriptions == ()
    assert core_of(c).registry.queues() == []


def test_a_stream_that_is_not_acknowledged_leaves_nothing_behind(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The loop has not begun, so its end could not unsubscribe the topics."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    sim.ignore("Subscribe")
    with pytest.raises(EToroTimeoutError):
        next(iter(c.stream([1], timeout=0.05)))
    assert c.subscriptions == ()


def test_unsubscribe_forgets_the_rate(simulator: MakeSimulator, client: MakeClient) -> None:
    """A price that is not kept up to date is not shown, and a later side is not merged with it."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    c.subscribe([18])
    sim.publish(18, Ask="2", Bid="1")
    ear.wait_for("instrument:rate")
    assert c.rates[18].ask == 2
    c.unsubscribe([18])
    assert 18 not in c.rates
    c.subscribe([18])
    sim.publish(18, Ask="3")
    ear.wait(lambda e: len(e.of("instrument:delta")) == 2)
    assert len(ear.of("instrument:rate")) == 1
    assert len(c.rates) == 0


def test_subscribe_without_waiting_tells_of_a_refusal_by_an_error_event(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """No caller waits that could raise it, so it is emitted."""
    sim = simulator(max_topics=1)
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    c.subscribe([1, 2], wait=False)
    (error,) = ear.wait_for("error")
    assert isinstance(error, EToroSubscriptionError)
    assert c.subscriptions == ()


def test_a_subscription_recorded_before_connect_that_is_refused_is_told(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """By an error event that names the topic; the client stays live, and keeps the others."""
    sim = simulator(max_topics=1)
    c = client(sim.url)
    ear = Ear(c)
    c.subscribe([1, 2])
    c.connect()
    (error,) = ear.wait_for("error")
    assert isinstance(error, EToroSubscriptionError)
    assert error.topics == ("instrument:2",)
    assert c.state is ClientState.LIVE
    assert c.subscriptions == ("instrument:1",)


def test_unsubscribe_that_is_refused_raises(simulator: MakeSimulator, client: MakeClient) -> None:
    """The topic is not wanted any more all the same."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    c.subscribe([18])
    sim.refuse("Unsubscribe", "UnhandledException", "sorry")
    with pytest.raises(EToroSubscriptionError, match="sorry"):
        c.unsubscribe([18])
    assert c.subscriptions == ()


def test_a_second_subscription_with_snapshot_brings_the_state_again(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Also where eToro calls it a duplicate, nothing is raised."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    c.subscribe([18])
    c.subscribe([18])
    assert len([r for r in sim.requests if r["operation"] == "Subscribe"]) == 1
    c.subscribe([18], snapshot=True)
    ear.wait(lambda e: any(d.is_snapshot for _, d in e.of("instrument:delta")))
    strict = simulator(duplicate_error=True)
    d = client(strict.url)
    d.connect()
    d.subscribe([18])
    d.subscribe([18, 19], snapshot=True)
    assert strict.subscribed == {"instrument:18", "instrument:19"}


def test_a_refused_topic_does_not_keep_the_price_of_an_older_connection(
    raw_server: StartServer, client: MakeClient
) -> None:
    """What is no longer wanted is no longer shown."""

    def first(peer: Peer) -> None:
        peer.accept()
        peer.send_text(envelope("instrument:18", {"Ask": "2", "Bid": "1"}))
        peer.wait(lost)
        peer.reset()

    def second(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge("SubscribeFailed", "no")
        peer.serve()

    lost = threading.Event()
    c = client(raw_server([first, second]).url)
    ear = Ear(c)
    c.connect()
    ear.wait_for("instrument:rate")
    assert c.rates[18].ask == 2
    # Recorded in the outage, and refused on the connection that follows it.
    c.on("reconnecting", lambda attempt, delay: c.subscribe([18]))
    lost.set()
    ear.wait_for("error")
    assert c.subscriptions == ()
    assert 18 not in c.rates


def test_a_flood_of_refusals_does_not_flood_the_log(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is an event, the log has the first."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    for _ in range(20):
        sim.send_text('{"success":false,"errorCode":"BinaryMessagesNotSupported"}')
    errors = ear.wait_for("error", 20)
    assert {error.error_code for error in errors} == {"BinaryMessagesNotSupported"}
    assert len([r for r in caplog.records if "Binary" in r.getMessage()]) == 1


def test_wait_for_returns_the_first_match_on_the_callers_thread(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The predicate gets the event's arguments."""
    sim = simulator(rate=500)
    c = client(sim.url)
    c.connect()
    c.subscribe([18], snapshot=True)
    threads: list[str] = []

    def odd(instrument_id: int, rate: Any) -> bool:
        threads.append(threading.current_thread().name)
        return len(threads) > 3

    instrument_id, _ = c.wait_for("instrument:rate", odd, timeout=5)
    assert instrument_id == 18
    assert set(threads) == {threading.current_thread().name}
    waiting = run_in_thread(lambda: c.wait_for("close", timeout=5))
    while not core_of(c).registry.queues():
        pass
    sim.disconnect(4000, "bye")
    assert waiting.result() == (4000, "bye")


# -- figures -----------------------------------------------------------------------------------


def test_stats_count_what_happened(simulator: MakeSimulator, client: MakeClient) -> None:
    """Counters over the client's life, ages of now."""
    sim = simulator()
    c = client(sim.url)
    before = c.stats()
    assert before.connected_age is before.last_message_age is None
    ear = Ear(c)
    c.connect()
    c.subscribe([18, "private"])
    sim.publish(18, Ask="2", Bid="1")
    sim.heartbeat(18)
    sim.fill_order(instrument_id=18, units=1.0)
    sim.send_text('{"messages":[{"topic":"new","type":"t","content":"{}","id":"1"}]}')
    sim.send_text("garbage")
    ear.wait_for("error")
    sim.drop()
    ear.wait_for("reconnected")
    ear.wait_for("instrument:rate", 2)  # the second one is the snapshot behind the gap
    stats = c.stats()
    assert (stats.rates, stats.heartbeats, stats.private_events) == (2, 1, 1)
    assert (stats.unknown, stats.bad_messages, stats.reconnects) == (1, 1, 1)
    assert (stats.connections, stats.connect_attempts) == (2, 2)
    assert stats.bytes > 500
    assert stats.callbacks > 5
    assert stats.connected_age is not None
    assert 0 <= stats.connected_age < 30
    assert stats.last_message_age is not None


def test_pings_are_answered_and_the_last_pong_is_known(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """last_pong_at is a wall-clock time, as in etoropy; a quiet socket stays up."""
    sim = simulator()
    c = client(sim.url, heartbeat_interval=0.02, heartbeat_timeout=5)
    assert c.last_pong_at == 0.0
    q = c.queue("instrument:rate")
    c.connect()
    while not c.last_pong_at:
        pass
    c.subscribe([18], snapshot=True)
    q.get(timeout=5)
    assert c.generation == 1


def test_the_package_exports_what_its_docs_name() -> None:
    """One import line is enough."""
    for name in etoro_sync.__all__:
        assert getattr(etoro_sync, name) is not None
    assert quick_options("wss://example.com/ws").ws_url == "wss://example.com/ws"
