"""Recordings as tables: which rows they have, and what pandas and polars get of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import (
    EToroError,
    EToroValidationError,
    Feed,
    MarketStream,
    Recording,
    Replay,
    WsGap,
    WsInstrumentRate,
    WsPrivateEvent,
)
from etoro_sync.columns import TABLES, iso_text, nanoseconds
from etoro_sync.data_frames import to_pandas, to_polars
from tests.support.recordings import BEGIN, price, recorded

SNAPSHOT = (
    '{"messages":[{"topic":"instrument:18","type":"Snapshot","id":"1","content":"{\\"Ask\\":\\"20.5\\",'
    '\\"Bid\\":\\"20.25\\",\\"IsMarketOpen\\":\\"true\\",\\"AvailabilityReason\\":\\"2\\",'
    '\\"Date\\":\\"2023-11-14T22:13:20Z\\",\\"PriceRateID\\":\\"9\\",\\"ClosingPrices\\":'
    '\\"{\\\\\\"Daily\\\\\\":20.0,\\\\\\"Weekly\\\\\\":19.0,\\\\\\"Monthly\\\\\\":18.0}\\"}"}]}'
)


def order(**content: Any) -> str:
    """An order event as eToro sends it."""
    content |= {"PendingClosePositionIDs": [7, 8], "RequestOccurred": "2023-11-14T22:13:21.5Z"}
    message = {"topic": "private", "content": json.dumps(content), "id": "1", "type": "T"}
    return json.dumps({"messages": [message]})


def play(feed: Feed) -> None:
    """Two instruments, one of them with all fields; two orders; a gap; a second connection."""
    feed.texts([SNAPSHOT, price(2**40, Bid="0.00000125", Ask="0.0000015")], BEGIN + 0.1234567)
    feed.texts([order(OrderID=5, InstrumentID=18, StatusID=3, ExecutedUnits=2, New="ä")], BEGIN + 1)
    feed.texts([order(OrderID=6)], BEGIN + 2)
    feed.texts([price(18, Bid="20.375")], BEGIN + 3)
    feed.new_connection()
    feed.texts([price(18, Bid="21", Ask="22")], BEGIN + 61)
    feed.emit("reconnected", WsGap(BEGIN + 3, BEGIN + 60, 2, ("instrument:18",)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("recording"), play)


def test_the_rows_are_what_a_replay_emits(folder: Path) -> None:
    """Rates, orders and gaps, each in its order."""
    replay = Replay(folder)
    queues = [replay.queue(event) for event in ("instrument:rate", "private:event", "reconnected")]
    with replay:
        rates, orders, gaps = map(list, queues)
    recording = Recording(folder)
    assert list(recording.items()) == [rate for _, rate in rates]
    assert [rate.instrument_id for rate in recording.items()] == [18, 2**40, 18, 18]
    assert list(recording.items("orders")) == orders
    assert list(recording.items("gaps")) == gaps
    assert len(orders) == 2
    assert len(gaps) == 1


def test_texts_are_the_frames_as_they_were_sent(folder: Path) -> None:
    """With the time and the connection of each."""
    texts = list(Recording(folder).items("texts"))
    assert texts[0].text == SNAPSHOT
    assert [round(text.at - BEGIN, 7) for text in texts] == [*[0.1234567] * 2, 1, 2, 3, 61]
    assert [text.generation for text in texts] == [1, 1, 1, 1, 1, 2]


def test_a_part_of_the_time_is_a_part_of_the_rows(tmp_path: Path) -> None:
    """From its beginning on, with the state of then; up to its end, which is left out."""
    begin = int(time.time()) + 10.0

    def four(feed: Feed) -> None:
        feed.texts([SNAPSHOT], begin)
        feed.texts([order(OrderID=5)], begin + 1)
        feed.texts([price(18, Bid="20.375")], begin + 2)
        feed.texts([price(18, Bid="20.4")], begin + 3)

    recorded(tmp_path, four)
    when = datetime.fromtimestamp(begin + 2, timezone.utc)
    later = Recording(tmp_path, start=when)
    assert [rate.bid for rate in later.items()] == [20.375, 20.4]
    assert next(iter(later.items())).daily_close == 20.0
    assert len(list(later.items("texts"))) == 2
    assert list(later.items("orders")) == []
    earlier = Recording(tmp_path, until=when)
    assert [rate.bid for rate in earlier.items()] == [20.25]
    assert len(list(earlier.items("texts"))) == 2
    assert [event.order_id for event in earlier.items("orders")] == [5]
    between = Recording(tmp_path, start=begin + 1, until=begin + 3)
    assert [rate.bid for rate in between.items()] == [20.375]


def test_each_field_of_a_model_is_a_column() -> None:
    """A field that is added is in the tables, without another line."""
    names = {name: [column.name for column in TABLES[name].columns] for name in TABLES}
    rate = {field.name for field in fields(WsInstrumentRate)} - {"closes"}
    assert set(names["rates"]) == rate | {"daily_close", "weekly_close", "monthly_close"}
    assert names["rates"][:5] == ["instrument_id", "received_at", "date", "bid", "ask"]
    assert set(names["orders"]) == {field.name for field in fields(WsPrivateEvent)} | {"status"}
    assert all(len(set(each)) == len(each) for each in names.values())


@pytest.mark.parametrize("seconds", [BEGIN, BEGIN + 0.1234567, 1_795_964_826.1269999, 4e9 + 1e-7])
def test_times_keep_all_digits_of_a_recording(seconds: float) -> None:
    """Seven digits, as eToro's dates have, through text and back."""
    value = nanoseconds(seconds)
    assert value is not None
    assert value == int(f"{seconds:.7f}".replace(".", "")) * 100
    second = datetime.fromtimestamp(int(seconds), timezone.utc)
    fraction = f"{seconds:.7f}".partition(".")[2]
    assert iso_text(value) == f"{second:%Y-%m-%dT%H:%M:%S}.{fraction}Z"


