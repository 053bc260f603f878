"""Each line with ``# wrong`` is refused, and no other is. Never run, only checked."""

from etoro_sync import (
    Bar,
    Candles,
    Crossing,
    EventQueue,
    Recording,
    Replay,
    WsClient,
    WsClientOptions,
    WsFleet,
    WsInstrumentRate,
    WsPrivateEvent,
)
from etoro_sync.redis import RedisClient

client = WsClient()
name: str = input()
numbers: list[int] = []


class Bot:
    """Methods."""

    def on_order(self, event: WsPrivateEvent) -> None: ...


def nothing() -> None: ...


def on_order(event: WsPrivateEvent) -> None: ...


def on_rate(instrument_id: int, rate: WsInstrumentRate) -> None: ...


def three(instrument_id: int, rate: WsInstrumentRate, more: int) -> None: ...


def keyword(instrument_id: int, *, rate: WsInstrumentRate) -> None: ...


def swapped(rate: WsInstrumentRate, instrument_id: int) -> None: ...


def on_text(event: str) -> None: ...


# -- handlers ------------------------------------------------------------------------------------

client.on("instrument:rate", on_order)  # wrong
client.on("instrument:rate", nothing)  # wrong
client.on("instrument:rate", three)  # wrong
client.on("instrument:rate", keyword)  # wrong
client.on("instrument:rate", swapped)  # wrong
client.on("instrument:rate", Bot().on_order)  # wrong
client.on("instrument:rate", Bot.on_order)  # wrong
client.on("instrument:rate", on_rate, instrument_id="1")  # wrong
client.on("private:event", on_rate)  # wrong
client.on("private:event", on_text)  # wrong
client.on("private:event", numbers.append)  # wrong
client.on("private:event", lambda: None)  # wrong
client.on("private:event", lambda instrument_id, rate: None)  # wrong
client.on("private:event", lambda event: event.order_idd)  # wrong
client.on("private:event", on_order, instrument_id=1)  # wrong
client.on("private:event", on_order(client.wait_for("private:event")))  # wrong
client.on("private:event", None)  # wrong
client.on("open", on_order)  # wrong
client.on("close", on_rate)  # wrong
client.on("stale", on_rate)  # wrong
client.on("error", on_order)  # wrong
client.once("instrument:rate", on_order)  # wrong
client.once("private:event", lambda event: event.order_idd)  # wrong
client.once("open", on_order)  # wrong
client.on(1, on_order)  # wrong
client.on("instrument:rate")(on_order)  # wrong
client.once("instrument:rate")(on_order)  # wrong

# A literal is a str, too: of a name that only the run knows, the handler has to take all arguments,
# or else what is right for no event would be right for any.
client.on(name, on_order)  # wrong


@client.on("instrument:rate")  # wrong
def one(rate: WsInstrumentRate) -> None: ...


@client.once("private:event")  # wrong
def other(event: str) -> None: ...


# -- queues --------------------------------------------------------------------------------------

client.queue("private:event").get().order_idd  # wrong
client.queue("private:event").get_nowait().order_idd  # wrong
client.queue("instrument:rate").get().bid  # wrong
client.queue("instrument:rate").get()[2]  # wrong
for event in client.queue("private:event"):
    event.order_idd  # wrong
for item in client.queue("private:event").iterate(timeout=1):
    item.order_id  # wrong
for gap in client.queue("reconnected").iterate():
    gap.second  # wrong
orders: EventQueue[WsPrivateEvent] = client.queue("instrument:rate")  # wrong
client.queue(["private:event"]).get().order_id  # wrong
client.queue(1)  # wrong
client.queue([1])  # wrong

# -- waits ---------------------------------------------------------------------------------------

client.wait_for("private:event").order_idd  # wrong
client.wait_for("private:event", lambda event: event.order_idd == 1)  # wrong
client.wait_for("private:event", lambda instrument_id, rate: True)  # wrong
client.wait_for("private:event", on_order)  # wrong
client.wait_for("private:event", "1")  # wrong
client.wait_for(name, lambda event: True)  # wrong
client.expect("private:event", lambda: True)  # wrong
with client.expect("private:event") as got:
    got.wait().order_idd  # wrong
got.value.order_idd  # wrong

# -- other sources, loops, orders, alerts, bars, tables ------------------------------------------


def ask(order_id: int) -> None: ...


replay, fleet, reader = Replay("recordings"), WsFleet(), RedisClient("redis://localhost")
replay.queue("private:event").get().order_idd  # wrong
fleet.queue("private:event").get().order_idd  # wrong
reader.queue("private:event").get().order_idd  # wrong
replay.on("instrument:rate", on_order)  # wrong
replay.once("private:event")(on_rate)  # wrong
replay.wait_for("private:event", lambda event: event.order_idd == 1)  # wrong
replay.expect("private:event", lambda: True)  # wrong
for _, rate in client.stream(1):
    rate.bidd  # wrong
for pair in client.stream(1, item_timeout=1.0):
    pair[1]  # wrong
client.wait_for_order(1).order_idd  # wrong
client.wait_for_order(1, confirm=lambda number: "FILLED")  # wrong
client.wait_for_order(request_guid="x", confirm=ask)  # wrong
for update in client.order_updates(1):
    update.order_idd  # wrong
client.alert(1, lambda crossing: crossing.pricee, above=2.0)  # wrong


@client.alert(1, above=2.0)  # wrong
def high(crossing: Crossing, more: int) -> None: ...


for bar in Candles(replay):
    bar.opened  # wrong


@Candles(replay).on("bar")  # wrong
def on_bar(number: int, bar: Bar) -> None: ...


for row in Recording("recordings").items("orders"):
    row.bid  # wrong
WsClientOptions.from_env(stale_afterr=60)  # wrong
WsClient(stale_after="60")  # wrong
WsFleet(connection=2)  # wrong
client.connect(retry="yes")  # wrong
client.run_forever("60")  # wrong
