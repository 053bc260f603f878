# pyright: basic
# mypy: allow-untyped-defs, allow-untyped-calls
"""Programs without types, as most users write them. Never run, only checked."""

from typing_extensions import assert_type

from etoro_sync import EventQueue, WsClient, WsPrivateEvent

client = WsClient()


class Bot:
    """Methods."""

    def __init__(self, client):
        self.orders = client.queue("private:event")
        client.on("instrument:rate", self.on_rate)

    def on_rate(self, instrument_id, rate):
        print(instrument_id, rate.bid)


@client.on("private:event")
def on_order(event):
    print(event.order_id)


@client.on("instrument:rate", instrument_id=100000)
def on_rate(instrument_id, rate, more=None):
    print(rate.bid)


def log(*arguments):
    print(*arguments)


client.on("instrument:rate", on_rate).on("private:event", on_order).on("close", log)
client.on("error", print)
for name in ("reconnecting", "reconnected"):
    client.on(name, log)
assert_type(client.queue("private:event"), EventQueue[WsPrivateEvent])
client.wait_for("private:event", lambda event: event.order_id == 1)
Bot(client)
