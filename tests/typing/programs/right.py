"""Programs that are right, and what the checkers make of them. Never run, only checked."""

import queue
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from typing_extensions import assert_type

from etoro_sync import EVENTS, EventQueue, MarketStream, WsClient, WsInstrumentRate, WsPrivateEvent
from etoro_sync.stream import Expectation

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


assert_type(MyClient().on("open", woken.set), MyClient)
assert_type(MarketStream(print).on("open", woken.set), MarketStream)
