"""What each event passes to handlers, queues and waits. Never run, only checked."""

from typing_extensions import assert_type

from etoro_sync import (
    EventQueue,
    WsClient,
    WsEnvelope,
    WsGap,
    WsInstrumentDelta,
    WsInstrumentRate,
    WsMessage,
    WsPrivateEvent,
)
from etoro_sync.stream import Expectation

client = WsClient()


def on_nothing() -> None: ...


def on_envelope(envelope: WsEnvelope) -> None: ...


def on_rate(instrument_id: int, rate: WsInstrumentRate) -> None: ...


def on_delta(instrument_id: int, delta: WsInstrumentDelta) -> None: ...


def on_order(event: WsPrivateEvent) -> None: ...


def on_message(message: WsMessage) -> None: ...


def on_seconds(number: int, seconds: float) -> None: ...


def on_gap(gap: WsGap) -> None: ...


def on_close(code: int, reason: str) -> None: ...


def on_error(error: Exception) -> None: ...


# -- handlers ------------------------------------------------------------------------------------

assert_type(client.on("open", on_nothing), WsClient)
assert_type(client.on("authenticated", on_nothing), WsClient)
assert_type(client.on("message", on_envelope), WsClient)
assert_type(client.on("instrument:rate", on_rate), WsClient)
assert_type(client.on("instrument:delta", on_delta), WsClient)
assert_type(client.on("private:event", on_order), WsClient)
assert_type(client.on("unknown", on_message), WsClient)
assert_type(client.on("reconnecting", on_seconds), WsClient)
assert_type(client.on("reconnected", on_gap), WsClient)
assert_type(client.on("stale", on_seconds), WsClient)
assert_type(client.on("close", on_close), WsClient)
assert_type(client.on("error", on_error), WsClient)

assert_type(client.once("open", on_nothing), WsClient)
assert_type(client.once("authenticated", on_nothing), WsClient)
assert_type(client.once("message", on_envelope), WsClient)
assert_type(client.once("instrument:rate", on_rate), WsClient)
assert_type(client.once("instrument:delta", on_delta), WsClient)
assert_type(client.once("private:event", on_order), WsClient)
assert_type(client.once("unknown", on_message), WsClient)
assert_type(client.once("reconnecting", on_seconds), WsClient)
assert_type(client.once("reconnected", on_gap), WsClient)
assert_type(client.once("stale", on_seconds), WsClient)
assert_type(client.once("close", on_close), WsClient)
assert_type(client.once("error", on_error), WsClient)

client.on("open")(on_nothing)
client.on("authenticated")(on_nothing)
client.on("message")(on_envelope)
client.on("instrument:rate")(on_rate)
client.on("instrument:delta")(on_delta)
client.on("private:event")(on_order)
client.on("unknown")(on_message)
client.on("reconnecting")(on_seconds)
client.on("reconnected")(on_gap)
client.on("stale")(on_seconds)
client.on("close")(on_close)
client.on("error")(on_error)

client.once("open")(on_nothing)
client.once("authenticated")(on_nothing)
client.once("message")(on_envelope)
client.once("instrument:rate")(on_rate)
client.once("instrument:delta")(on_delta)
client.once("private:event")(on_order)
client.once("unknown")(on_message)
client.once("reconnecting")(on_seconds)
client.once("reconnected")(on_gap)
client.once("stale")(on_seconds)
client.once("close")(on_close)
client.once("error")(on_error)

# -- items ---------------------------------------------------------------------------------------

assert_type(client.queue("open"), EventQueue[tuple[()]])
assert_type(client.queue("authenticated"), EventQueue[tuple[()]])
assert_type(client.queue("message"), EventQueue[WsEnvelope])
assert_type(client.queue("instrument:rate"), EventQueue[tuple[int, WsInstrumentRate]])
assert_type(client.queue("instrument:delta"), EventQueue[tuple[int, WsInstrumentDelta]])
assert_type(client.queue("private:event"), EventQueue[WsPrivateEvent])
assert_type(client.queue("unknown"), EventQueue[WsMessage])
assert_type(client.queue("reconnecting"), EventQueue[tuple[int, float]])
assert_type(client.queue("reconnected"), EventQueue[WsGap])
assert_type(client.queue("stale"), EventQueue[tuple[int, float]])
assert_type(client.queue("close"), EventQueue[tuple[int, str]])
assert_type(client.queue("error"), EventQueue[Exception])

