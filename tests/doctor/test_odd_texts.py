"""Whatever a server sends is counted and compared; no text and no frame raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etoro_sync.doctor.deviations import Deviations
from etoro_sync.doctor.privacy import Scrubber
from etoro_sync.doctor.traffic import Traffic
from etoro_sync.redaction import Redactor

pytestmark = pytest.mark.heavy

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
#: Names that mean something, so that odd values stand where others are expected.
NAMES = st.sampled_from(
    [
        *("Ask", "Bid", "Date", "PriceRateID", "IsMarketOpen", "AvailabilityReason", "StatusID"),
        *("ErrorCode", "CloseReason", "OrderID", "ClosingPrices", "Volume"),
    ]
)
CONTENTS = st.dictionaries(NAMES, VALUES, max_size=5)
TOPICS = st.sampled_from(["private", "instrument:18", "instrument:x"]) | VALUES
TYPES = st.sampled_from(["Snapshot", "Trading.Instrument.Rate", "Trading.Instrument.Active"])
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "topic": TOPICS,
        "type": TYPES | VALUES,
        "id": VALUES,
        "content": CONTENTS.map(json.dumps) | CONTENTS | VALUES,
    },
)
ANSWERS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ["id", "success", "operation", "errorCode", "errorMessage", "more"], VALUES
    ),
)
FRAMES = st.one_of(
    st.fixed_dictionaries({"messages": st.lists(MESSAGES | VALUES, max_size=3) | VALUES}),
    ANSWERS,
    VALUES,
)


def make() -> tuple[Traffic, Deviations]:
    deviations = Deviations(Scrubber(Redactor([])), lambda: 0.0)
    return Traffic(deviations), deviations


@given(FRAMES)
@example({"success": False, "errorCode": ["x"]})
@example({"messages": [{"topic": "private", "type": {}, "content": "{}"}]})
@example({"messages": [{"topic": "instrument:18", "type": [], "content": "{}"}]})
def test_no_json_raises(frame: Any) -> None:
    """Of any types, in any place; what is shown is text in one line."""
    traffic, deviations = make()
    traffic.on_text(json.dumps(frame))
    assert traffic.counts["texts"] == 1
    for each in deviations.found:
        assert each.what.isprintable()
        assert each.example.isprintable()


@given(st.text())
def test_no_text_raises(text: str) -> None:
    """JSON or not."""
    traffic, _ = make()
    traffic.on_text(text)
    assert traffic.counts["texts"] == 1


@given(st.integers(0, 255), st.binary(max_size=130))
def test_no_frame_raises(first: int, payload: bytes) -> None:
    """Whatever the first byte says."""
    traffic, _ = make()
    traffic.on_frame(first, payload)
