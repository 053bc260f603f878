"""``etoro-sync stream --from``: what a publisher has written, on the command line."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest
import redis

from etoro_sync import WsPrivateEvent
from etoro_sync.cli import run
from etoro_sync.redis.subscribing import reading
from etoro_sync.simulator import EToroSimulator
from tests.redis.writing import FeedWriter, rate_of
from tests.support.names import wait_for_names
from tests.support.redis_server import RedisServer


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No keys are needed."""
    for name in ("ETORO_API_KEY", "ETORO_USER_KEY", "ETORO_WS_URL", "ETORO_REST_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(reading, "_BLOCK", 0.02)


def test_lines_of_a_feed(
    server: RedisServer, raw: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    """All instruments if none is named; the state comes first."""
    writer = FeedWriter(raw, "other")
    writer.rates(rate_of(18, 2.0), rate_of(19, 5.0))
    arguments = ["stream", "--from", server.url, "--feed", "other", "--seconds", "0.3"]
    assert run(arguments) == 0
    out, err = capsys.readouterr()
    assert "instrument 18  bid 1.00  ask 2.00" in out
    assert "instrument 19" in out
    assert err == ""
    assert run([*arguments, "19", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    item = json.loads(line)
    assert (item["instrument_id"], item["ask"]) == (19, 5.0)


def shown(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What a terminal gets of half a second."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(["stream", *arguments, "--seconds", "0.5"]) == 0
    terminal.flush()
    return terminal.buffer.getvalue().decode()  # type: ignore[attr-defined,no-any-return]


def test_a_table_of_a_feed_has_names_where_there_are_keys(
    server: RedisServer, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Symbols lead to its instruments, too."""
    wait_for_names(monkeypatch)
    FeedWriter(raw).rates(rate_of(18, 2.0), rate_of(1001, 5.0))
    for name in ("API_KEY", "USER_KEY"):
        monkeypatch.setenv(f"ETORO_{name}", "any")
    with EToroSimulator(rest=True, rate=0) as simulator:
        monkeypatch.setenv("ETORO_REST_URL", simulator.rest_url)
        assert re.search(r"18 +Gold ", shown(monkeypatch, "--from", server.url))
        text = shown(monkeypatch, "--from", server.url, "AAPL")
    assert re.search(r"1001 +Apple ", text)
    assert "Gold" not in text


def test_a_table_of_a_feed(
    server: RedisServer, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal; it says when nobody writes the feed."""
    writer = FeedWriter(raw)
    writer.rates(rate_of(18, 2.0))
    writer.order(WsPrivateEvent(order_id=7))
    writer.let_go()
    text = shown(monkeypatch, "--from", server.url, "--private", "--verbose")
    assert "feed main" in text
    assert "reconnecting" in text
    assert "no publisher writes it" in text


def test_mistakes_are_one_line(server: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong, and what to do."""
    for arguments, words in (
        (["--from", "http://x"], "url must be an URL"),
        (["--from", "unix:///nowhere"], "cannot be reached"),
        (["--from", server.url, "--feed", "a b"], "feed must be a name"),
        (["--from", server.url, "BTC"], "Set ETORO_API_KEY"),
        (["--from", server.url, "--demo"], "leave it out"),
    ):
        assert run(["stream", *arguments]) != 0
        err = capsys.readouterr().err
        assert words in err
        assert len(err.splitlines()) == 1
