"""What a live table shows and sends: pure, with a given time."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from etoro_sync import ClientState, WsInstrumentRate, WsStats

pytest.importorskip("anywidget")

from etoro_sync.notebook.contents import BEAT, POINTS, REFRESH, Contents, Glance

STATS = WsStats(**{f.name: 0 for f in dataclasses.fields(WsStats)})
WALL = 1_764_000_000.0


def rate(bid: float, ask: float, **more: Any) -> WsInstrumentRate:
    """A rate of the first connection."""
    return WsInstrumentRate(ask=ask, bid=bid, **{"generation": 1, "received_at": WALL, **more})


def glance(
    rates: dict[int, WsInstrumentRate] | None,
    state: ClientState = ClientState.LIVE,
    connections: int = 1,
    detail: str = "",
) -> Glance:
    """A look at a stream."""
    stats = dataclasses.replace(STATS, connections=connections, messages=5, last_message_age=0.5)
    return Glance(state, rates, stats, detail)


def contents(ids: tuple[int, ...] | None = None, max_rows: int = 50) -> Contents:
    """A table whose only known name is that of 1."""
    return Contents(ids, lambda one: "EUR" if one == 1 else "", max_rows)


def merged(before: dict[str, Any], message: dict[str, Any] | None) -> dict[str, Any]:
    """What a front end makes of a snapshot and a message."""
    assert message is not None
    known = {} if message["full"] else before["rows"]
    news = {one: {**known.get(one, {}), **cells} for one, cells in message["rows"].items()}
    rows = {**known, **news}
    return {"rows": rows, "order": message["order"], "head": message["head"]}


def test_the_first_message_has_all_and_the_next_only_what_changed() -> None:
    """So that 500 rows cost no more than those that move."""
    table = contents()
    first = table.update(glance({1: rate(1.5, 1.6), 2: rate(3, 4)}), 0.0, WALL)
    assert first is not None
    assert first["full"]
    assert set(first["rows"]) == {"1", "2"}
    second = table.update(glance({1: rate(1.5, 1.6), 2: rate(3, 5)}), 0.25, WALL)
    assert second is not None
    assert not second["full"]
    assert second["rows"] == {"2": {"ask": "5.00", "spread": "2.00", "mid": 4.0, "move": 1}}
    assert second["number"] == first["number"] + 1


def test_messages_add_up_to_the_snapshot() -> None:
    """A page that is loaded again sees what one sees that was there all the time."""
    table = contents()
    state: dict[str, Any] = {"rows": {}}
    for tick in range(20):
        rates = {n: rate(1.0 + tick % 3, 2.0 + n + tick % 2) for n in range(1, 3 + tick % 4)}
        message = table.update(glance(rates), tick * 0.25, WALL + tick)
        if message is not None:
            state = merged(state, message)
            shown = {one: state["rows"][one] for one in state["order"]}
            assert shown == table.snapshot()["rows"]


def test_nothing_is_sent_while_nothing_happens_but_a_beat() -> None:
    """By which the front end knows that the kernel is there."""
    table = contents()
    rates = {1: rate(1.5, 1.6)}
    sent = [table.update(glance(rates), n * 0.25, WALL) is not None for n in range(13)]
    assert sent == [n * 0.25 % BEAT == 0 for n in range(13)]


def test_all_rows_are_sent_again_now_and_then_and_on_request() -> None:
    """A message that got lost leaves no price standing that is wrong for ever."""
    table = contents()
    rates = {1: rate(1.5, 1.6)}
    full = [table.update(glance(rates), float(n), WALL)["full"] for n in range(8)]  # type: ignore[index]
    assert full == [n % REFRESH == 0 for n in range(8)]
    table.refresh()
    message = table.update(glance(rates), 8.0, WALL)
    assert message is not None
    assert message["full"]


def test_prices_have_as_many_decimals_as_any_of_them_had() -> None:
    """Columns stay put, and 0.0001 is not shown as 0.00."""
    table = contents()
    table.update(glance({1: rate(1.0837, 1.0839)}), 0.0, WALL)
    message = table.update(glance({1: rate(1.08, 1.1)}), 0.25, WALL)
    assert message is not None
    row = table.snapshot()["rows"]["1"]
    assert (row["bid"], row["ask"], row["spread"]) == ("1.0800", "1.1000", "0.0200")
    assert row["move"] == 1
    assert row["name"] == "EUR"


@pytest.mark.parametrize(
    "look",
    [
        glance({1: rate(1.5, 1.6)}, ClientState.RECONNECTING),
        glance({1: rate(1.5, 1.6)}, ClientState.CONNECTING),
        glance({1: rate(1.5, 1.6)}, connections=2),
        glance({}),
        glance({}, ClientState.CLOSED),
        Glance(ClientState.FAILED, None, None, "keys rejected"),
    ],
    ids=["reconnecting", "connecting", "of a lost connection", "unsubscribed", "closed", "failed"],
)
def test_a_price_that_may_be_old_is_marked(look: Glance) -> None:
    """It stays, since it is the last one that is known, but never looks live."""
    table = contents((1,))
    first = table.update(glance({1: rate(1.5, 1.6)}), 0.0, WALL)
    assert first is not None
    assert not first["rows"]["1"]["old"]
    message = table.update(look, 0.25, WALL)
    assert message is not None
    assert message["rows"]["1"] == {"old": True}
    assert table.snapshot()["rows"]["1"]["bid"] == "1.50"
    assert message["head"]["ended"] == (look.state in (ClientState.CLOSED, ClientState.FAILED))


def test_with_several_connections_a_price_is_as_old_as_its_own() -> None:
    """Of a fleet one may be lost while the others bring prices."""
    table = contents()
    rates = {1: rate(1, 2, generation=1), 2: rate(1, 2, generation=2)}
    look = dataclasses.replace(glance(rates), generations=frozenset({2}))
    table.update(look, 0.0, WALL)
    assert {one: row["old"] for one, row in table.snapshot()["rows"].items()} == {
        "1": True,
        "2": False,
    }


def test_the_head_has_messages_per_second_and_a_reason_that_is_short() -> None:
    """The former of the last seconds, and not since the beginning."""
    table = contents()
    for second, count in enumerate((100, 110, 130, 150)):
        look = glance({}, detail="x" * 5000)
        stats = dataclasses.replace(STATS, messages=count)
        message = table.update(dataclasses.replace(look, stats=stats), float(second), WALL)
    assert message is not None
    assert message["head"]["per_second"] == 20
    assert len(message["head"]["detail"]) < 400


@pytest.mark.parametrize(("flag", "closed"), [(False, True), (True, False), (None, False)])
def test_a_market_is_closed_only_where_the_feed_says_so(flag: bool | None, closed: bool) -> None:
    """The flag may be missing."""
    table = contents()
    table.update(glance({1: rate(1, 2, is_market_open=flag)}), 0.0, WALL)
    assert table.snapshot()["rows"]["1"]["closed"] is closed


def test_a_stream_that_ends_leaves_its_last_prices() -> None:
    """It forgets them, but the table does not; also where no ids were given."""
    table = contents()
    table.update(glance({1: rate(1.5, 1.6)}), 0.0, WALL)
    for state in (ClientState.CLOSING, ClientState.CLOSED):
        message = table.update(glance({}, state), 1.0, WALL)
        assert message is not None
        assert message["order"] == ["1"]
    assert table.snapshot()["rows"]["1"]["bid"] == "1.50"


def test_rows_beyond_the_limit_are_counted() -> None:
    """And an instrument that is gone makes room, where no ids were given."""
    table = contents(max_rows=2)
    message = table.update(glance({n: rate(1, 2) for n in range(5)}), 0.0, WALL)
    assert message is not None
    assert message["order"] == ["0", "1"]
    assert message["head"]["hidden"] == 3
    assert "3 more instruments are not shown." in table.html()
    message = table.update(glance({n: rate(1, 2) for n in range(1, 3)}), 0.25, WALL)
    assert message is not None
    assert message["order"] == ["1", "2"]
    assert message["head"]["hidden"] == 0


def test_given_ids_are_rows_from_the_beginning() -> None:
    """In their order, also those that have no rate yet."""
    table = contents((7, 1))
    message = table.update(glance({1: rate(1, 2)}), 0.0, WALL)
    assert message is not None
    assert message["order"] == ["7", "1"]
    assert message["rows"]["7"]["bid"] == ""
    assert not table.complete
    table.update(glance({1: rate(1, 2), 7: rate(1, 2)}), 0.25, WALL)
    assert table.complete


def test_a_sparkline_has_a_point_a_second_and_a_gap_while_nothing_was_known() -> None:
    """So an outage is no flat price; and it does not grow for ever."""
    table = contents()
    rates = {1: rate(1, 2)}
    for n in range(8):
        state = ClientState.RECONNECTING if 4 <= n < 6 else ClientState.LIVE
        table.update(glance(rates, state), n * 0.5, WALL)
    assert table.snapshot()["history"]["1"] == (1.5, 1.5, None, 1.5)
    for n in range(3 * POINTS):
        table.update(glance(rates), 10.0 + n, WALL)
    assert len(table.snapshot()["history"]["1"]) == POINTS


def test_numbers_that_are_none_are_no_obstacle() -> None:
    """A source of one's own may write anything."""
    table = contents()
    odd = {1: rate(float("nan"), float("inf")), 2: rate(1e-300, 1e300), 3: rate(0.0, -5.0)}
    message = table.update(glance(odd), 0.0, WALL)
    assert message is not None
    assert message["rows"]["2"]["bid"] == "1e-300"
    assert "nan" in table.html()


def test_the_static_table_says_when_it_was_made() -> None:
    """With date and zone, since a notebook is opened again after days; as HTML, and as text."""
    table = contents()
    table.update(glance({1: rate(1.5, 1.6, received_at=WALL - 5 * 86400)}), 0.0, WALL)
    assert re.search(r"Prices at 2025-11-2\d \d\d:\d\d:\d\d[+-]\d\d:\d\d<", table.html())
    assert re.search(r">2025-11-1\d \d\d:\d\d:\d\d<", table.html())
    assert "This table does not change." in table.html()
    assert "state then: live." in table.text()
    assert "EUR (1)" in table.html()
    row = table.text().splitlines()[1]
    assert re.fullmatch(r" +1 +1\.50 +1\.60  2025-11-1\d \d\d:\d\d:\d\d  EUR", row)