@pytest.mark.parametrize(
    ("date", "rest"),
    [("2023-11-14T22:13:20Z", 0), ("2023-11-14T22:13:20.1234567Z", 123456700), ("yesterday", None)],
)
def test_dates_keep_their_digits(date: str, rest: int | None) -> None:
    """A date that is none is missing."""
    (column,) = (each for each in TABLES["rates"].columns if each.name == "date")
    rate = WsInstrumentRate(ask=2.0, bid=1.0, date=date)
    expected = None if rest is None else int(BEGIN) * 1_000_000_000 + rest
    assert column.value(rate) == expected


def check_values(rows: list[dict[str, Any]], orders: list[dict[str, Any]]) -> None:
    """The rows of a data frame, as plain dictionaries."""
    first, tiny, third, last = rows
    assert str(first["instrument_id"]) == "18"
    assert str(tiny["instrument_id"]) == str(2**40)
    assert (first["bid"], first["ask"], tiny["bid"]) == (20.25, 20.5, 1.25e-06)
    assert (first["daily_close"], first["monthly_close"]) == (20.0, 18.0)
    assert bool(first["is_market_open"]) is True
    assert third["changed"] == "date price_rate_id bid"
    assert [row["generation"] for row in rows] == [1, 1, 1, 2]
    assert first["availability_reason"] == 2
    assert last["received_at"].timestamp() == BEGIN + 61
    assert last["received_at"].utcoffset().total_seconds() == 0
    assert [order["order_id"] for order in orders] == [5, 6]
    assert (orders[0]["status"], orders[0]["executed_units"]) == ("FILLED", 2.0)
    assert orders[0]["extra"] == '{"New":"\\u00e4"}'
    assert orders[0]["pending_close_position_ids"] == "[7,8]"
    assert orders[0]["request_occurred"].timestamp() == BEGIN + 1.5


