import json
import re
import uuid
from random import Random

import pytest

from etoro_sync.simulator import wire


@pytest.mark.parametrize(
    ("units", "decimals", "text"),
    [
        (480934, 2, "4809.34"),
        (480770, 2, "4807.7"),
        (480800, 2, "4808"),
        (1, 5, "0.00001"),
        (0, 2, "0"),
        (10**20 + 1, 12, "100000000.000000000001"),
    ],
)
def test_a_price_is_exact_and_has_neither_an_exponent_nor_zeros_at_the_end(
    units: int, decimals: int, text: str
) -> None:
    """Prices read as people write them."""
    assert wire.price_text(units, decimals) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(2168235, ".2168235Z"), (5000000, ".5Z"), (1200, ".00012Z"), (0, "Z")],
)
def test_a_date_has_no_zeros_at_its_end(fraction: int, text: str) -> None:
    """Dates are written the way .NET writes them, down to no fraction at all."""
    ticks = 1_773_702_711 * wire.TICKS_PER_SECOND + fraction
    assert wire.date_text(ticks) == f"2026-03-16T23:11:51{text}"


@pytest.mark.parametrize(
    ("topic", "instrument_id"),
    [
        ("instrument:18", 18),
        ("instrument:0", 0),
        ("instrument:018", None),
        ("instrument:", None),
        ("instrument:-1", None),
        ("instrument:1.5", None),
        ("instrument:\u0661", None),
        ("instrument:" + "9" * 30, None),
        ("Instrument:18", None),
        ("private", None),
    ],
)
def test_only_a_plain_number_makes_an_instrument_topic(
    topic: str, instrument_id: int | None
) -> None:
    """Any other topic belongs to no instrument."""
    assert wire.instrument_of(topic) == instrument_id


def test_an_envelope_carries_one_message_whose_content_is_a_string() -> None:
    """The content is JSON within JSON."""
    content = '{"Ask":"1.5","Odd":"\\"\u00e9"}'
    assert json.loads(wire.envelope("instrument:18", wire.RATE, content, "an-id")) == {
        "messages": [
            {"topic": "instrument:18", "content": content, "id": "an-id", "type": wire.RATE}
        ]
    }


def test_uuids_are_well_formed_and_repeatable() -> None:
    """A seed fixes the message ids, too."""
    first = wire.new_uuid(Random(1))
    assert uuid.UUID(first).version == 4
    assert re.fullmatch("[0-9a-f-]{36}", first)
    assert first == wire.new_uuid(Random(1)) != wire.new_uuid(Random(2))
