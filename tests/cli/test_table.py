"""The live table, on terminals of any size."""

from __future__ import annotations

import io
import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from etoro_sync import EToroQueueOverflowError, WsGap, WsInstrumentRate, clocks
from etoro_sync.cli import screens, streaming
from etoro_sync.cli.streaming import StreamSettings
from etoro_sync.cli.table import dashboard
from etoro_sync.cli.table_contents import TableContents
from tests.cli.events import order, rate


def _text(
    contents: TableContents, now: float = 10.0, height: int = 24, hint: str = "", width: int = 80
) -> str:
    console = Console(width=width, file=io.StringIO(), record=True, color_system=None)
    console.print(dashboard(contents, now, height, hint, width))
    return console.export_text()


@pytest.fixture
def contents() -> TableContents:
    new = TableContents((100000, 1), "somewhere", private=True, now=0.0)
    new.add("instrument:rate", (100000, rate(66500.5, 66510.25)), 1.0)
    new.add("private:event", order(), 1.0)
    new.measure("live", 1, 100, 2.0)
    return new


def test_the_table_shows_prices_and_order_events(contents: TableContents) -> None:
    """Bid, ask, spread, change and age; time, order, instrument, status, units and profit."""
    contents.add("instrument:rate", (100000, rate(66600.5, 66610.25)), 9.5)
    text = _text(contents)
    assert re.search(r"100000 +66600\.50 +66610\.25 +9\.75 +\+0\.150 % +0\.5 s", text)
    assert re.search(r"7 +1001 +filled +2\.5 +-1\.50", text)
    assert "50 messages/s" in text
    assert "100 in 10 s" in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_instrument_without_a_price_is_shown_as_such(contents: TableContents) -> None:
    """A row stands there from the beginning."""
    assert re.search(r"^ +1 +…", _text(contents), re.M)


def test_decimals_only_grow(contents: TableContents) -> None:
    """Columns stand still though trailing zeros come and go."""
    for bid in (1.0835, 1.08, 1.0):
        contents.add("instrument:rate", (1, rate(bid, 1.2)), 2.0)
    assert re.search(r"1 +1\.0000 +1\.2000 +0\.2000", _text(contents))


def test_a_tiny_price_is_shown_in_full(contents: TableContents) -> None:
    """Each digit that the feed wrote, neither cut after eight decimals nor as 1.23451e-08."""
    contents.add("instrument:rate", (1, rate(1.23451e-08, 1.2346e-08)), 2.0)
    text = _text(contents)
    assert re.search(r"1 +0\.0000000123451 +0\.0000000123460 +0\.0000000000009 ", text)
    # The columns of all rows end below their headings.
    heading, *rows = text.splitlines()[1:4]
    for name in ("bid", "ask", "spread"):
        end = heading.index(name) + len(name)
        assert all(row[end - 1].isdigit() and row[end] == " " for row in rows)


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (120, "instrument bid ask spread change age"),
        (80, "instrument bid ask spread change age"),
        (60, "instrument bid ask spread age"),
        (45, "instrument bid ask age"),
        (40, "instrument bid ask"),
        (30, "instrument bid"),
        (20, "instrument"),
    ],
)
def test_a_narrow_terminal_keeps_the_instrument_and_cuts_no_number(
    contents: TableContents, width: int, columns: str
) -> None:
    """A column that finds no room goes as a whole, the least important first."""
    contents.add("instrument:rate", (1, rate(1.0835, 1.0837)), 2.0)
    lines = _text(contents, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[1].split() == columns.split()
    numbers = {"bid": "66500.50", "ask": "66510.25", "spread": "9.75"}
    shown = [numbers[name] for name in columns.split() if name in numbers]
    assert lines[2].split()[: 1 + len(shown)] == ["100000", *shown]
    assert lines[3].split()[0] == "1"


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (80, "time order instrument status units profit"),
        (60, "order instrument status units profit"),
        (52, "order instrument status profit"),
        (42, "order instrument status"),
        (30, "instrument status"),
        (15, "instrument"),
    ],
)
def test_a_narrow_terminal_keeps_what_happened_to_which_order(
    contents: TableContents, width: int, columns: str
) -> None:
    """The time goes first; which instrument, how it stands and which order stay longest."""
    contents.add("private:event", order(order_id=8, status_id=3), 2.0)
    lines = _text(contents, width=width).splitlines()
    assert max(map(len, lines)) <= width
    heading = next(number for number, line in enumerate(lines) if number > 3 and "instr" in line)
    assert lines[heading].split() == columns.split()
    assert "1001" in lines[heading + 1].split()
    assert ("filled" in lines[heading + 1]) == ("status" in columns)


def test_the_columns_stand_still_while_orders_end_differently(contents: TableContents) -> None:
    """A long status takes no other column's place, and a rejection shows its code."""
    heading = next(line for line in _text(contents).splitlines() if "status" in line)
    contents.add("private:event", order(order_id=7, status_id=11), 1.5)
    contents.add("private:event", order(order_id=8, status_id=5), 2.0)
    contents.add("private:event", order(order_id=9, status_id=4, error_code=720), 3.0)
    text = _text(contents)
    assert heading in text.splitlines()
    assert re.search(r" 8 +1001 +partially filled +2\.5 ", text)
    assert re.search(r" 9 +1001 +rejected \(720\) ", text)


def test_a_move_is_remembered(contents: TableContents) -> None:
    """The colour tells the last change, and an unchanged price keeps it."""
    for bid, move in ((66400.0, -1), (66400.0, -1), (66500.0, 1)):
        contents.add("instrument:rate", (100000, rate(bid, bid + 10)), 2.0)
        row = contents.rows[100000]
        assert row is not None
        assert row.move == move