def test_pandas(folder: Path) -> None:
    """Times in UTC with nanoseconds, numbers as numbers, the instrument as a category."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = Recording(folder).to_frame()
    orders = Recording(folder).to_frame("orders")
    check_values(frame.to_dict("records"), orders.to_dict("records"))
    types = frame.dtypes
    assert types["received_at"] == types["date"] == pandas.DatetimeTZDtype("ns", "UTC")
    assert frame["received_at"].iloc[0].nanosecond == 700
    assert isinstance(types["instrument_id"], pandas.CategoricalDtype)
    assert list(types["instrument_id"].categories) == [18, 2**40]
    assert types["bid"] == types["daily_close"] == "float64"
    assert types["generation"] == types["price_rate_id"] == "int64"
    assert types["availability_reason"] == "Int64"
    assert types["is_market_open"] == "boolean"
    assert pandas.isna(frame["daily_close"].iloc[1])
    assert pandas.isna(frame["is_market_open"].iloc[1])
    assert frame.groupby("instrument_id", observed=True)["bid"].last().to_dict() == {
        18: 21.0,
        2**40: 1.25e-06,
    }
    gaps = Recording(folder).to_frame("gaps")
    assert (gaps["until"] - gaps["since"]).iloc[0].total_seconds() == 57
    assert gaps["topics"].iloc[0] == "instrument:18"


def test_polars(folder: Path) -> None:
    """Likewise; its categories are text."""
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = Recording(folder).to_polars()
    orders = Recording(folder).to_polars("orders")
    check_values(frame.to_dicts(), orders.to_dicts())
    types = frame.schema
    assert types["received_at"] == types["date"] == polars.Datetime("ns", "UTC")
    assert frame["received_at"].dt.nanosecond()[0] == 123456700
    assert types["instrument_id"] == polars.Categorical
    assert types["bid"] == polars.Float64
    assert types["price_rate_id"] == types["availability_reason"] == polars.Int64
    assert types["is_market_open"] == polars.Boolean
    assert frame["daily_close"][1] is None
    assert Recording(folder).to_polars("gaps")["topics"].to_list() == ["instrument:18"]


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    """So that a program which goes on with it does not stumble."""
    recording = Recording(recorded(tmp_path, lambda feed: feed.texts(["{}"])))
    pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("polars", reason="polars is not installed")
    for what, table in TABLES.items():
        names = [column.name for column in table.columns]
        assert list(recording.to_frame(what).columns) == names
        assert recording.to_polars(what).columns == names
    assert str(recording.to_frame().dtypes["received_at"]) == "datetime64[ns, UTC]"


@pytest.mark.parametrize(("module", "make"), [("pandas", to_pandas), ("polars", to_polars)])
def test_a_number_that_is_too_large_is_an_error(module: str, make: Callable[..., Any]) -> None:
    """And not another number."""
    pytest.importorskip(module, reason=f"{module} is not installed")
    rate = WsInstrumentRate(ask=2.0, bid=1.0, price_rate_id=2**64)
    with pytest.raises(EToroError, match="does not fit its column"):
        make(TABLES["rates"], [rate])


def test_present_rates_are_a_table() -> None:
    """One row for each instrument, with the columns of recordings."""
    pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("polars", reason="polars is not installed")

    def two(feed: Feed) -> None:
        feed.texts([price(18, Bid="1", Ask="2"), price(1, Bid="3", Ask="4")], BEGIN)
        feed.texts([price(18, Bid="1.5")], BEGIN)

    stream = MarketStream(two)
    assert stream.rates.to_frame().empty
    with stream:
        stream.run_forever()
        frame = stream.rates.to_frame()
        assert dict(zip(frame["instrument_id"], frame["bid"], strict=True)) == {18: 1.5, 1: 3.0}
        assert stream.rates.to_polars().columns == list(frame.columns)
        assert list(frame.columns) == [column.name for column in TABLES["rates"].columns]


@pytest.mark.parametrize("module", ["pandas", "polars"])
def test_a_missing_library_is_named(
    folder: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    make = {"pandas": Recording(folder).to_frame, "polars": Recording(folder).to_polars}[module]
    with pytest.raises(EToroError, match=rf"needs {module}, .*etoro-sync\[{module}\]"):
        make()


def test_the_library_is_loaded_without_them() -> None:
    """Importing it, or reading a recording, loads neither pandas nor polars nor pyarrow."""
    code = (
        "import sys, etoro_sync; etoro_sync.Recording; etoro_sync.Replay; etoro_sync.recover; "
        "print([m for m in ('pandas', 'polars', 'pyarrow', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout == "[]\n"


def test_wrong_arguments_are_named(folder: Path, tmp_path: Path) -> None:
    """At once, and not when the first row is read."""
    with pytest.raises(EToroValidationError, match="'rates', 'orders', 'gaps', 'texts', not 'x'"):
        Recording(folder).items("x")
    with pytest.raises(EToroValidationError, match="what must be one of"):
        Recording(folder).to_frame(7)  # type: ignore[arg-type]
    with pytest.raises(EToroValidationError, match="start must be seconds"):
        Recording(folder, start="now")  # type: ignore[arg-type]
    with pytest.raises(EToroError, match="has no recording"):
        Recording(tmp_path)
    assert repr(Recording(folder)) == f"<Recording {str(folder)!r}>"


def test_a_loop_that_is_left_leaves_no_thread(folder: Path) -> None:
    """A generator that is closed ends its replay."""
    import threading

    before = set(threading.enumerate())
    items = Recording(folder).items()
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) == before
