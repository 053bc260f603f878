"""The lines and the JSON of prices and order events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from etoro_sync import WsGap
from etoro_sync.cli import lines
from tests.cli.events import order, rate


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        (66500.0, 2),
        (1.0835, 4),
        (0.1 + 0.2, 2),
        (0.00001234, 8),
        (1.2345e-08, 12),
        (1e-12, 12),
        (151.234, 3),
        (5, 2),
        (1e-300, 20),
    ],
)
def test_prices_have_as_many_decimals_as_they_need(value: float, digits: int) -> None:
    """Neither the noise of binary fractions nor a bare number."""
    assert lines.decimals(value) == digits


def test_a_price_is_never_shown_as_zero_because_it_is_small() -> None:
    """What finds no room among the decimals is written with an exponent after all."""
    assert lines.price(1e-300, lines.decimals(1e-300)) == "1e-300"
    assert lines.price(0.0, 4) == "0.0000"
    assert lines.price(-1.5, 2) == "-1.50"
    assert lines.price(float("nan"), 2) == "nan"


def test_units_have_no_needless_decimals() -> None:
    """One unit is one unit, and a small part of one is not nothing."""
    assert [lines.units(value) for value in (1.0, 0.5, 13.859902, 100.0, 1.2e-07, 0.0)] == [
        "1",
        "0.5",
        "13.859902",
        "100",
        "0.00000012",
        "0",
    ]


@pytest.mark.parametrize(
    ("status_id", "words"),
    [(3, "filled"), (11, "waiting for market"), (99, "status 99"), (None, "?")],
)
def test_a_status_has_a_name_where_it_is_known(status_id: int | None, words: str) -> None:
    """Numbers that are in no table are shown as they are."""
    assert lines.status(order(status_id=status_id)) == words


@pytest.mark.parametrize(
    ("event", "item", "words", "content"),
    [
        ("close", (1006, "x"), "closed (code 1006): x", {"code": 1006, "reason": "x"}),
        (
            "reconnecting",
            (2, 1.5),
            "reconnecting in 1.5 s (attempt 2)",
            {"attempt": 2, "delay_seconds": 1.5},
        ),
        (
            "reconnecting",
            (1, 0.0123456789),
            "reconnecting in 12 ms (attempt 1)",
            {"attempt": 1, "delay_seconds": 0.012},
        ),
        (
            "instrument:rate",
            (7, rate(1.2345e-08, 1.2346e-08, changed=("bid",))),
            "bid 0.000000012345  ask 0.000000012346  spread 0.000000000001",
            {"instrument_id": 7, "bid": 1.2345e-08, "changed": ["bid"]},
        ),
        (
            "reconnected",
            WsGap(1.0, 2.5, 2, ("private",)),
            "gap of 1.5 s: connection 2, 1 topic restored",
            {"from": 1.0, "until": 2.5, "generation": 2, "topics": ["private"]},
        ),
        ("error", ValueError("x"), "error x", {"message": "x"}),
        ("private:event", order(error_code=720), "error 720", {"order_id": 7, "error_code": 720}),
    ],
)
def test_every_event_has_a_line(event: str, item: Any, words: str, content: dict[str, Any]) -> None:
    """For people, and for programs."""
    assert words in lines.event_line(event, item)
    parsed = json.loads(lines.json_line(event, item))
    assert parsed["event"] == event
    assert content.items() <= parsed.items()


def test_a_line_has_the_name_of_its_instrument_if_it_is_known() -> None:
    """Beside the id, which programs may look for."""

    def name_of(instrument_id: int | None) -> str:
        return {1001: "Apple"}.get(instrument_id or 0, "")

    assert "  instrument 1001 (Apple)  bid 1.50  " in lines.event_line(
        "instrument:rate", (1001, rate(1.5, 1.6)), name_of
    )
    assert "  instrument 7  bid" in lines.event_line(
        "instrument:rate", (7, rate(1.5, 1.6)), name_of
    )
    assert "order 7  instrument 1001 (Apple)  filled" in lines.event_line(
        "private:event", order(), name_of
    )
