"""The counters of a client."""

from __future__ import annotations

import dataclasses

import pytest

from etoro_sync import WsClient
from etoro_sync.stats import Counters, WsStats


def test_counters_start_at_nothing() -> None:
    """Ages are unknown, all else is zero."""
    counters = Counters()
    values = {name: getattr(counters, name) for name in Counters.__slots__}
    assert values.pop("connected_at") is None
    assert values.pop("last_message_at") is None
    assert set(values.values()) == {0}


def test_every_counter_is_part_of_a_reading() -> None:
    """Times become ages, or are the client's own; nothing that is counted is kept from the user."""
    read = {field.name for field in dataclasses.fields(WsStats)}
    counted = set(Counters.__slots__) - {"connected_at", "last_message_at", "last_pong_at"}
    assert counted <= read
    assert {"connected_age", "last_message_age"} <= read
    assert isinstance(WsClient.last_pong_at, property)


def test_a_reading_cannot_be_changed() -> None:
    """It is of one moment."""
    stats = WsStats(*[0] * len(dataclasses.fields(WsStats)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.rates = 1  # type: ignore[misc]
