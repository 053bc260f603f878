"""Symbols on the command line, and names in its tables."""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from etoro_sync import EToroRestError, Instrument, Instruments, WsClientOptions
from etoro_sync.cli import run
from etoro_sync.cli.names import Names, instruments_of
from etoro_sync.cli.table import dashboard
from etoro_sync.cli.table_contents import TableContents
from etoro_sync.simulator import EToroSimulator
from tests.cli.events import order, rate
from tests.support.clients import quick_options
from tests.support.timing import MS


@pytest.fixture
def named(keys: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A simulator that the environment leads to."""
    with EToroSimulator(rest=True, rate=50) as simulator:
        keys(simulator.url)
        monkeypatch.setenv("ETORO_REST_URL", simulator.rest_url)
        yield simulator


def test_symbols_and_ids_are_found(named: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each, in the order of the words."""
    assert run(["find", "BTC", "18", "msft.rth"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "100000  BTC       Bitcoin",
        "    18  GOLD      Gold",
        " 12003  MSFT.RTH  Microsoft (regular trading hours)",
    ]


def test_what_is_found_may_be_read_by_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """As one JSON object per line; without keys, in a demonstration."""
    assert run(["find", "--search", "gold", "--json", "--demo"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"instrument_id": 18, "symbol": "GOLD", "name": "Gold"}
    assert run(["find", "--search", "nothing like this", "--demo"]) == 0
    assert capsys.readouterr().out == ""


def test_words_that_are_not_found_leave_the_others(
    named: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are on stderr, with what comes near, and the code is 2."""
    assert run(["find", "APPL", "BTC", "QQQQQ"]) == 2
    out, err = capsys.readouterr()
    assert out == "100000  BTC  Bitcoin\n"
    assert "'APPL'" in err
    assert "AAPL (1001, Apple)" in err
    assert "'QQQQQ'" in err
    assert err.count("\n") == 1


def test_an_id_that_nobody_has_is_not_found(
    keys: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a symbol that nobody has."""
    with EToroSimulator([1], rest=True, rate=0) as simulator:
        keys(simulator.url)
        monkeypatch.setenv("ETORO_REST_URL", simulator.rest_url)
        assert run(["find", "77"]) == 2
    assert "no instrument with the id 77" in capsys.readouterr().err


def test_symbols_are_streamed(named: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside ids; one that is named twice comes once."""
    assert run(["stream", "BTC", "1001", "AAPL", "--json", "--seconds", "0.5"]) == 0
    ids = {json.loads(line)["instrument_id"] for line in capsys.readouterr().out.splitlines()}
    assert ids == {100000, 1001}
    assert len(named.rest_requests) == 2


def test_a_symbol_needs_an_address(
    keys: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The keys of a simulator's stream are not sent to eToro."""
    with EToroSimulator(rate=0) as simulator:
        keys(simulator.url)
        assert run(["stream", "BTC"]) == 2
        assert "Set ETORO_REST_URL" in capsys.readouterr().err
        assert instruments_of(WsClientOptions.from_env()) is None
        assert instruments_of(WsClientOptions(ws_url="wss://localhost:8765/ws")) is None
    assert instruments_of(WsClientOptions()) is not None


def test_a_terminal_shows_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of symbols and of ids, in both tables."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", terminal)
    for name, value in (("TERM", "xterm"), ("NO_COLOR", "1"), ("COLUMNS", "90")):
        monkeypatch.setenv(name, value)
    assert run(["demo", "--seconds", "1", "--orders", "0.1"]) == 0
    terminal.flush()
    text = terminal.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert re.search(r"100000 +Bitcoin +66", text)
    assert re.search(r"1001 +Apple +22", text)
    assert re.search(r"(18 +Gold|1001 +Apple|100000 +Bitcoin|1 +EUR/USD) +filled", text)


def table(names: dict[int, str], width: int) -> list[str]:
    contents = TableContents((100000, 1), "", True, 0.0, lambda number: names.get(number or 0, ""))
    contents.add("instrument:rate", (100000, rate(66500.5, 66510.25)), 1.0)
    contents.add("private:event", order(), 1.0)
    console = Console(width=width, file=io.StringIO(), record=True, color_system=None)
    console.print(dashboard(contents, 10.0, 24, "", width))
    return console.export_text().splitlines()


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (80, "instrument name bid ask spread change age"),
        (70, "instrument name bid ask spread age"),
        (60, "instrument name bid ask age"),
        (45, "instrument bid ask age"),
    ],
)
def test_a_name_gives_way_to_prices_and_ages(width: int, columns: str) -> None:
    """A long one is cut, and never makes a line too long."""
    lines = table({100000: "Bitcoin with a very long name", 1001: "Apple"}, width)
    assert max(map(len, lines)) <= width
    assert lines[1].split() == columns.split()
    assert ("Bitcoin with\u2026" in lines[2]) == ("name" in columns)


def test_without_names_there_is_no_column_for_them() -> None:
    """As where nobody can be asked."""
    assert not any("name" in line for line in table({}, 80))


# The thread that asks -------------------------------------------------------------------------


class Slow:
    """Instruments that answer when a test wants it."""

    def __init__(self, fail: bool = False) -> None:
        self.asked: list[list[int]] = []
        self.arrived = threading.Event()
        self.go = threading.Event()
        self.fail = fail

    def lookup(self, ids: list[int]) -> dict[int, Instrument]:
        self.asked.append(ids)
        self.arrived.set()
        self.go.wait(5)
        if self.fail:
            raise EToroRestError("no way")
        return {number: Instrument(number, "S", f"Name {number}") for number in ids}

    def close(self) -> None:
        self.go.set()


def test_a_table_never_waits_for_names() -> None:
    """What is wanted meanwhile is asked for together, and each only once."""
    slow = Slow()
    known = [Instrument(9, "NINE", ""), Instrument(8)]
    with Names(slow, known) as names:  # type: ignore[arg-type]
        assert names.get(9) == "NINE"
        assert names.get(None) == names.get(-1) == ""
        assert names.get(1) == ""
        assert slow.arrived.wait(5)
        assert [names.get(number) for number in (1, 2, 3, 2)] == [""] * 4
        slow.go.set()
        while not names.get(3):
            threading.Event().wait(1 * MS)
        assert names.get(1) == "Name 1"
    assert slow.asked == [[1], [2, 3]]


def test_names_that_cannot_be_asked_for_are_done_without() -> None:
    """The thread lives on, and ends with the table."""
    slow = Slow(fail=True)
    slow.go.set()
    with Names(slow, []) as names:  # type: ignore[arg-type]
        for number in (1, 2):
            names.get(number)
            while len(slow.asked) < number:
                threading.Event().wait(1 * MS)
        assert names.get(1) == ""
    with Names(None, []) as nobody:
        assert nobody.get(1) == ""


def test_the_end_of_a_command_ends_a_request(raw_server: Any) -> None:
    """It does not wait for a server that is silent."""
    server = raw_server(lambda peer: peer.wait_closed())
    url = f"http://127.0.0.1:{server.port}"
    instruments = Instruments(quick_options("ws://127.0.0.1:9/ws"), rest_url=url)
    with Names(instruments, []) as names:
        names.get(1)
        server.wait_connections(1)
    assert not [each for each in threading.enumerate() if each.name == "etoro-sync-names"]
