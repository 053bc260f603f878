"""Each event refuses what is of another type. Lines are marked as in ``wrong.py``. Only checked."""

from etoro_sync import WsClient

client = WsClient()


class Other:
    """What no event passes."""


def take(value: Other) -> None: ...


def nothing() -> None: ...


def one(value: Other) -> None: ...


def two(value: Other, other: Other) -> None: ...


def is_one(value: Other) -> bool:
    return True


def is_two(value: Other, other: Other) -> bool:
    return True


client.on("open", one)  # wrong
client.on("open", two)  # wrong
client.on("open")(one)  # wrong
client.once("open", one)  # wrong
client.once("open", two)  # wrong
client.once("open")(one)  # wrong
client.wait_for("open", is_one)  # wrong
client.expect("open", is_one)  # wrong
take(client.queue("open").get())  # wrong
take(client.wait_for("open"))  # wrong
take(client.expect("open").value)  # wrong

client.on("authenticated", one)  # wrong
client.on("authenticated", two)  # wrong
client.on("authenticated")(one)  # wrong
client.once("authenticated", one)  # wrong
client.once("authenticated", two)  # wrong
client.once("authenticated")(one)  # wrong
client.wait_for("authenticated", is_one)  # wrong
client.expect("authenticated", is_one)  # wrong
take(client.queue("authenticated").get())  # wrong
take(client.wait_for("authenticated"))  # wrong
take(client.expect("authenticated").value)  # wrong

client.on("message", one)  # wrong
client.on("message", nothing)  # wrong
client.on("message")(one)  # wrong
client.once("message", one)  # wrong
client.once("message", nothing)  # wrong
client.once("message")(one)  # wrong
client.wait_for("message", is_one)  # wrong
client.expect("message", is_one)  # wrong
take(client.queue("message").get())  # wrong
take(client.wait_for("message"))  # wrong
take(client.expect("message").value)  # wrong

client.on("instrument:rate", two)  # wrong
client.on("instrument:rate", nothing)  # wrong
client.on("instrument:rate")(two)  # wrong
client.once("instrument:rate", two)  # wrong
client.once("instrument:rate", nothing)  # wrong
client.once("instrument:rate")(two)  # wrong
client.wait_for("instrument:rate", is_two)  # wrong
client.expect("instrument:rate", is_two)  # wrong
take(client.queue("instrument:rate").get())  # wrong
take(client.wait_for("instrument:rate"))  # wrong
take(client.expect("instrument:rate").value)  # wrong

client.on("instrument:delta", two)  # wrong
client.on("instrument:delta", nothing)  # wrong
client.on("instrument:delta")(two)  # wrong
client.once("instrument:delta", two)  # wrong
client.once("instrument:delta", nothing)  # wrong
client.once("instrument:delta")(two)  # wrong
client.wait_for("instrument:delta", is_two)  # wrong
client.expect("instrument:delta", is_two)  # wrong
take(client.queue("instrument:delta").get())  # wrong
take(client.wait_for("instrument:delta"))  # wrong
take(client.expect("instrument:delta").value)  # wrong

client.on("private:event", one)  # wrong
client.on("private:event", nothing)  # wrong
client.on("private:event")(one)  # wrong
client.once("private:event", one)  # wrong
client.once("private:event", nothing)  # wrong
client.once("private:event")(one)  # wrong
client.wait_for("private:event", is_one)  # wrong
client.expect("private:event", is_one)  # wrong
take(client.queue("private:event").get())  # wrong
take(client.wait_for("private:event"))  # wrong
take(client.expect("private:event").value)  # wrong

client.on("unknown", one)  # wrong
client.on("unknown", nothing)  # wrong
client.on("unknown")(one)  # wrong
client.once("unknown", one)  # wrong
client.once("unknown", nothing)  # wrong
client.once("unknown")(one)  # wrong
client.wait_for("unknown", is_one)  # wrong
client.expect("unknown", is_one)  # wrong
take(client.queue("unknown").get())  # wrong
take(client.wait_for("unknown"))  # wrong
take(client.expect("unknown").value)  # wrong

client.on("reconnecting", two)  # wrong
client.on("reconnecting", nothing)  # wrong
client.on("reconnecting")(two)  # wrong
client.once("reconnecting", two)  # wrong
client.once("reconnecting", nothing)  # wrong
client.once("reconnecting")(two)  # wrong
client.wait_for("reconnecting", is_two)  # wrong
client.expect("reconnecting", is_two)  # wrong
take(client.queue("reconnecting").get())  # wrong
take(client.wait_for("reconnecting"))  # wrong
take(client.expect("reconnecting").value)  # wrong

client.on("reconnected", one)  # wrong
client.on("reconnected", nothing)  # wrong
client.on("reconnected")(one)  # wrong
client.once("reconnected", one)  # wrong
client.once("reconnected", nothing)  # wrong
client.once("reconnected")(one)  # wrong
client.wait_for("reconnected", is_one)  # wrong
client.expect("reconnected", is_one)  # wrong
take(client.queue("reconnected").get())  # wrong
take(client.wait_for("reconnected"))  # wrong
take(client.expect("reconnected").value)  # wrong

client.on("stale", two)  # wrong
client.on("stale", nothing)  # wrong
client.on("stale")(two)  # wrong
client.once("stale", two)  # wrong
client.once("stale", nothing)  # wrong
client.once("stale")(two)  # wrong
client.wait_for("stale", is_two)  # wrong
client.expect("stale", is_two)  # wrong
take(client.queue("stale").get())  # wrong
take(client.wait_for("stale"))  # wrong
take(client.expect("stale").value)  # wrong

client.on("close", two)  # wrong
client.on("close", nothing)  # wrong
client.on("close")(two)  # wrong
client.once("close", two)  # wrong
client.once("close", nothing)  # wrong
client.once("close")(two)  # wrong
client.wait_for("close", is_two)  # wrong
client.expect("close", is_two)  # wrong
take(client.queue("close").get())  # wrong
take(client.wait_for("close"))  # wrong
take(client.expect("close").value)  # wrong

client.on("error", one)  # wrong
client.on("error", nothing)  # wrong
client.on("error")(one)  # wrong
client.once("error", one)  # wrong
client.once("error", nothing)  # wrong
client.once("error")(one)  # wrong
client.wait_for("error", is_one)  # wrong
client.expect("error", is_one)  # wrong
take(client.queue("error").get())  # wrong
take(client.wait_for("error"))  # wrong
take(client.expect("error").value)  # wrong
