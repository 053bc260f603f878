"""Streams of the command line: lines and JSON, gaps, overflows, and what is told on stderr."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from etoro_sync import EToroQueueOverflowError, WsClient
from etoro_sync.cli import run, screens, streaming
from etoro_sync.cli.ending import carry_out
from etoro_sync.cli.inbox import Inbox
from etoro_sync.cli.log_collector import LogCollector
from etoro_sync.cli.streaming import StreamSettings
from etoro_sync.simulator import EToroSimulator
from tests.support.clients import quick_options


def test_a_terminal_that_lacks_a_character_gets_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The character becomes a question mark, and not a traceback."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(["demo", "--seconds", "0.3"]) == 0
    terminal.flush()
    assert b"? " in terminal.buffer.getvalue()  # type: ignore[attr-defined]


def test_a_pipe_gets_a_line_per_event(capsys: pytest.CaptureFixture[str]) -> None:
    """Rates and order events are lines that begin with the time."""
    assert run(["demo", "--seconds", "0.6", "--orders", "0.1"]) == 0
    out, err = capsys.readouterr()
    assert re.search(
        r"^\d\d:\d\d:\d\d\.\d{3}  instrument 1001 \(Apple\)  bid \d+\.\d\d  ask \d+\.\d\d  spr",
        out,
        re.M,
    )
    assert re.search(
        r"^\S+  order \d+  instrument \d+ \(\S+\)  filled  units \S+ of \S+  profit ", out, re.M
    )
    assert err == ""


def test_json_is_one_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get rates and order events in one format."""
    arguments = ["stream", "5", "5", "1001", "--private", "--demo", "--json", "--seconds", "1.5"]
    assert run(arguments) == 0
    items = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rates = [item for item in items if item["event"] == "instrument:rate"]
    orders = [item for item in items if item["event"] == "private:event"]
    assert {item["instrument_id"] for item in rates} == {5, 1001}
    assert all(item["ask"] > item["bid"] and item["generation"] == 1 for item in rates)
    assert all(item["order_id"] and item["status_id"] for item in orders)
    assert orders


def test_keys_from_the_environment_are_used(
    keys: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --demo the address and the keys are those of the environment."""
    with EToroSimulator(api_key="demo", user_key="demo") as simulator:
        keys(simulator.url)
        assert run(["stream", "1001", "--seconds", "0.3", "--verbose"]) == 0
    out, err = capsys.readouterr()
    assert "instrument 1001" in out
    assert "Authenticated" in err


def test_a_lost_connection_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """The lines on stdout are data only; the reconnection is told beside them."""
    settings = StreamSettings((1001,), seconds=10)
    screen = screens.LineScreen(as_json=False)
    heard = io.StringIO()

    def enough() -> bool:
        heard.write(capsys.readouterr().err)
        return "reconnected after" in heard.getvalue()

    with EToroSimulator(rate=50) as simulator:
        options, end = quick_options(simulator.url), _EndAfterGap(simulator, enough)
        with pytest.raises(_Enough):
            streaming.stream(options, settings, screen, end)
    assert "warning: " in heard.getvalue()
    assert "1 topic restored" in heard.getvalue()


class _Enough(Exception):
    """Ends a stream that has shown what the test wanted to see."""


class _EndAfterGap:
    """A tick that cuts the connection once, and ends the stream when enough was seen."""

    def __init__(self, simulator: EToroSimulator, enough: Callable[[], object]) -> None:
        self._simulator = simulator
        self._enough = enough
        self._cut = False

    def __call__(self) -> None:
        if not self._cut:
            self._cut = self._simulator.drop() > 0
        elif self._enough():
            raise _Enough


class _Recorder(screens.LineScreen):
    """A screen that remembers."""

    def __init__(self) -> None:
        super().__init__(as_json=True)
        self.events: list[tuple[str, Any]] = []

    def show(self, event: str, item: Any) -> None:
        self.events.append((event, item))

    @property
    def generations(self) -> list[int]:
        return [item[1].generation for event, item in self.events if event == "instrument:rate"]


def test_a_gap_stands_between_the_rates_that_it_parts() -> None:
    """Events of several queues are shown in the order in which they happened."""
    screen = _Recorder()
    settings = StreamSettings((1001, 100000))
    with EToroSimulator(rate=200) as simulator:
        options = quick_options(simulator.url)
        end = _EndAfterGap(simulator, lambda: 2 in screen.generations)
        with pytest.raises(_Enough):
            streaming.stream(options, settings, screen, end)
    names = [event for event, _ in screen.events]
    gap = names.index("reconnected")
    assert names.index("close") < names.index("reconnecting") < gap
    before = [item[1].generation for event, item in screen.events[:gap] if len(event) == 15]
    assert set(before) == {1}
    assert screen.events[gap + 1][1][1].generation == 2


def test_an_overflow_is_shown_and_the_stream_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that was stopped for long tells what it has missed."""
    original = WsClient.queue

    def tiny(self: WsClient, event: str, **options: Any) -> Any:
        return original(self, event, maxsize=1 if event == "private:event" else None)

    monkeypatch.setattr(WsClient, "queue", tiny)
    with EToroSimulator(rate=0) as simulator, WsClient(quick_options(simulator.url)) as client:
        inbox = Inbox(client, private=True)
        client.subscribe(["private"])
        seen = original(client, "private:event")
        for number in range(3):
            simulator.fill_order(number + 1)
            seen.get(timeout=5)
        events = list(inbox.take(0))
    assert isinstance(dict(events)["error"], EToroQueueOverflowError)


def test_a_failed_client_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """When a stream cannot go on, the reason is the last line, and the only one of its kind."""
    settings = StreamSettings((1001,), seconds=10)
    with EToroSimulator(rate=50) as simulator:

        def refuse() -> None:
            simulator.refuse("Authenticate", "InvalidKey")
            simulator.drop()

        options = quick_options(simulator.url)
        screen = screens.LineScreen(as_json=False)
        code = carry_out(lambda: streaming.stream(options, settings, screen, refuse))
    err = capsys.readouterr().err
    assert code == 2
    assert err.count("InvalidKey") == 1
    assert err.splitlines()[-1].startswith("etoro-sync: ")


def test_log_records_are_one_line_each() -> None:
    """Tracebacks and line breaks would cut the output up."""
    logger = logging.getLogger("etoro_sync")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with LogCollector(verbose=True) as notes:
        logger.debug("first\nsecond")
        try:
            raise ValueError("why")
        except ValueError:
            logger.exception("what")
        logger.error("left out")
        assert notes.take(without="left") == [
            "debug: first second",
            "error: what: ValueError('why')",
        ]
        assert notes.take() == []
    with LogCollector(verbose=False) as notes:
        logger.info("too little")
        assert notes.take() == []
    assert (logger.level, logger.propagate, list(logger.handlers)) == before
