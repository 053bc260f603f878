"""The reading surface: what holds for a connection and for any other source alike.

One is a client whose server sends some frames once it is subscribed to them, and one is a fleet of
such connections; another is the example that plays the same frames from a file, the fourth plays a
recording of that, and the last one reads what they make from Redis.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import itertools
import pickle
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import (
    ClientState,
    EToroClosedError,
    EToroError,
    EToroTimeoutError,
    EToroTypeError,
    EToroValidationError,
    EToroWebSocketError,
    EventQueue,
    MarketStream,
    Replay,
    WsClient,
    WsFleet,
    WsPrivateEvent,
)
from etoro_sync.redis.subscribing.client import RedisClient
from etoro_sync.stream.core import core_of
from tests.conftest import MakeClient, StartServer
from tests.redis.writing import FeedWriter, rate_of
from tests.support.clients import envelope, make_client, make_fleet
from tests.support.peer import Peer
from tests.support.redis_server import REDIS_SERVER, RedisServer
from tests.support.threads import Watchdog, run_in_thread

EXAMPLE = Path(__file__).parents[2] / "examples" / "play_frames.py"
#: Numbers for the feeds in Redis, of which each stream has one of its own.
_feeds = itertools.count(1)
TOPICS = ["instrument:18", "instrument:19", "private"]


def price(number: int, **fields: str) -> dict[str, str]:
    date = f"2026-01-01T00:00:0{number}.0Z"
    return {"Ask": "2", "Bid": "1", "Date": date, "PriceRateID": str(number), **fields}


#: Two instruments, a delta, a heartbeat, an order, and what is no message at all.
FRAMES = [
    envelope("instrument:18", price(1, InstrumentID="18"), "Snapshot"),
    envelope("instrument:19", price(2, InstrumentID="19", Ask="5"), "Snapshot"),
    envelope("instrument:18", {"Ask": "3", "Date": "2026-01-01T00:00:03.0Z", "PriceRateID": "3"}),
    envelope("instrument:18", {"Date": "2026-01-01T00:00:04.0Z", "PriceRateID": "4"}),
    envelope("private", {"OrderID": 7}, "Trading.New"),
    "no JSON",
    envelope("instrument:19", price(5, Ask="6")),
]
#: Instrument and ask of each rate that they make.
RATES = [(18, 2.0), (19, 5.0), (18, 3.0), (19, 6.0)]

Make = Callable[..., MarketStream]
MAKERS = {"connection": make_client, "fleet": make_fleet}


def frames_file() -> Any:
    """Return the class of the example."""
    spec = importlib.util.spec_from_file_location("play_frames", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FramesFile


def send_frames(peer: Peer) -> None:
    peer.accept()
    with contextlib.suppress(ConnectionError):
        peer.acknowledge()
        for text in FRAMES:
            peer.send_text(text)
        peer.serve()


def record(stream: MarketStream, folder: Path) -> None:
    with stream.record(folder), stream:
        stream.run_forever()


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Any]:
    """A server whose keys the tests share."""
    if REDIS_SERVER is None:
        pytest.skip("redis-server is not installed")
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["file", "connection", "fleet", "recording", "redis"])
def make(
    request: pytest.FixtureRequest, raw_server: StartServer, client: MakeClient, tmp_path: Path
) -> Iterator[Make]:
    """Make streams that are not connected; all that the frames hold is wanted of a connection.

    Of Redis, too: it is written there as soon as the stream is connected, or by ``begin()``.
    """
    made: list[MarketStream] = []

    def make_stream(wanted: bool = True) -> MarketStream:
        if request.param == "redis":
            made.append(FromRedis(request.getfixturevalue("redis_server"), wanted))
            return made[-1]
        if request.param not in MAKERS:
            path = tmp_path / "frames.jsonl"
            path.write_text("\n".join(FRAMES))
            stream = frames_file()(path)
            if request.param == "recording":
                record(stream, tmp_path / "recording")
                stream = Replay(tmp_path / "recording")
            made.append(stream)
            return made[-1]
        c = client(raw_server(send_frames).url, made_by=MAKERS[request.param])
        if wanted:
            c.subscribe(TOPICS)
        return c

    with Watchdog(20):
        yield make_stream
        for stream in made:
            stream.disconnect()


class FromRedis(RedisClient):
    """A subscriber, and the publisher of a feed of its own, which writes what the frames make."""

    def __init__(self, server: Any, wanted: bool) -> None:
        self._server, self._wanted = server, wanted
        with server.client() as raw:
            self._writer = FeedWriter(raw, f"feed-{next(_feeds)}")
        super().__init__(server.url, self._writer.keys.feed)

    def connect(self, timeout: float | None = None) -> None:
        with self._server.client() as raw:
            raw.delete(self._writer.keys.last)  # of the last time
        super().connect(timeout)
        if self._wanted:
            self.write()

    def write(self) -> None:
        writer = self._writer
        with self._server.client() as writer.raw:
            for instrument_id, ask in RATES[:3]:
                writer.rates(rate_of(instrument_id, ask))
            writer.order(WsPrivateEvent(order_id=7))
            writer.event("no event")
            writer.rates(rate_of(*RATES[3]))


def begin(stream: MarketStream) -> None:
    """Let the frames come to a stream of which nothing was wanted until now."""
    if isinstance(stream, WsClient):
        stream.subscribe(TOPICS)
    if isinstance(stream, FromRedis):
        stream.write()


def asks_of_loop(stream: MarketStream, count: int) -> list[tuple[int, float]]:
    found = []
    for instrument_id, rate in stream.stream([18]):
        found.append((instrument_id, rate.ask))
        if len(found) == count:
            break
    return found


def asks(items: Any, count: int) -> list[tuple[int, float]]:
    pairs = [items.get() for _ in range(count)]
    return [(instrument_id, rate.ask) for instrument_id, rate in pairs]


def test_a_callback_gets_each_rate_in_order(make: Make) -> None:
    """Merged, with the instrument's id, until it is removed."""
    stream, seen, all_seen = make(), [], threading.Event()

    def note(instrument_id: int, rate: Any) -> None:
        seen.append((instrument_id, rate.ask))
        if len(seen) == len(RATES):
            all_seen.set()

    assert stream.on("instrument:rate", note) is stream
    with stream:
        assert all_seen.wait(10)
    assert seen == RATES


