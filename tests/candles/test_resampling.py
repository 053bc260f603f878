"""Candles equal what pandas and polars resample of recordings; a replay equals what was live."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import Bar, Candles, MarketStream, Replay
from tests.candles.tools import MINUTE, Row, Session, by_start, stream_of
from tests.conftest import MakeClient, MakeSimulator
from tests.support.threads import Watchdog

pytestmark = pytest.mark.heavy

LENGTHS = {"1s": MINUTE // 60, "1m": MINUTE, "5m": 5 * MINUTE, "1d": 24 * 60 * MINUTE}
GRACE = 2 * 10**9
#: Frames that a user has recorded; see the README beside them. They are not part of this project.
RECORDED = Path(__file__).parents[3] / "shared" / "recorded"
needs_recorded = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the frames that a user has recorded are not here"
)

Ohlc = dict[tuple[int, int], tuple[float, float, float, float, int]]


def table(rows: Iterable[Row]) -> dict[str, list[Any]]:
    """The messages as columns, in the order in which they came."""
    rows = list(rows)
    return {
        "key": [row.key for row in rows],
        "time": [row.time for row in rows],
        "price": [row.price for row in rows],
    }


def by_pandas(rows: Iterable[Row], name: str) -> Ohlc:
    """Bars by pandas' resampling of the ticks that are not late."""
    pandas = pytest.importorskip("pandas", reason="needs the extra pandas")
    frame = pandas.DataFrame(table(rows))
    length = LENGTHS[name]
    watermark = frame["time"].cummax()
    end = frame["time"] // length * length + length
    frame = frame[frame["price"].notna() & (end > watermark - GRACE)]
    frame = frame.sort_values("time", kind="stable")
    frame["time"] = pandas.to_datetime(frame["time"], utc=True)
    found: Ohlc = {}
    rule = {"1s": "1s", "1m": "1min", "5m": "5min", "1d": "1D"}[name]
    for key, group in frame.groupby("key"):
        bars = group.set_index("time")["price"].resample(rule, closed="left", label="left")
        both = bars.ohlc().assign(ticks=bars.count())
        for start, row in both[both["ticks"] > 0].iterrows():
            prices = (row["open"], row["high"], row["low"], row["close"])
            found[key, start.value] = (*map(float, prices), int(row["ticks"]))
    return found


def by_polars(rows: Iterable[Row], name: str) -> Ohlc:
    """Likewise, by polars' groups of a moving time."""
    polars = pytest.importorskip("polars", reason="needs the extra polars")
    length = LENGTHS[name]
    column = polars.col
    schema = {"key": polars.Int64, "time": polars.Int64, "price": polars.Float64}
    frame = polars.DataFrame(table(rows), schema=schema).with_columns(
        watermark=column("time").cum_max(), end=column("time") // length * length + length
    )
    frame = frame.filter(
        column("price").is_not_null() & (column("end") > column("watermark") - GRACE)
    ).sort("time", maintain_order=True)
    frame = frame.with_columns(column("time").cast(polars.Datetime("ns")))
    price = column("price")
    bars = frame.group_by_dynamic("time", every=name, closed="left", group_by="key").agg(
        open=price.first(), high=price.max(), low=price.min(), close=price.last(), ticks=price.len()
    )
    whole = bars.with_columns(column("time").cast(polars.Int64))
    return {(key, start): tuple(rest) for key, start, *rest in whole.iter_rows()}


REFERENCES = [by_pandas, by_polars]


def bars_of(stream: MarketStream, **options: Any) -> list[Bar]:
    with Watchdog(25), stream:
        return list(Candles(stream, list(LENGTHS), **options))


@pytest.mark.parametrize("seed", range(10))
def test_candles_of_a_recording_are_those_of_pandas_and_polars(seed: int, tmp_path: Path) -> None:
    """Ten sessions with gaps, late ticks and missing dates, recorded and replayed."""
    session = Session(seed)
    stream = stream_of(session.steps)
    with Watchdog(25), stream.record(tmp_path), stream:
        stream.run_forever()
    found = bars_of(Replay(tmp_path))
    assert any(bar.gap for bar in found)
    for name in LENGTHS:
        mine = by_start(bar for bar in found if bar.interval == name)
        assert len(mine) == sum(bar.interval == name for bar in found)
        for reference in REFERENCES:
            assert mine == reference(session.rows, name), (name, reference)


