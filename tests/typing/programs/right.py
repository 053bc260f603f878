"""Programs that are right, and what the checkers make of them. Never run, only checked."""

import queue
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from typing_extensions import assert_type

from etoro_sync import (
    EVENTS,
    Alert,
    Bar,
    Candles,
    Crossing,
    EToroOrderError,
    EToroTimeoutError,
    EventQueue,
    Expectation,
    Feed,
    MarketStream,
    OrderStatus,
    RateStream,
    Recording,
    Replay,
    WsClient,
    WsClientOptions,
    WsFleet,
    WsGap,
    WsInstrumentRate,
    WsPrivateEvent,
)
from etoro_sync.redis import RedisClient

client = WsClient()
name: str = input()
RATE: Final = "instrument:rate"
orders: list[WsPrivateEvent] = []
woken = threading.Event()
waiting: queue.Queue[WsPrivateEvent] = queue.Queue()

# -- handlers of every kind ----------------------------------------------------------------------


class Bot:
    """Methods, and an object that can be called."""

    def on_rate(self, instrument_id: int, rate: WsInstrumentRate) -> None: ...

    @staticmethod
    def on_order(event: WsPrivateEvent) -> None: ...

    def __call__(self, event: WsPrivateEvent) -> None: ...


def on_rate(instrument_id: int, rate: WsInstrumentRate) -> str:
    return str(rate.bid)


def with_default(instrument_id: float, rate: object, more: int = 0) -> None: ...


def three(prefix: str, instrument_id: int, rate: WsInstrumentRate) -> None: ...


def log(*arguments: object) -> None: ...


def log_of(event: str, *arguments: object) -> None: ...


anything: Callable[..., Any] = on_rate

client.on("instrument:rate", Bot().on_rate).on("instrument:rate", with_default)
client.on("instrument:rate", partial(three, "rate:")).on("instrument:rate", log)
client.on("instrument:rate", anything).on("private:event", print)
client.on("private:event", Bot()).on("private:event", Bot.on_order)
client.on("private:event", orders.append).on("private:event", waiting.put)
client.on("open", woken.set).on("error", log)
client.on("instrument:rate", lambda instrument_id, rate: rate.bid)
client.once("private:event", lambda event: event.order_id)
client.on("instrument:rate", on_rate, instrument_id=100000)
client.on(RATE, on_rate)
client.off("instrument:rate", on_rate).remove_all_listeners("instrument:rate")


@client.on("instrument:rate", instrument_id=100000)
def decorated(instrument_id: int, rate: WsInstrumentRate) -> str:
    return str(rate.bid)


@client.once("private:event")
def decorated_once(event: WsPrivateEvent, more: str = "") -> None: ...


assert_type(decorated(1, client.rates[1]), str)
decorated_once(orders[0], more="x")

# -- names that only the run knows ---------------------------------------------------------------

for event in EVENTS:
    assert_type(client.on(event, log), WsClient)
    client.on(event, partial(log_of, event)).once(event, anything).off(event, log)
    client.on(event, print)
assert_type(client.queue(name), EventQueue[Any])
assert_type(client.wait_for(name, timeout=1), Any)
assert_type(client.wait_for(name, lambda *arguments: bool(arguments)), Any)
assert_type(client.expect(name), Expectation[Any])


@client.on(name, instrument_id=1)
def of_any_event(instrument_id: int, rate: WsInstrumentRate) -> None: ...


client.on(name)(on_rate)
client.once(name)(on_rate)

# -- queues and waits ----------------------------------------------------------------------------

rates = client.queue("instrument:rate", instrument_ids=[1], maxsize=0, overflow="conflate")
assert_type(rates, EventQueue[tuple[int, WsInstrumentRate]])
assert_type(rates.get(timeout=1), tuple[int, WsInstrumentRate])
assert_type(rates.get_nowait()[1].bid, float)
for instrument_id, rate in rates:
    assert_type(instrument_id, int)
    assert_type(rate, WsInstrumentRate)
for item in rates.iterate():
    assert_type(item, tuple[int, WsInstrumentRate])
for item_or_none in rates.iterate(timeout=1.0):
    assert_type(item_or_none, tuple[int, WsInstrumentRate] | None)
with client.queue("private:event", maxsize=10, overflow="raise") as private:
    assert_type(private.get().net_profit, float)

