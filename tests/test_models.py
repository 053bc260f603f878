"""The models: dates, null, properties, encoding."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import warnings
from dataclasses import fields
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from etoro_sync.market.order_states import FINAL
from etoro_sync.models import (
    OrderStatus,
    OrderType,
    WsAuthenticateOperation,
    WsEnvelope,
    WsGap,
    WsInstrumentDelta,
    WsInstrumentRate,
    WsMessage,
    WsPrivateEvent,
    WsSubscribeOperation,
    WsUnsubscribeOperation,
    parse_date,
)


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2025-04-01T08:36:02.8305456Z", 830545),
        ("2025-04-01T08:36:02.830545Z", 830545),
        ("2025-04-01T08:36:02.83Z", 830000),
        ("2025-04-01T08:36:02Z", 0),
        ("2025-04-01T08:36:02", 0),
        ("2025-04-01T08:36:02.123456789Z", 123456),
    ],
)
def test_a_date_has_a_fraction_of_any_length(text: str, microsecond: int) -> None:
    """.NET trims zeros, so 0 to 7 digits come; Python keeps six."""
    moment = datetime(2025, 4, 1, 8, 36, 2, microsecond, timezone.utc)
    assert parse_date(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2025-04-01",
        "2025-04-01T08:36:02.",
        "2025-04-01T08:36:02.٣Z",
        "2025-13-01T00:00:00Z",
        "2025-04-01T08:36:02." + "1" * 10,
        "2025-04-01T08:36:61Z",
        "0000-01-01T00:00:00Z",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    """A strange date never raises, since the price beside it counts."""
    assert parse_date(text) is None


def test_null_is_the_same_as_absent() -> None:
    """Null where a value is required is refused, without a warning, and elsewhere the default."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(KeyError, match="topic"):
            WsMessage.from_dict({"topic": None, "content": "", "id": "", "type": ""})
        rate = WsInstrumentRate.from_dict({"Ask": 1, "Bid": 2, "LastExecution": None, "Date": None})
        assert (rate.last_execution, rate.date) == (0.0, "")
        assert WsEnvelope.from_dict({"messages": None}).messages == []


@pytest.mark.parametrize(
    "message",
    [None, 5, [], "x", {}, {"topic": None}, {"topic": "private"}, {"topic": [], "content": ""}],
)
def test_an_envelope_refuses_odd_messages(message: Any) -> None:
    """The topic is a string, and there is a content."""
    with pytest.raises((AttributeError, KeyError, TypeError)):
        WsEnvelope.from_dict({"messages": [message]})


def test_a_message_may_lack_id_and_type_and_carry_an_object() -> None:
    """As the live client accepts it; the content then is the JSON of the object."""
    (message,) = WsEnvelope.from_dict(
        {"messages": [{"topic": "instrument:18", "content": {"Ask": "2"}}]}
    ).messages
    assert message == WsMessage("instrument:18", '{"Ask": "2"}', "", "")


def test_a_rate_knows_mid_spread_and_time() -> None:
    """What every user computes first."""
    rate = WsInstrumentRate(ask=1.5, bid=1.25, date="2025-04-01T08:36:02Z")
    assert (rate.mid, rate.spread) == (1.375, 0.25)
    assert rate.timestamp == datetime(2025, 4, 1, 8, 36, 2, tzinfo=timezone.utc)
    assert WsInstrumentRate(ask=1.5, bid=1.25).timestamp is None


@pytest.mark.parametrize(
    ("ask", "bid", "spread", "mid"),
    [
        (66524.8, 66500.0, 24.8, 66512.4),
        (0.3, 0.1, 0.2, 0.2),
        (1.08352, 1.0835, 0.00002, 1.08351),
        (1.2346e-08, 1.2345e-08, 1e-12, 1.23455e-08),
        (4807.7, 4807, 0.7, 4807.35),
        (5, 4, 1, 4.5),
        (1e22, 1.0, 1e22, 5e21),
    ],
)
def test_spread_and_mid_have_the_digits_of_the_price(
    ask: float, bid: float, spread: float, mid: float
) -> None:
    """24.8 is not shown as 24.80000000000291: the feed wrote one decimal, so there is one."""
    rate = WsInstrumentRate(ask=ask, bid=bid)
    assert (repr(rate.spread), repr(rate.mid)) == (repr(spread), repr(mid))