def test_a_decorator_and_a_filter(make: Make) -> None:
    """Of one instrument only; once is once."""
    stream, seen, first, all_seen = make(), [], [], threading.Event()

    @stream.on("instrument:rate", instrument_id=19)
    def note(instrument_id: int, rate: Any) -> None:
        seen.append(rate.ask)
        if len(seen) == 2:
            all_seen.set()

    stream.once("instrument:rate", lambda i, r: first.append(i))
    rates = stream.queue("instrument:rate")
    with stream:
        assert asks(rates, 4) == RATES
        assert all_seen.wait(10)
    assert (seen, first) == ([5.0, 6.0], [18])


def test_handlers_that_were_removed_are_not_called(make: Make) -> None:
    """Neither by off() nor by remove_all_listeners(); queues stay."""
    stream, seen = make(), []
    rates = stream.queue("instrument:rate")
    stream.on("instrument:rate", print).off("instrument:rate", print)
    stream.on("instrument:rate", lambda *a: seen.append(a))
    assert stream.remove_all_listeners() is stream
    with stream:
        assert asks(rates, 4) == RATES
    assert seen == []


def test_a_queue_collects_from_its_beginning(make: Make) -> None:
    """Made before the start, it has everything; a filter holds; what waits can be read later."""
    stream = make()
    assert isinstance(stream.queue("open"), EventQueue)
    rates = stream.queue("instrument:rate", instrument_ids=[18])
    orders = stream.queue("private:event")
    with stream:
        assert asks(rates, 2) == [(18, 2.0), (18, 3.0)]
        assert orders.get().order_id == 7
        with pytest.raises((queue.Empty, EToroClosedError)):
            rates.get_nowait()
    assert (rates.received, rates.dropped, rates.conflated) == (2, 0, 0)


def test_a_queue_of_several_events_has_them_in_order(make: Make) -> None:
    """With their names and arguments; a filter is for those that have an instrument."""
    stream = make()
    items = stream.queue(["instrument:rate", "private:event", "error"], instrument_ids=18)
    assert items.event == "instrument:rate, private:event, error"
    with stream:
        found = [items.get() for _ in range(4)]
        assert [event for event, *_ in found] == [
            "instrument:rate",
            "instrument:rate",
            "private:event",
            "error",
        ]
        assert [(i, rate.ask) for _, i, rate in found[:2]] == [(18, 2.0), (18, 3.0)]
        assert found[2][1].order_id == 7
    with pytest.raises(EToroValidationError, match="instrument_ids is for"):
        stream.queue(["private:event", "error"], instrument_ids=18)
    for wrong in ([], 5, ["instrument:rates"]):
        with pytest.raises(EToroValidationError, match="event"):
            stream.queue(wrong)  # type: ignore[arg-type]


def test_a_stream_brings_what_it_was_asked_for(make: Make) -> None:
    """By a subscription where there is one, else by a filter."""
    stream = make(wanted=False)
    with stream:
        found = run_in_thread(lambda: asks_of_loop(stream, 2))
        if isinstance(stream, FromRedis):
            while not core_of(stream).registry.queues():
                pass
            stream.write()
        assert found.result() == [(18, 2.0), (18, 3.0)]