several = client.queue(["instrument:rate", "private:event"], instrument_ids=1, conflate_after=1.0)
assert_type(several, EventQueue[tuple[Any, ...]])
for event, *arguments in several:
    assert_type(event, Any)
    assert_type(arguments, list[Any])
happened = client.queue(name for name in EVENTS).get()
assert_type(happened[0], Any)
assert_type(happened[1].bid, Any)


def collect(names: str | Iterable[str]) -> EventQueue:
    """Without the type of its items, as it could be written before it had one."""
    return client.queue(names)


assert_type(collect("open").get(), Any)

with client.expect("private:event", lambda event: event.order_id == 1, timeout=5) as got:
    assert_type(got.wait(), WsPrivateEvent)
assert_type(got.value, WsPrivateEvent)
assert_type(client.wait_for("private:event", lambda event: event.order_id == 1), WsPrivateEvent)
assert_type(client.wait_for("instrument:rate", timeout=1)[1], WsInstrumentRate)

# -- other classes -------------------------------------------------------------------------------


class MyClient(WsClient):
    """A subclass is what its methods return."""


def play(feed: Feed) -> None: ...


replay, fleet, reader = Replay("recordings"), WsFleet(), RedisClient("redis://localhost")
assert_type(MyClient().on("open", woken.set), MyClient)
assert_type(MarketStream(play).on("open", woken.set), MarketStream)
assert_type(replay.on("open", woken.set).once("instrument:rate", on_rate), Replay)
assert_type(fleet.on("open", woken.set).once("instrument:rate", on_rate), WsFleet)
assert_type(reader.on("open", woken.set).once("instrument:rate", on_rate), RedisClient)
assert_type(replay.queue("private:event"), EventQueue[WsPrivateEvent])
assert_type(fleet.queue("private:event"), EventQueue[WsPrivateEvent])
assert_type(reader.queue("private:event"), EventQueue[WsPrivateEvent])
assert_type(replay.wait_for("instrument:rate"), tuple[int, WsInstrumentRate])
assert_type(replay.expect("reconnected"), Expectation[WsGap])

# -- loops, orders, alerts, bars, tables ---------------------------------------------------------

assert_type(client.stream(1), RateStream[tuple[int, WsInstrumentRate]])
for pair in replay.stream([1], item_timeout=1.0):
    assert_type(pair, tuple[int, WsInstrumentRate] | None)
assert_type(client.run_forever(timeout=1), bool)
client.connect(retry=True)


def ask(order_id: int) -> OrderStatus | None: ...


def ask_either(order_id: int | str) -> WsPrivateEvent:
    return orders[0]


try:
    assert_type(client.wait_for_order(1, confirm=ask), WsPrivateEvent)
    client.wait_for_order(1, confirm=lambda order_id: OrderStatus(order_id))
    client.wait_for_order(request_guid="x", confirm=ask_either)
except EToroOrderError as error:
    assert_type(error.event, WsPrivateEvent)
    assert_type(error.status, OrderStatus | None)
except EToroTimeoutError as late:
    assert_type(late.gaps, tuple[WsGap, ...])
for update in client.order_updates(request_guid="x"):
    assert_type(update, WsPrivateEvent)


@client.alert(1, above=2.0, side="mid")
def high(crossing: Crossing) -> None: ...


assert_type(high, Alert)
assert_type(client.alert(1, lambda crossing: crossing.price, below=2.0), Alert)

candles = Candles(replay, ["1m", "1h"])


@candles.on("bar", interval="1h")
def on_bar(bar: Bar, more: int = 0) -> str:
    return bar.interval


assert_type(on_bar(candles.bars[0], 1), str)
assert_type(candles.queue(), EventQueue[Bar])
for bar in candles:
    assert_type(bar, Bar)

recording = Recording("recordings")
for row in recording.items():
    assert_type(row, WsInstrumentRate)
for order in recording.items("orders"):
    assert_type(order, WsPrivateEvent)
for gap in recording.items(what="gaps"):
    assert_type(gap, WsGap)
for text in recording.items("texts"):
    assert_type((text.at, text.generation, text.text), tuple[float, int, str])
assert_type(next(recording.items(name)), Any)
assert_type(WsClientOptions.from_env(stale_after=60, proxy=None), WsClientOptions)