def test_a_price_of_nothing_has_no_change() -> None:
    """There is no per cent of zero."""
    contents = TableContents((1,), "", private=False, now=0.0)
    contents.add("instrument:rate", (1, rate(0.0, 0.0)), 0.0)
    assert "+0.000 %" in _text(contents)


@pytest.mark.parametrize(
    ("age", "text"), [(0.25, "0.2 s"), (59.0, "59.0 s"), (300.0, "5 min"), (7200.0, "2 h")]
)
def test_ages_are_rounded_sensibly(contents: TableContents, age: float, text: str) -> None:
    """Nobody wants to read seconds of a price that is hours old."""
    assert text in _text(contents, now=1.0 + age)


def test_reconnecting_is_visible(contents: TableContents) -> None:
    """The first line tells what happens to the connection."""
    contents.add("close", (1006, "reset"), 3.0)
    assert "connection lost (code 1006, reset)" in _text(contents)
    contents.add("close", (1001, ""), 3.0)
    assert "connection lost (code 1001)" in _text(contents)
    contents.add("reconnecting", (2, 1.5), 3.0)
    contents.measure("reconnecting", 1, 100, 3.0)
    assert "reconnecting (attempt 2 in 1.5 s)" in _text(contents)
    contents.add("reconnected", WsGap(0.0, 2.0, 2), 4.0)
    contents.measure("live", 2, 120, 4.0)
    assert "live (last gap 2.0 s)" in _text(contents)
    assert "connection 2" in _text(contents)


def test_messages_per_second_are_those_of_the_last_seconds(contents: TableContents) -> None:
    """An old burst does not stand for the present."""
    for second in range(3, 9):
        contents.measure("live", 1, 100 + second, float(second))
    assert contents.messages_per_second == 1.0


def test_a_small_terminal_shows_what_finds_room(contents: TableContents) -> None:
    """The table never is higher than the terminal, and says what is missing."""
    for instrument_id in range(2, 50):
        contents.rows[instrument_id] = None
    for _ in range(10):
        contents.add("private:event", order(), 1.0)
    for height in (12, 24, 40):
        text = _text(contents, height=height, hint="the hint")
        assert len(text.splitlines()) <= height
        assert "more" in text
        assert "the hint" in text
    assert "order events: 11" in text


def test_order_events_alone_can_be_watched() -> None:
    """Without instruments there is no empty table of them."""
    contents = TableContents((), "", private=True, now=0.0)
    assert "none yet" in _text(contents)
    assert "spread" not in _text(contents)


def test_trouble_that_is_no_event_is_shown_below(contents: TableContents) -> None:
    """A lost order event is told."""
    contents.add("error", EToroQueueOverflowError("too slow"), 1.0)
    assert "error: too slow" in _text(contents)


def _terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, height=24)


def _client(state: str = "live", messages: int = 1) -> Any:
    return SimpleNamespace(
        state=SimpleNamespace(value=state),
        generation=1,
        stats=lambda: SimpleNamespace(messages=messages),
    )


def test_the_table_is_drawn_no_more_often_than_eyes_see(contents: TableContents) -> None:
    """A fast feed costs no more drawing than a slow one."""
    console = _terminal()
    screen = screens.TableScreen(contents, verbose=False, console=console)
    screen.start()
    frames = []
    for _ in range(100):
        screen.refresh(_client())
        frames.append(console.file.getvalue())  # type: ignore[attr-defined]
    screen.stop()
    assert len(set(frames)) < 20


def test_the_last_table_stays(contents: TableContents) -> None:
    """After the end the terminal shows the last state, unless there never was one."""
    console = _terminal()
    screen = screens.TableScreen(contents, verbose=False, console=console)
    screen.start()
    screen.show("private:event", order(order_id=4711))
    screen.stop()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "4711" in text.rpartition("\x1b[?1049l")[2]

    console = _terminal()
    screen = screens.TableScreen(
        TableContents((1,), "", False, 0.0), verbose=False, console=console
    )
    screen.start()
    screen.stop()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.rpartition("\x1b[?1049l")[2].strip("\x1b[?25h\n") == ""


def test_the_age_of_a_price_counts_the_machines_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not as young as the timers say."""
    slept = [0.0]
    monkeypatch.setattr(screens, "uptime", lambda: clocks.uptime() + slept[0])
    console = _terminal()
    screen = screens.TableScreen(
        TableContents((1,), "", False, 0.0), verbose=False, console=console
    )
    screen.start()
    screen.show("instrument:rate", (1, WsInstrumentRate(ask=2.0, bid=1.0)))
    slept[0] = 7200.0
    screen._draw(screens.uptime())
    screen.stop()
    assert "2 h" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_the_log_does_not_write_across_the_table(
    contents: TableContents,
    verbose: bool,
    terminal: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is shown below the table if wanted, and goes to stderr if that is a file."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    screen = screens.TableScreen(contents, verbose, _terminal())
    screen.note("warning: something")
    assert ("warning: something" in contents.notes) is verbose
    assert ("warning: something" in capsys.readouterr().err) is not terminal


@pytest.mark.parametrize(
    ("terminal", "term", "as_json", "kind"),
    [
        (True, "xterm", False, screens.TableScreen),
        (True, "xterm", True, screens.LineScreen),
        (True, "dumb", False, screens.LineScreen),
        (False, "xterm", False, screens.LineScreen),
    ],
)
def test_only_a_terminal_gets_a_table(
    terminal: bool, term: str, as_json: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pipes, files, JSON and terminals that cannot draw get lines."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert type(streaming.choose_screen(StreamSettings((1,), as_json), "")) is kind