def test_the_references_leave_late_ticks_out_and_know_equal_times() -> None:
    """Or a mistake of theirs could go with one of the candles."""
    second = 10**9
    rows = [
        Row(18, 0, 5.0),
        Row(18, 0, 6.0),
        Row(18, 70 * second, 4.0),
        Row(18, second, 9.0),
        Row(18, 65 * second, 7.0),
        Row(28, 66 * second, None),
    ]
    expected = {(18, 0): (5.0, 6.0, 5.0, 6.0, 2), (18, MINUTE): (7.0, 7.0, 4.0, 4.0, 2)}
    for reference in REFERENCES:
        assert reference(rows, "1m") == expected


# Frames that a user has recorded ----------------------------------------------------------------


def frames(name: str) -> list[str]:
    with gzip.open(RECORDED / name, "rt", encoding="utf-8") as file:
        return [line.strip() for line in file]


def rows_of(texts: Iterable[str]) -> list[Row]:
    """What these frames say, by a parser of four lines."""
    rows: list[Row] = []
    ticked: dict[int, int] = {}
    last: dict[int, float] = {}
    for text in texts:
        for message in json.loads(text)["messages"]:
            key, content = int(message["topic"].split(":")[1]), json.loads(message["content"])
            if "Date" not in content:
                assert "Bid" not in content
                continue
            head, _, rest = content["Date"].removesuffix("Z").partition(".")
            time = _seconds(head) * 10**9 + int(rest.ljust(9, "0"))
            price = float(content["Bid"]) if "Bid" in content else None
            if message["type"] == "Snapshot" and (
                key not in last or time <= ticked[key] or price == last[key]
            ):
                price = None
            if price is not None:
                last[key], ticked[key] = price, time
            rows.append(Row(key, time, price))
    return rows


def _seconds(head: str) -> int:
    from calendar import timegm
    from time import strptime

    return timegm(strptime(head, "%Y-%m-%dT%H:%M:%S"))


@needs_recorded
@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize(
    "names",
    [
        ("gold_nasdaq_bitcoin_2026-03-16.jsonl.gz", "gold_nasdaq_bitcoin_2026-03-17.jsonl.gz"),
        ("gold_2026-04-20.jsonl.gz",),
    ],
)
def test_candles_of_real_frames_are_those_of_the_references(
    names: tuple[str, ...], reference: Any
) -> None:
    """Markets that were closed, snapshots with old dates, and messages without a date included."""
    texts = [text for name in names for text in frames(name)]
    found = bars_of(stream_of([lambda feed: feed.texts(texts)]))
    for name in LENGTHS:
        mine = by_start(bar for bar in found if bar.interval == name)
        assert mine == reference(rows_of(texts), name)
        assert len(mine) > 0


# Live and replayed ------------------------------------------------------------------------------


def test_a_replay_has_the_bars_that_were_live(
    simulator: MakeSimulator, client: MakeClient, tmp_path: Path
) -> None:
    """Of a client that is recorded at the same time, over a lost connection."""
    server = simulator(instruments={18: 100.0, 28: 50.0, 1: 1.5}, rate=400, seed=7)
    live = client(server.url, reconnect_delay=0.01)
    candles = Candles(live, ["1s", "1m"], grace=0.3)
    queue = candles.queue()
    with Watchdog(25):
        with live.record(tmp_path), live:
            live.subscribe([18, 28, 1], snapshot=True)
            found = [queue.get(timeout=10) for _ in range(3)]
            with live.expect("reconnected", timeout=10):
                server.drop()
            found += [queue.get(timeout=10) for _ in range(6)]
        found += list(queue)
        again = Replay(tmp_path)
        with again:
            replayed = list(Candles(again, ["1s", "1m"], grace=0.3))
    # What the reader still reads while the client disconnects is in the recording alone.
    whole = [bar for bar in found if bar.complete]
    assert [bar for bar in replayed if bar.complete][: len(whole)] == whole
    assert len(whole) >= 9
    assert any(bar.gap for bar in found)
    assert not all(bar.gap for bar in found)
    assert candles.stats().late == 0
