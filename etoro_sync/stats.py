"""What a client has counted, for monitoring and for the curious."""

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
    """A reading of a client's counters, since the client was made. Ages are in seconds.

    :param bytes: received on open connections.
    :param messages: data messages received: market, order and unknown ones.
    :param rates: rates that were published: what a queue of all of them has received.
    :param heartbeats: market messages that made no rate: without news, or held back for a snapshot.
    :param private_events: order events.
    :param unknown: messages of a topic or type that is not known.
    :param bad_messages: what could not be parsed, in whole or in part.
    :param odd_messages: what was understood although eToro sends it otherwise, such as a rate
        without a type.
    :param connect_attempts: attempts to connect, successful or not.
    :param connections: connections that were opened.
    :param reconnects: recoveries that were completed.
    :param callbacks: handler calls.
    :param callback_errors: exceptions that handlers raised.
    :param callbacks_waiting: events that wait for the callbacks.
    :param callbacks_conflated: rates that were skipped for newer ones before a callback saw them.
    :param callbacks_dropped: rates and messages that were dropped before a callback saw them.
    :param callbacks_lost: order and connection events that found their lane full.
    :param callbacks_lag: seconds since the oldest event came that callbacks are still to get, or
        are getting now; 0.0 when none waits.
    :param connected_age: how long the present connection is open; None when there is none.
    :param last_message_age: how long ago the last data message came; None before the first.
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