def test_spread_and_mid_are_those_of_the_decimal_numbers() -> None:
    """Whatever size and decimals, the result is the float that is nearest to the exact one."""
    random = Random(1)
    for _ in range(2000):
        scale = f"e-{random.randint(0, 12)}"
        bid = random.randint(1, 10 ** random.randint(1, 12))
        spread = random.randint(0, 10 ** random.randint(0, 8))
        rate = WsInstrumentRate(ask=float(f"{bid + spread}{scale}"), bid=float(f"{bid}{scale}"))
        assert rate.spread == float(f"{spread}{scale}")
        assert rate.mid == float(Decimal(f"{2 * bid + spread}{scale}") / 2)


def test_spread_and_mid_of_no_number_are_no_number() -> None:
    """They never raise, whatever somebody has made a rate of."""
    for ask in (float("nan"), float("inf")):
        rate = WsInstrumentRate(ask=ask, bid=1.5)
        assert (repr(rate.spread), repr(rate.mid)) == (repr(ask), repr(ask))


@pytest.mark.parametrize(
    "model",
    [
        WsInstrumentRate(ask=1.5, bid=1.25, changed=("ask", "bid"), is_market_open=True),
        WsInstrumentDelta(bid=1.25, type="Snapshot"),
        WsPrivateEvent(order_id=7, pending_close_position_ids=[1, 2], extra={"a": [{"b": 1}]}),
        WsGap(1.0, 2.5, 2, ("private",)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_row_has_every_field_by_its_python_name_and_is_the_callers_own(model: Any) -> None:
    """It may be changed, also what is inside of it, and the model stays as it was."""
    before, names = repr(model), [field.name for field in fields(model)]
    row = model.to_row()
    assert type(row) is dict
    assert row == {name: getattr(model, name) for name in names}
    for value in row.values():
        if isinstance(value, list):
            value.append(0)
        elif isinstance(value, dict):
            value["a"][0]["b"] = 2
    row.update(dict.fromkeys(row, "changed"))
    assert repr(model) == before
    assert model.to_row() == {name: getattr(model, name) for name in names}


def test_a_row_is_one_of_a_table_and_of_a_database() -> None:
    """By its names; what a statement does not name is left out."""
    import pandas

    rows = [WsInstrumentRate(ask=1.5, bid=1.25, instrument_id=each).to_row() for each in (18, 19)]
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("create table rates (instrument_id, bid, ask, date)")
        database.executemany("insert into rates values (:instrument_id, :bid, :ask, :date)", rows)
        found = database.execute("select * from rates").fetchall()
    assert found == [(18, 1.25, 1.5, ""), (19, 1.25, 1.5, "")]
    frame = pandas.DataFrame(rows)
    assert list(frame.columns) == [field.name for field in fields(WsInstrumentRate)]
    assert frame.bid.tolist() == [1.25, 1.25]


def test_a_rate_cannot_be_changed() -> None:
    """One object goes to many consumers."""
    rate = WsInstrumentRate(ask=1.5, bid=1.25)
    with pytest.raises(AttributeError):
        rate.ask = 2.0  # type: ignore[misc]


def test_a_delta_knows_what_it_is() -> None:
    """A heartbeat carries no state, whatever else it carries."""
    beat = WsInstrumentDelta(date="2025-04-01T08:36:02Z", price_rate_id=1, type="x", generation=3)
    assert beat.is_heartbeat
    assert beat.timestamp is not None
    assert not WsInstrumentDelta(ask=0.0).is_heartbeat
    assert not WsInstrumentDelta(is_market_open=False).is_heartbeat
    assert WsInstrumentDelta().timestamp is None
    assert WsInstrumentDelta(type="Snapshot").is_snapshot
    assert not beat.is_snapshot


def test_a_status_has_a_name_where_one_is_known() -> None:
    """New codes of eToro's never make an event fail."""
    assert WsPrivateEvent(status_id=11).status is OrderStatus.WAITING_FOR_MARKET
    assert WsPrivateEvent(status_id_variant=3).status is OrderStatus.FILLED
    assert WsPrivateEvent(status_id=99).status is None
    assert WsPrivateEvent(status_id=0, status_id_variant=3).status is None
    assert WsPrivateEvent().status is None
    assert WsPrivateEvent(order_type=20).order_type_name is OrderType.CLOSE_MULTIPLE
    assert WsPrivateEvent(order_type=1).order_type_name is None


def test_a_gap_knows_its_length() -> None:
    """And is written with the name that Python reserves."""
    gap = WsGap(10.0, 12.5, 2, ("private",))
    assert gap.seconds == 2.5
    assert repr(WsGap(1764230000.1, 1764230002.4, 2).seconds) == "2.3"
    assert gap.to_dict() == {"from": 10.0, "until": 12.5, "generation": 2, "topics": ["private"]}
    assert WsGap.from_dict(gap.to_dict()) == gap


def test_operations_are_written_as_etoro_documents_them() -> None:
    """The three requests of the protocol."""
    keys = {"userKey": "u", "apiKey": "a"}
    topics = ["instrument:18"]
    assert WsAuthenticateOperation("1", data=keys).to_dict() == {
        "id": "1",
        "operation": "Authenticate",
        "data": keys,
    }
    data = {"topics": topics, "snapshot": True}
    assert WsSubscribeOperation("1", data=data).to_dict()["operation"] == "Subscribe"
    assert WsUnsubscribeOperation("1", data={"topics": topics}).to_dict() == {
        "id": "1",
        "operation": "Unsubscribe",
        "data": {"topics": topics},
    }


def test_the_keys_are_not_in_the_repr_of_authenticate() -> None:
    """A request that is logged by mistake shows no key."""
    operation = WsAuthenticateOperation("1", data={"apiKey": "secret-1", "userKey": "secret-2"})
    assert "secret" not in repr(operation)


def test_a_rate_in_print_is_short() -> None:
    """The instrument, both sides, and the time where there is one."""
    assert str(WsInstrumentRate(1.5, 1.25, instrument_id=18)) == "18: bid 1.25 ask 1.5"
    dated = WsInstrumentRate(1.5, 1.25, date="2026-01-01T00:00:00.5Z", instrument_id=18)
    assert str(dated) == "18: bid 1.25 ask 1.5, 2026-01-01T00:00:00.5Z"


def test_an_order_event_in_print_is_short() -> None:
    """The order, its status, and how much of it was executed."""
    event = WsPrivateEvent(
        order_id=7, status_id=5, instrument_id=18, requested_units=2.0, executed_units=0.5
    )
    assert str(event) == "order 7 PARTIALLY_FILLED, 0.5 of 2 units of 18"
    assert str(WsPrivateEvent(status_id=99)) == "order None status 99, 0 of 0 units of None"
    large = WsPrivateEvent(7, None, 3, 18, None, 1234567.25, 13.859902)
    assert str(large) == "order 7 FILLED, 13.859902 of 1234567.25 units of 18"


def test_an_order_event_has_a_time() -> None:
    """That of the request; none where eToro sent none."""
    event = WsPrivateEvent(request_occurred="2026-01-01T00:00:00.5Z")
    assert event.timestamp is not None
    assert event.timestamp.isoformat() == "2026-01-01T00:00:00.500000+00:00"
    assert WsPrivateEvent().timestamp is None


ORDERS_PAGE = (Path(__file__).parents[1] / "docs" / "orders.md").read_text(encoding="utf-8")


def test_every_field_of_an_order_event_is_described() -> None:
    """In help(WsPrivateEvent), and in docs/orders.md with its name on the wire and its default."""
    for each in fields(WsPrivateEvent):
        assert f":param {each.name}:" in str(WsPrivateEvent.__doc__)
        letters = each.metadata.get("dataclasses_json", {}).get("letter_case")
        if letters is None or each.name == "extra":
            assert f"`{each.name}`" in ORDERS_PAGE
            continue
        row = f"| `{each.name}` | `{letters(each.name)}` | "
        assert row in ORDERS_PAGE
        after = ORDERS_PAGE.partition(row)[2].partition("\n")[0].split(" | ")
        absent = "None" if len(after) == 2 else after[1].strip("`")
        assert absent == ('""' if each.default == "" else str(each.default)), each.name


def test_every_status_of_an_order_is_described() -> None:
    """With its number, and whether it is the last one."""
    for status in OrderStatus:
        final = "yes" if status in FINAL else ""
        row = re.search(rf"`{status.name}` \| {status.value} \| ?(yes)?", ORDERS_PAGE)
        assert row, status
        assert (row[1] or "") == final
