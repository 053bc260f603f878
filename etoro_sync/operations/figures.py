"""The metrics, by name: what ``stats()`` counts, in Prometheus' words.

Names follow its conventions: base units, ``_total`` for what only grows. None has a label per
instrument: eToro has more than ten thousand of them, and each would be a time series.
"""

from dataclasses import dataclass

__all__ = ["AGES", "COUNTERS", "GAUGES", "PREFIX", "Figure", "names"]

PREFIX = "etoro_sync_"


@dataclass(frozen=True)
class Figure:
    """One metric.

    :param name: without the prefix; a counter's without ``_total``, too.
    :param field: of :class:`~etoro_sync.WsStats`.
    :param help: one sentence.
    """

    name: str
    field: str
    help: str


#: They count from when the client was made, through all its connections.
COUNTERS = (
    Figure("received_bytes", "bytes", "Bytes received on open connections."),
    Figure("messages", "messages", "Data messages received."),
    Figure("rates", "rates", "Complete rates published."),
    Figure("heartbeats", "heartbeats", "Market messages that led to no rate."),
    Figure("private_events", "private_events", "Order events received."),
    Figure("unknown_messages", "unknown", "Messages of an unknown topic or type."),
    Figure("bad_messages", "bad_messages", "Messages and fields that could not be parsed."),
    Figure("odd_messages", "odd_messages", "Messages that were used despite an unusual form."),
    Figure("connect_attempts", "connect_attempts", "Attempts to connect, successful or not."),
    Figure("connections", "connections", "Connections that were opened."),
    Figure("reconnects", "reconnects", "Lost connections replaced, with all subscriptions."),
    Figure("callbacks", "callbacks", "Calls of handlers."),
    Figure("callback_errors", "callback_errors", "Exceptions that handlers raised."),
    Figure(
        "callbacks_conflated",
        "callbacks_conflated",
        "Rates that no handler got because a newer one of their instrument waited.",
    ),
    Figure(
        "callbacks_dropped",
        "callbacks_dropped",
        "Market messages that no handler got because too many waited.",
    ),
    Figure(
        "callbacks_lost",
        "callbacks_lost",
        "Order and connection events that no handler got because 100,000 waited.",
    ),
)
GAUGES = (
    Figure("callbacks_waiting", "callbacks_waiting", "Events that wait for handlers."),
    Figure(
        "callbacks_lag_seconds",
        "callbacks_lag",
        "Age of the oldest event that waits for a handler or is being handled.",
    ),
)
#: Absent while they are None: an age of 0 would say that all is well.
AGES = (
    Figure("connection_age_seconds", "connected_age", "Age of the present connection."),
    Figure("last_message_age_seconds", "last_message_age", "Time since the last data message."),
    Figure("last_byte_age_seconds", "last_byte_age", "Time since the last byte of the connection."),
    Figure(
        "reader_delay_seconds",
        "reader_delay",
        "By how much the thread that reads is late for its next step.",
    ),
)


def names() -> set[str]:
    """Return the full name of every sample that can be exposed."""
    own = {"build_info", "healthy", "state", "subscriptions"}
    plain = {figure.name for figure in (*GAUGES, *AGES)}
    counted = {f"{figure.name}_total" for figure in COUNTERS}
    return {f"{PREFIX}{name}" for name in own | plain | counted}
