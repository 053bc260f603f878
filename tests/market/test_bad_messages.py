"""Messages that cannot be understood are reported, and cost nothing else."""

from __future__ import annotations

import logging

import pytest

from etoro_sync import EToroValidationError
from tests.market.tools import FULL, Bench
from tests.support.clients import envelope

BAD = {
    "no JSON": "hello",
    "half JSON": '{"messages": [',
    "NaN": '{"messages": NaN}',
    "deep": "[" * 100_000,
    "number": "5",
    "null": "null",
    "string": '"messages"',
    "list": "[]",
    "empty object": "{}",
    "messages null": '{"messages": null}',
    "messages object": '{"messages": {"topic": "private"}}',
    "message null": '{"messages": [null]}',
    "message number": '{"messages": [5]}',
    "message list": '{"messages": [[]]}',
    "message empty": '{"messages": [{}]}',
    "topic number": '{"messages": [{"topic": 5, "type": "Snapshot", "content": "{}"}]}',
    "topic list": '{"messages": [{"topic": [], "type": "Snapshot", "content": "{}"}]}',
    "type list": '{"messages": [{"topic": "instrument:1", "type": [], "content": "{}"}]}',
    "content null": '{"messages": [{"topic": "private", "type": "x", "content": null}]}',
    "content no JSON": envelope("instrument:1", 0).replace('"0"', '"{"'),
    "content number": envelope("instrument:1", 5),
    "content list": envelope("private", []),
    "content NaN": envelope("instrument:1", FULL).replace("2.5", "NaN"),
    "bad price": envelope("instrument:1", {"Ask": "cheap", "Bid": "1"}),
    "bad flag": envelope("instrument:1", {"IsMarketOpen": "maybe"}),
    "infinite price": envelope("instrument:1", {"Ask": "1e999"}),
    "price object": envelope("instrument:1", {"Ask": {}, "Bid": []}),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_counted_emitted_and_ends_nothing(
    bench: Bench, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What came before and after is delivered; the error names what is wrong."""
    bench.listen("instrument:rate", "error")
    bench.take(envelope("instrument:18", FULL))
    assert bench.take(BAD[name]) is None
    bench.take(envelope("instrument:18", {"Ask": "3"}))
    assert [rate.ask for _, rate in bench.got("instrument:rate")] == [2.5, 3.0]
    errors = bench.got("error")
    assert errors
    assert all(isinstance(error, EToroValidationError) and error.field for error in errors)
    assert bench.counters.bad_messages == len(errors)
    assert all(len(str(error)) < 500 for error in errors)
    assert all(len(record.getMessage()) < 500 for record in caplog.records)


@pytest.mark.parametrize("value", ["x", "0", "-3", "1e-400", "nan"])
def test_a_side_that_cannot_be_read_is_reported_and_shown_nowhere(bench: Bench, value: str) -> None:
    """No rate is made of it, nor of the other side alone; the next good one is delivered."""
    stamp = {"Date": "2026-04-20T17:24:51Z", "PriceRateID": "8"}
    bench.listen("instrument:rate", "error")
    for ask in ("2.5", "2.6"):  # twice, so that the next one goes the short way
        bench.take(envelope("instrument:18", {"Ask": ask, "Bid": "2.0", **stamp}))
    bench.take(envelope("instrument:18", {"Ask": value, "Bid": "2.1", **stamp}))
    bench.take(envelope("instrument:18", {"Bid": "2.2", **stamp}))
    assert [rate.ask for _, rate in bench.got("instrument:rate")] == [2.5, 2.6]
    assert bench.book.latest == {}
    (error,) = bench.got("error")
    assert error.field == "Ask"
    assert "of instrument 18 whose Ask cannot be understood" in str(error)
    assert bench.counters.bad_messages == 1
    bench.take(envelope("instrument:18", {"Ask": "2.7", **stamp}))
    ((_, rate),) = bench.got("instrument:rate")
    assert (rate.ask, rate.bid) == (2.7, 2.2)
    assert bench.book.latest[18].visible["ask"] == 2.7


def test_a_bad_field_that_only_the_delta_has_does_not_cost_the_rate(bench: Bench) -> None:
    """The price is delivered, the error emitted."""
    bench.listen("instrument:rate", "instrument:delta", "error")
    bench.take(envelope("instrument:18", {**FULL, "MaxPositionUnits": "many"}))
    assert [rate.ask for _, rate in bench.got("instrument:rate")] == [2.5]
    assert bench.got("instrument:delta") == []
    assert len(bench.got("error")) == 1


def test_trouble_is_logged_once_per_kind(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A flood of garbage is counted in full and logged once, until the next minute."""
    for _ in range(100):
        bench.take("garbage")
    assert bench.counters.bad_messages == 100
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    bench.clock.advance(61)
    bench.take("garbage")
    assert "99 more" in caplog.records[-1].getMessage()


def test_text_of_the_server_is_redacted_in_errors_and_logs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever a server repeats."""
    bench = Bench(redact=lambda text: text.replace("secret", "***")).listen("error")
    bench.take("garbage secret")
    bench.take(envelope("instrument:1", {"Ask": "secret"}))
    assert "secret" not in caplog.text
    assert all("secret" not in str(error) for error in bench.got("error"))