def test_wait_for_ends_in_time(make: Make) -> None:
    """No such event is an error of its own, which says how long was waited."""
    stream, goes_on = make(), threading.Event()
    orders = stream.queue("private:event")
    stream.once("private:event", lambda event: goes_on.wait(10))
    with stream:
        assert orders.get().order_id == 7
        with pytest.raises(EToroTimeoutError, match=r"No matching 'reconnected' came within 0.01"):
            stream.wait_for("reconnected", timeout=0.01)
        goes_on.set()


def test_wait_for_returns_what_matches(make: Make) -> None:
    """The first that the predicate accepts."""
    stream = make(wanted=False)
    with stream:
        found = run_in_thread(lambda: stream.wait_for("instrument:rate", lambda i, r: i == 19))
        begin(stream)
        assert found.result()[0] == 19


def test_expect_listens_before_the_block_and_waits_behind_it(make: Make) -> None:
    """So that what the block brings about is not missed."""
    stream = make(wanted=False)
    with stream:
        with stream.expect("private:event", timeout=10) as got:
            begin(stream)
        assert got.value.order_id == 7


def test_rates_are_the_latest(make: Make) -> None:
    """A read-only view; it stays when the stream is left alone."""
    stream = make()
    rates = stream.queue("instrument:rate")
    with stream:
        asks(rates, 4)
        assert {key: rate.ask for key, rate in stream.rates.items()} == {18: 3.0, 19: 6.0}
        with pytest.raises(TypeError):
            stream.rates[18] = None  # type: ignore[index]


def test_the_state_is_the_same_enum(make: Make) -> None:
    """From never connected to closed; the counters count."""
    stream = make()
    rates = stream.queue("instrument:rate")
    errors = stream.queue("error")
    assert stream.state is ClientState.DISCONNECTED
    stream.connect()
    asks(rates, 4)
    assert isinstance(errors.get(), EToroValidationError)
    stream.close()
    assert stream.state is ClientState.CLOSED
    stats = stream.stats()
    # Heartbeats change nothing, and stay out of Redis.
    heartbeats = 0 if isinstance(stream, FromRedis) else 1
    assert (stats.rates, stats.heartbeats) == (4, heartbeats)
    assert (stats.private_events, stats.bad_messages) == (1, 1)
    assert "closed" in repr(stream)


def test_run_forever_ends_with_the_stream(make: Make) -> None:
    """Also by disconnect() in a callback; it leaves no thread."""
    stream = make()
    before = threading.active_count()
    entered = threading.Event()

    def leave(event: Any) -> None:
        # The order may come before connect() has returned, which would raise then.
        entered.wait(10)
        stream.disconnect()

    stream.on("private:event", leave)
    with stream:
        entered.set()
        stream.run_forever()
    assert stream.state is ClientState.CLOSED
    stream.disconnect()
    assert threading.active_count() <= before + 1  # the server's


def test_disconnect_wakes_whoever_waits(make: Make) -> None:
    """get() raises, a loop ends."""
    stream = make()
    never = stream.queue("reconnected")
    rates = stream.queue("instrument:rate")
    blocker = threading.Event()
    stream.on("private:event", lambda event: blocker.wait(10))
    stream.connect()
    getting = run_in_thread(never.get)
    assert rates.get()[0] == 18
    looping = run_in_thread(lambda: list(rates))
    blocker.set()
    stream.disconnect()
    assert isinstance(getting.exception(), EToroClosedError)
    assert looping.result() is not None


