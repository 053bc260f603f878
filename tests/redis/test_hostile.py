"""Whatever anybody writes under a feed's keys: a clear error, and never a traceback or a hang."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etoro_sync import ClientState, EToroError, WsPrivateEvent
from etoro_sync.redis import RedisClient
from etoro_sync.redis.layout.keys import Keys
from etoro_sync.redis.layout.rows import encode_rate
from etoro_sync.redis.subscribing import reading
from tests.redis.writing import FeedWriter, rate_of
from tests.support.amounts import amount
from tests.support.redis_server import RedisServer
from tests.support.threads import Watchdog

pytestmark = [pytest.mark.heavy, pytest.mark.long_form, pytest.mark.timeout(600)]

KEYS = Keys("main")
ROW = json.loads(encode_rate(rate_of(18, 2.0)))
#: Bytes, and what is nearly right.
NUMBERS = st.sampled_from([b"0", b"1", b"2", b"3", b"-1", b"1.5", b"999999999999999999", b"1e3"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@st.composite
def rows(draw: st.DrawFn) -> bytes:
    """A row with one value replaced, alone, in a list, or as a state."""
    row = list(ROW)
    row[draw(st.integers(0, len(row) - 1))] = draw(JSON)
    shapes: list[Any] = [[row], [row, ROW], [1, 1, row], [draw(JSON), 1, row], row]
    return json.dumps(draw(st.sampled_from(shapes))).encode()


VALUES = st.binary(max_size=40) | NUMBERS | JSON.map(lambda v: json.dumps(v).encode()) | rows()
NAMES = st.sampled_from([b"e", b"n", b"r", b"c", b"d", b"m", b"k", b"a"]) | st.binary(max_size=3)
FIELDS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=6)
STREAMS = st.sampled_from(["rates", "orders", "events"])
EVENTS = st.sampled_from(
    [
        b"close",
        b"reconnecting",
        b"reconnected",
        b"stale",
        b"error",
        b"takeover",
        b"connected",
        b"open",
        b"x",
    ]
)


@st.composite
def entries(draw: st.DrawFn) -> tuple[str, ...]:
    """An entry that follows, but for one field."""
    stream = draw(STREAMS)
    fields = {
        "rates": {b"e": b"?", b"n": b"?", b"r": json.dumps([ROW]).encode()},
        "orders": {b"e": b"?", b"n": b"0", b"m": b"m", b"d": b"d", b"c": b'{"order_id":7}'},
        "events": {b"e": b"?", b"n": b"0", b"k": draw(EVENTS), b"a": draw(VALUES)},
    }[stream]
    name = draw(st.sampled_from(sorted(fields)))
    return ("XADD", stream, {**fields, name: draw(VALUES)})  # type: ignore[return-value]


CHANGES = st.one_of(
    entries(),
    st.tuples(st.just("XADD"), STREAMS, FIELDS),
    st.tuples(st.just("HSET"), st.sampled_from(["last", "meta"]), NUMBERS | st.binary(), VALUES),
    st.tuples(st.just("HSET"), st.just("last"), st.sampled_from([b"18", b"19"]), rows()),
    st.tuples(st.just("SET"), st.sampled_from(["epoch", "lease", *KEYS.all()]), VALUES),
    st.tuples(st.just("DEL"), st.sampled_from(["epoch", "lease", "rates", "last", "events"])),
    st.tuples(st.just("SADD"), st.sampled_from(["rates", "orders", "events", "last"]), VALUES),
)


@contextlib.contextmanager
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.clear()
    caplog.set_level(logging.INFO)
    yield
    for record in caplog.records:
        assert record.exc_info is None, record.exc_text
        assert "Traceback" not in record.getMessage()
        assert record.getMessage().isprintable()


def carry_out(raw: redis.Redis, writer: FeedWriter, change: tuple[Any, ...]) -> None:
    command, name, *rest = change
    key = getattr(KEYS, name, name)
    # What Redis itself refuses, such as another type, does no harm.
    with contextlib.suppress(redis.ResponseError):
        if command == "XADD":
            right = {b"e": writer.epoch, b"n": writer.number + 1}
            raw.xadd(key, {k: right.get(k, v) if v == b"?" else v for k, v in rest[0].items()})
        elif command == "SADD":
            raw.delete(key)
            raw.sadd(key, *rest)
        else:
            raw.execute_command(command, key, *rest)


@settings(
    max_examples=amount(40, 600),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(changes=st.lists(CHANGES, min_size=1, max_size=4), late=st.booleans())
def test_promise_1_any_bytes_in_any_key(
    shared_redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    changes: list[tuple[Any, ...]],
    late: bool,
) -> None:
    """Before a subscriber comes, or while it reads; a publisher that takes over sets all right."""
    monkeypatch.setattr(reading, "_BLOCK", 0.005)
    monkeypatch.setattr(reading, "_LONGEST", 0.01)
    with shared_redis.client() as raw, Watchdog(15), no_traceback(caplog):
        raw.flushall()
        writer = FeedWriter(raw)
        writer.rates(rate_of(18, 2.0), rate_of(19, 3.0))
        stream = RedisClient(shared_redis.url)
        with contextlib.suppress(EToroError):
            if not late:
                stream.connect()
            for change in changes:
                carry_out(raw, writer, change)
            if late:
                stream.connect()
        if stream.state is ClientState.FAILED:
            with pytest.raises(EToroError) as caught:
                stream.run_forever()
            assert "The source raised" not in str(caught.value)
        else:
            raw.flushall()
            writer.take_over()
            writer.rates(rate_of(18, 4.0))
            orders = stream.queue("private:event")
            while {k: r.ask for k, r in stream.rates.items()} != {18: 4.0} or (
                stream.state is not ClientState.LIVE
            ):
                if stream.state is ClientState.FAILED:
                    break
            else:
                writer.order(WsPrivateEvent(order_id=8))
                while orders.get(timeout=10).order_id != 8:
                    pass
        stream.disconnect()