assert_type(client.wait_for("open", timeout=1), tuple[()])
assert_type(client.wait_for("authenticated", timeout=1), tuple[()])
assert_type(client.wait_for("message", timeout=1), WsEnvelope)
assert_type(client.wait_for("instrument:rate", timeout=1), tuple[int, WsInstrumentRate])
assert_type(client.wait_for("instrument:delta", timeout=1), tuple[int, WsInstrumentDelta])
assert_type(client.wait_for("private:event", timeout=1), WsPrivateEvent)
assert_type(client.wait_for("unknown", timeout=1), WsMessage)
assert_type(client.wait_for("reconnecting", timeout=1), tuple[int, float])
assert_type(client.wait_for("reconnected", timeout=1), WsGap)
assert_type(client.wait_for("stale", timeout=1), tuple[int, float])
assert_type(client.wait_for("close", timeout=1), tuple[int, str])
assert_type(client.wait_for("error", timeout=1), Exception)

assert_type(client.expect("open"), Expectation[tuple[()]])
assert_type(client.expect("authenticated"), Expectation[tuple[()]])
assert_type(client.expect("message"), Expectation[WsEnvelope])
assert_type(client.expect("instrument:rate"), Expectation[tuple[int, WsInstrumentRate]])
assert_type(client.expect("instrument:delta"), Expectation[tuple[int, WsInstrumentDelta]])
assert_type(client.expect("private:event"), Expectation[WsPrivateEvent])
assert_type(client.expect("unknown"), Expectation[WsMessage])
assert_type(client.expect("reconnecting"), Expectation[tuple[int, float]])
assert_type(client.expect("reconnected"), Expectation[WsGap])
assert_type(client.expect("stale"), Expectation[tuple[int, float]])
assert_type(client.expect("close"), Expectation[tuple[int, str]])
assert_type(client.expect("error"), Expectation[Exception])

# -- predicates ----------------------------------------------------------------------------------


def is_open() -> bool:
    return True


def is_authenticated() -> bool:
    return True


def is_message(envelope: WsEnvelope) -> bool:
    return True


def is_instrument_rate(instrument_id: int, rate: WsInstrumentRate) -> bool:
    return True


def is_instrument_delta(instrument_id: int, delta: WsInstrumentDelta) -> bool:
    return True


def is_private_event(event: WsPrivateEvent) -> bool:
    return True


def is_unknown(message: WsMessage) -> bool:
    return True


def is_reconnecting(attempt: int, seconds: float) -> bool:
    return True


def is_reconnected(gap: WsGap) -> bool:
    return True


def is_stale(instrument_id: int, seconds: float) -> bool:
    return True


def is_close(code: int, reason: str) -> bool:
    return True


def is_error(error: Exception) -> bool:
    return True


assert_type(client.wait_for("open", is_open), tuple[()])
assert_type(client.wait_for("authenticated", is_authenticated), tuple[()])
assert_type(client.wait_for("message", is_message), WsEnvelope)
assert_type(client.wait_for("instrument:rate", is_instrument_rate), tuple[int, WsInstrumentRate])
assert_type(client.wait_for("instrument:delta", is_instrument_delta), tuple[int, WsInstrumentDelta])
assert_type(client.wait_for("private:event", is_private_event), WsPrivateEvent)
assert_type(client.wait_for("unknown", is_unknown), WsMessage)
assert_type(client.wait_for("reconnecting", is_reconnecting), tuple[int, float])
assert_type(client.wait_for("reconnected", is_reconnected), WsGap)
assert_type(client.wait_for("stale", is_stale), tuple[int, float])
assert_type(client.wait_for("close", is_close), tuple[int, str])
assert_type(client.wait_for("error", is_error), Exception)

assert_type(client.expect("open", is_open), Expectation[tuple[()]])
assert_type(client.expect("authenticated", is_authenticated), Expectation[tuple[()]])
assert_type(client.expect("message", is_message), Expectation[WsEnvelope])
assert_type(
    client.expect("instrument:rate", is_instrument_rate), Expectation[tuple[int, WsInstrumentRate]]
)
assert_type(
    client.expect("instrument:delta", is_instrument_delta),
    Expectation[tuple[int, WsInstrumentDelta]],
)
assert_type(client.expect("private:event", is_private_event), Expectation[WsPrivateEvent])
assert_type(client.expect("unknown", is_unknown), Expectation[WsMessage])
assert_type(client.expect("reconnecting", is_reconnecting), Expectation[tuple[int, float]])
assert_type(client.expect("reconnected", is_reconnected), Expectation[WsGap])
assert_type(client.expect("stale", is_stale), Expectation[tuple[int, float]])
assert_type(client.expect("close", is_close), Expectation[tuple[int, str]])
assert_type(client.expect("error", is_error), Expectation[Exception])