def test_what_a_callback_raises_harms_no_other(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, counted and emitted; the next event comes."""
    stream = make()
    errors, rates = stream.queue("error"), stream.queue("instrument:rate", instrument_ids=19)

    @stream.on("instrument:rate", instrument_id=18)
    def fail(instrument_id: int, rate: Any) -> None:
        raise KeyError("mine")

    with stream:
        asks(rates, 2)
        while not isinstance(errors.get(), KeyError):
            pass
        stream.disconnect()
    assert stream.stats().callback_errors >= 1
    assert "raised KeyError" in caplog.text


def test_before_the_start_and_after_the_end_nothing_is_waited_for(make: Make) -> None:
    """A forgotten connect() raises, and does not hang."""
    stream = make()
    for call in (lambda: stream.wait_for("error"), lambda: next(iter(stream.stream([18])))):
        with pytest.raises(EToroClosedError, match="Call connect"):
            call()
    with pytest.raises(EToroClosedError, match="Call connect"):
        stream.run_forever()
    stream.queue("instrument:rate")
    stream.connect()
    with pytest.raises(EToroWebSocketError, match="already"):
        stream.connect()
    stream.disconnect()
    with pytest.raises(EToroClosedError, match="Call connect"):
        stream.wait_for("error")
    stream.run_forever()


def test_it_can_be_connected_again(make: Make) -> None:
    """With callbacks as before, and new queues."""
    stream, orders_seen = make(), []
    ordered = threading.Semaphore(0)
    stream.on("private:event", lambda event: (orders_seen.append(event), ordered.release()))
    for _ in range(2):
        rates = stream.queue("instrument:rate")
        if isinstance(stream, WsClient):
            stream.subscribe(TOPICS)
        with stream:
            assert asks(rates, 4) == RATES
            assert ordered.acquire(timeout=10)
    assert [event.order_id for event in orders_seen] == [7, 7]


def test_an_alert_fires_when_a_price_crosses(make: Make) -> None:
    """Once for each crossing; not for the first price."""
    stream, seen = make(), []
    rates = stream.queue("instrument:rate")
    crossed = threading.Event()

    @stream.alert(18, above=2.5, below=1.5, side="ask")
    def note(crossing: Any) -> None:
        seen.append((crossing.direction, crossing.previous, crossing.price))
        crossed.set()

    with stream:
        assert asks(rates, 4) == RATES
        assert crossed.wait(10)
    assert seen == [("above", 2.0, 3.0)]


def test_an_order_is_followed_and_waited_for(make: Make) -> None:
    """What is known of it comes first; one that is not final is waited for."""
    stream = make()
    seen = stream.queue("private:event")
    goes_on = threading.Event()
    stream.once("private:event", lambda event: goes_on.wait(10))
    with stream:
        assert seen.get().order_id == 7
        with stream.order_updates(7) as updates:
            assert next(updates).order_id == 7
        with pytest.raises(EToroTimeoutError, match="order 7"):
            stream.wait_for_order(7, timeout=0.01)
        goes_on.set()


def test_a_stream_is_recorded(make: Make, tmp_path: Path) -> None:
    """A replay of the recording has the same rates and orders. A fleet says what to do instead."""
    stream = make()
    if isinstance(stream, WsFleet):
        with pytest.raises(EToroError, match="a WsClient of its own"):
            stream.record(tmp_path / "again")
        return
    rates, orders = stream.queue("instrument:rate"), stream.queue("private:event")
    with stream.record(tmp_path / "again") as recording, stream:
        assert asks(rates, 4) == RATES
        assert orders.get(timeout=10).order_id == 7
    # What comes from Redis are no texts, but rates that are merged already.
    texts = 0 if isinstance(stream, FromRedis) else len(FRAMES)
    assert recording.stats().written == recording.stats().received >= texts
    with Replay(tmp_path / "again") as again, again.queue("instrument:rate") as replayed:
        assert asks(replayed, 4) == RATES


def test_a_stream_is_a_table_of_a_notebook(make: Make) -> None:
    """Whatever its source is; its last prices stay when it has ended."""
    stream = make()
    rates = stream.queue("instrument:rate")
    table = stream.live()
    assert table.widget.get_state()["snapshot"]["order"] == []
    with stream:
        assert asks(rates, 4) == RATES
        assert table.update() is not None
        assert table.widget.get_state()["snapshot"]["rows"]["19"]["ask"] == "6.00"
    table.close()


def test_mistakes_are_named(make: Make) -> None:
    """Events, handlers, filters, timeouts; copies are refused."""
    stream = make()
    with pytest.raises(EToroValidationError, match="instrument:rate"):
        stream.on("instrument:rates", print)
    with pytest.raises(EToroValidationError, match="handler must be callable"):
        stream.once("error", None)  # type: ignore[arg-type]
    with pytest.raises(EToroValidationError, match="maxsize"):
        stream.queue("error", maxsize=-1)
    with pytest.raises(EToroValidationError, match="timeout"):
        stream.wait_for("error", timeout=-1)
    with pytest.raises(EToroTypeError, match="cannot be copied"):
        pickle.dumps(stream)

    class Forgetful(type(stream)):  # type: ignore[misc]
        def __init__(self) -> None: ...

    with pytest.raises(EToroError, match=r"super\(\).__init__"):
        Forgetful().on("error", print)


def test_nothing_of_the_surface_is_left_out() -> None:
    """Each public member of the base class stands in a test above; and it is all that reads."""
    text = inspect.getsource(inspect.getmodule(test_nothing_of_the_surface_is_left_out))  # type: ignore[arg-type]
    members = {name for name in vars(MarketStream) if not name.startswith("_")}
    assert members == {
        "alert",
        "close",
        "connect",
        "disconnect",
        "expect",
        "live",
        "off",
        "on",
        "once",
        "order_updates",
        "queue",
        "rates",
        "record",
        "remove_all_listeners",
        "run_forever",
        "state",
        "stats",
        "stream",
        "wait_for",
        "wait_for_order",
    }
    for name in members:
        assert f".{name}" in text, name
