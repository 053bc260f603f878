"""The counters of a client, and the snapshot of them that ``client.stats()`` returns."""

from dataclasses import dataclass

__all__ = ["Counters", "WsStats"]


class Counters:
    """Running counts. Each is changed by one thread only, so none needs a lock."""

    __slots__ = (
        "bad_messages",
        "bytes",
        "callback_errors",
        "callbacks",
        "connect_attempts",
        "connected_at",
        "connections",
        "heartbeats",
        "last_message_at",
        "last_pong_at",
        "messages",
        "odd_messages",
        "private_events",
        "rates",
        "reconnects",
        "unknown",
    )

    def __init__(self) -> None:
        # Changed by the reader thread:
        self.bytes = 0
        self.messages = 0
        self.rates = 0
        self.heartbeats = 0
        self.private_events = 0
        self.unknown = 0
        self.bad_messages = 0
        self.odd_messages = 0
        self.connect_attempts = 0
        self.connections = 0
        self.reconnects = 0
        self.connected_at: float | None = None
        self.last_message_at: float | None = None
        self.last_pong_at = 0.0  # seconds since the epoch
        # Changed by the dispatcher thread:
        self.callbacks = 0
        self.callback_errors = 0


@dataclass(frozen=True)
class WsStats:
    """The counters of a client at one moment. They count from when the client was made.

    Ages and lags are in seconds, and include the time for which the machine slept.

    :param bytes: bytes received on open connections.
    :param messages: data messages received: prices, order events, and unknown ones.
    :param rates: rates published, as many as a queue of all rates would have received.
    :param heartbeats: market messages that led to no rate. Most are eToro's heartbeats, which carry
        a date alone. The others carried conversion rates or flags alone, or a price while there
        was no rate to publish: the other side was unknown, the price was not above zero, or the
        instrument waited for its snapshot, or was unsubscribed meanwhile.
    :param private_events: order events received.
    :param unknown: messages whose topic or type is not known; each is an ``"unknown"`` event.
    :param bad_messages: messages and fields that could not be parsed.
    :param odd_messages: messages that were used although their form differs from eToro's usual
        one: without a type, or with an object in the place of the text ``content``.
    :param connect_attempts: attempts to connect, successful or not.
    :param connections: connections that were opened.
    :param reconnects: times that a lost connection was replaced and its subscriptions restored.
    :param callbacks: calls of handlers.
    :param callback_errors: exceptions that handlers raised.
    :param callbacks_waiting: events that wait for handlers.
    :param callbacks_conflated: rates that no handler got, because a newer one of the same
        instrument waited, too.
    :param callbacks_dropped: rates and other market messages that no handler got, because too many
        waited.
    :param callbacks_lost: order and connection events that no handler got, because 100,000 waited.
    :param callbacks_lag: age of the oldest event that still waits for a handler or is being
        handled; 0.0 when there is none.
    :param connected_age: age of the present connection; None when there is none.
    :param last_message_age: time since the last data message; None before the first.
    :param last_byte_age: time since the last byte of the present connection, also of a pong or of
        one of eToro's empty frames; None when there is no connection.
    :param reader_delay: by how much the thread that reads is late for its next step, which it has
        to take every second, or when the wait before an attempt to connect is over: 0.0 while it
        works, infinite when it has died; None when none runs, and for other sources than a
        connection.
    """

    bytes: int
    messages: int
    rates: int
    heartbeats: int
    private_events: int
    unknown: int
    bad_messages: int
    odd_messages: int
    connect_attempts: int
    connections: int
    reconnects: int
    callbacks: int
    callback_errors: int
    callbacks_waiting: int
    callbacks_conflated: int
    callbacks_dropped: int
    callbacks_lost: int
    callbacks_lag: float
    connected_age: float | None
    last_message_age: float | None
    last_byte_age: float | None = None
    reader_delay: float | None = None

    def _repr_html_(self) -> str | None:
        from .html_tables import fields_table, html_or_none

        return html_or_none(lambda: fields_table(type(self).__name__, vars(self)))
