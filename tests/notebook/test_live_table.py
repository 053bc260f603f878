"""``live()`` without a browser: threads, subscriptions, cells, and what happens at each end."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("anywidget")

from etoro_sync import (
    ClientState,
    EToroError,
    EToroSubscriptionError,
    EToroValidationError,
    Feed,
    Instrument,
    MarketStream,
)
from etoro_sync.notebook import Names, cells, live_table
from etoro_sync.notebook.cells import Cell
from tests.support.timing import MS

RATES = {n: 100.0 + n for n in range(1, 4)}


def wait_until(probe: Callable[[], Any], timeout: float = 5000 * MS) -> Any:
    """Wait for what a table's thread does; it tells nobody."""
    deadline = time.monotonic() + timeout
    while not (found := probe()):
        assert time.monotonic() < deadline, "never true"
        time.sleep(0.01)
    return found


def threads() -> list[str]:
    """The names of the threads of tables."""
    return [t.name for t in threading.enumerate() if t.name == "etoro-sync-live"]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], str | None, bool]]:
    """What was given to the notebook: data, the output's id, and whether it was replaced."""
    shown: list[tuple[dict[str, Any], str | None, bool]] = []

    def publish(data: dict[str, Any], display_id: str | None = None, update: bool = False) -> None:
        shown.append((data, display_id, update))

    monkeypatch.setattr(live_table, "publish", publish)
    monkeypatch.setattr(live_table, "has_front_end", lambda: True)
    return shown


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was sent to the front end."""
    messages: list[dict[str, Any]] = []
    monkeypatch.setattr(
        live_table._Widget, "send", lambda self, content, buffers=None: messages.append(content)
    )
    return messages


@pytest.fixture
def in_cell(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Say which cell runs."""

    def run(cell: str, run: str) -> None:
        monkeypatch.setattr(Cell, "current", classmethod(lambda cls: cls(cell, run)))

    return run


@pytest.fixture
def live(simulator: Any, client: Any) -> Iterator[Any]:
    """A connected client of a feed that moves."""
    server = simulator(instruments=RATES, rate=50)
    one = client(server.url)
    one.connect()
    one.server = server
    yield one
    one.disconnect()
    wait_until(lambda: not threads())


@pytest.mark.usefixtures("published")
def test_a_table_shows_what_it_was_given_and_ends_with_its_stream(
    live: Any, sent: list[dict[str, Any]]
) -> None:
    """Given ids are subscribed to; after the end there is no thread."""
    table = live.live([1, 2])
    assert live.subscriptions == ("instrument:1", "instrument:2")
    assert threads() == []  # it begins when it is displayed
    table._ipython_display_()
    wait_until(lambda: sent and sent[-1]["order"] == ["1", "2"] and sent[-1]["rows"])
    assert threads() == ["etoro-sync-live"]
    before = len(sent)
    began = time.monotonic()
    wait_until(lambda: len(sent) >= before + 4)
    assert time.monotonic() - began > 0.6  # four times a second at most
    live.disconnect()
    wait_until(lambda: sent[-1]["head"]["state"] == "closed")
    wait_until(lambda: not threads())


def test_what_is_sent_is_json(live: Any, sent: list[dict[str, Any]]) -> None:
    """Also the state that a page asks for when it is loaded again."""
    table = live.live([1])
    state = table.widget.get_state()
    wait_until(lambda: sent and sent[-1]["rows"])
    json.dumps([sent, state["snapshot"]], allow_nan=False)
    assert json.loads(json.dumps(table.widget.get_state()["snapshot"]))["rows"]["1"]["bid"]
    table.close()


def test_a_saved_notebook_has_a_table_that_needs_no_widget(
    live: Any, published: list[Any], sent: list[Any]
) -> None:
    """Apart from the widget; replaced when prices have come, and at the end; never more often."""
    live.live([1])._ipython_display_()
    (static, name, update), (view, _, _) = published
    assert not update
    assert "Prices at" in static["text/html"]
    assert "Prices at" in static["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" not in static
    assert view["text/html"] == ""
    wait_until(lambda: len(published) == 3)
    count = len(sent)
    wait_until(lambda: len(sent) > count + 4)
    assert published[2][1:] == (name, True)
    assert len(published) == 3
    live.disconnect()
    wait_until(lambda: len(published) == 4)
    assert "state then: closed." in published[3][0]["text/html"].replace("&#x27;", "'")


@pytest.mark.usefixtures("published")
def test_a_cell_that_runs_again_replaces_its_table(
    live: Any, in_cell: Any, sent: list[Any]
) -> None:
    """One view, one thread, and no widget of the earlier run."""
    from ipywidgets.widgets.widget import _instances

    before = len(_instances)
    for run in "abc":
        in_cell("cell", run)
        live.live([1])._ipython_display_()
    assert len(_instances) - before == 2  # with its layout
    assert threads() == ["etoro-sync-live"]
    in_cell("other", "d")
    live.live([2])._ipython_display_()
    wait_until(lambda: {tuple(each["order"]) for each in sent[-4:]} == {("1",), ("2",)})
    assert threads() == ["etoro-sync-live"]


@pytest.mark.usefixtures("published", "sent")
def test_one_run_of_a_cell_may_show_several_tables(live: Any, in_cell: Any) -> None:
    """And the next run replaces them all."""
    in_cell("cell", "a")
    tables = [live.live([1]), live.live([2])]
    for table in tables:
        table._ipython_display_()
    assert "closed" not in repr(tables)
    in_cell("cell", "b")
    live.live([3])._ipython_display_()
    assert [repr(each) for each in tables] == ["<LiveTable live, closed>"] * 2


@pytest.mark.usefixtures("sent")
def test_a_table_that_has_ended_with_its_stream_wants_nothing_more(live: Any) -> None:
    """Also if that connects again: the cell runs again, too."""
    table = live.live([1])
    assert table.widget
    live.disconnect()
    wait_until(lambda: not threads())
    live.connect()
    assert live.subscriptions == ()


@pytest.mark.usefixtures("published", "sent")
def test_a_table_that_was_replaced_replaces_none_when_it_is_shown_again(
    live: Any, in_cell: Any
) -> None:
    """Such as in another cell, by a variable that still refers to it."""
    first, second = live.live([1]), live.live([2])
    for run, table in (("a", first), ("b", second)):
        in_cell("cell", run)
        table._ipython_display_()
    in_cell("other", "c")
    first._ipython_display_()
    assert [repr(each) for each in (first, second)] == [
        "<LiveTable live, closed>",
        "<LiveTable live>",
    ]


@pytest.mark.usefixtures("published", "sent")
def test_a_table_belongs_to_the_cell_that_was_the_first_to_show_it(live: Any, in_cell: Any) -> None:
    """Another one that showed it, too, does not close it when that runs again."""
    first, second = live.live([1]), live.live([2])
    for cell, run, table in (("one", "a", first), ("two", "b", first), ("two", "c", second)):
        in_cell(cell, run)
        table._ipython_display_()
    assert [repr(each) for each in (first, second)] == ["<LiveTable live>"] * 2


@pytest.mark.usefixtures("sent")
@pytest.mark.parametrize("begun", [True, False])
def test_a_closed_table_shows_what_does_not_change(
    live: Any, published: list[Any], begun: bool
) -> None:
    """A variable may refer to it still, and be displayed."""
    table = live.live([1])
    if begun:
        table._ipython_display_()
    table.close()
    published.clear()
    table._ipython_display_()
    ((data, name, update),) = published
    assert set(data) == {"text/html", "text/plain"}
    assert "This table does not change." in data["text/plain"]
    assert not name
    assert not update
    wait_until(lambda: not threads())


@pytest.mark.usefixtures("sent")
def test_a_widget_in_a_layout_is_replaced_as_a_table_is(live: Any, in_cell: Any) -> None:
    """When its cell runs again, and not when another cell shows it, too."""
    tables = []
    for run in "ab":
        in_cell("cell", run)
        tables.append(live.live([1]))
        assert tables[-1].widget
    in_cell("other", "c")
    assert tables[1].widget
    assert [repr(each).endswith("closed>") for each in tables] == [True, False]


@pytest.mark.usefixtures("sent")
def test_widgets_outside_of_cells_stay(live: Any) -> None:
    """A server of dashboards shows the same table to many."""
    tables = [live.live([1]), live.live([1])]
    for each in tables:
        assert each.widget
    assert [repr(each) for each in tables] == ["<LiveTable live>"] * 2


@pytest.mark.usefixtures("published", "sent")
def test_where_cells_have_no_id_the_same_table_is_replaced(live: Any) -> None:
    """But not one of other instruments."""
    first, other, again = live.live([1]), live.live([2]), live.live([1])
    for table in (first, other, again):
        table._ipython_display_()
    assert [repr(each).endswith("closed>") for each in (first, other, again)] == [
        True,
        False,
        False,
    ]


@pytest.mark.usefixtures("sent")
def test_a_closed_table_unsubscribes_what_nobody_else_wants(live: Any) -> None:
    """As the end of a stream does."""
    live.subscribe(1)
    table = live.live([1, 2])
    assert table.widget is table.widget
    table.close()
    table.close()
    wait_until(lambda: live.subscriptions == ("instrument:1",))
    wait_until(lambda: not threads())


def test_a_table_that_nobody_displays_leaves_no_subscription(live: Any) -> None:
    """Nor does one whose subscription is refused, in the cell that asks for it."""
    table = live.live([1])
    assert live.subscriptions == ("instrument:1",)
    del table
    gc.collect()
    wait_until(lambda: live.subscriptions == ())
    live.server.fault("reject", operation="Subscribe", code="Forbidden")
    with pytest.raises(EToroSubscriptionError):
        live.live([2])
    gc.collect()
    assert live.subscriptions == ()
    assert threads() == []


@pytest.mark.usefixtures("sent")
def test_a_saved_notebook_has_what_prices_there_are(
    live: Any, published: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where some never come, the others are shown after a few seconds."""
    monkeypatch.setattr(live_table, "_LATE", 3)
    live.live([1, 99])._ipython_display_()
    wait_until(lambda: len(published) == 3)
    assert re.search(r"^ +1 +\d+\.\d\d ", published[2][0]["text/plain"], re.MULTILINE)
    assert re.search(r"^ +99$", published[2][0]["text/plain"], re.MULTILINE)


def test_a_page_that_asks_for_all_rows_gets_them(live: Any, sent: list[Any]) -> None:
    """With the next message, or the one that is being made."""
    table = live.live([1])
    widget = table.widget
    wait_until(lambda: sent)
    before = len(sent)
    widget._handle_custom_msg({"want": "all"}, [])
    wait_until(lambda: len(sent) >= before + 2)
    assert any(each["full"] for each in sent[before : before + 2])
    table.close()


@pytest.mark.usefixtures("published")
def test_a_table_does_not_keep_its_client_alive(
    simulator: Any, client: Any, sent: list[dict[str, Any]]
) -> None:
    """A client that a notebook has replaced ends as before, and its table says why."""
    from etoro_sync import WsClient
    from tests.support.clients import quick_options

    one = WsClient(quick_options(simulator(instruments=RATES).url))
    one.connect()
    table = one.live([1])
    table._ipython_display_()
    wait_until(lambda: sent)
    del one
    gc.collect()
    head = wait_until(lambda: sent[-1]["head"] if sent[-1]["head"]["ended"] else None)
    assert "Keep it in a variable" in head["detail"]
    wait_until(lambda: not threads())


def test_a_failure_is_shown_with_its_reason(sent: list[dict[str, Any]]) -> None:
    """So that the table explains itself."""
    begin = threading.Event()

    def play(feed: Feed) -> None:
        begin.wait(5)
        raise RuntimeError("torn file")

    stream = MarketStream(play)
    stream.connect()
    rates = stream.queue("instrument:rate")
    assert stream.live().widget
    begin.set()
    head = wait_until(lambda: sent and sent[-1]["head"]["ended"] and sent[-1]["head"])
    assert head["state"] == "failed"
    assert "torn file" in head["detail"]
    rates.close()


def test_a_table_that_breaks_does_not_stop_the_others(
    live: Any, sent: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """It leaves with a line in the log; its page notices that nothing comes."""
    bad, good = live.live([1]), live.live([2])
    assert bad.widget
    assert good.widget
    bad._look = SimpleNamespace  # without any of what is looked for
    wait_until(lambda: "A live table is not updated any more" in caplog.text)
    sent.clear()
    wait_until(lambda: len(sent) > 2)
    assert {tuple(each["order"]) for each in sent} == {("2",)}
    good.close()
    bad.close()


def test_names_come_with_instruments_from_a_mapping_and_by_asking(
    live: Any, sent: list[dict[str, Any]]
) -> None:
    """Who is asked may be slow: the table does not wait."""
    answer = threading.Event()
    asked: list[list[int]] = []

    class Slow:
        def lookup(self, ids: list[int]) -> dict[int, Instrument]:
            asked.append(ids)
            answer.wait(5)
            return {n: Instrument(n, "SYM", f"name {n}") for n in ids}

    given = [Instrument(1, "ONE", "first"), 2]
    table = live.live(iter(given), names=Slow())
    assert table.widget
    wait_until(lambda: len(sent) > 2)
    answer.set()
    wait_until(lambda: "name 2" in str(table.widget.get_state()["snapshot"]))
    assert "first" in str(table.widget.get_state()["snapshot"])
    assert asked == [[2]]
    table.close()
    other = live.live([3], names={3: "third"})
    assert "third" in str(other.widget.get_state()["snapshot"])
    other.close()


def test_names_are_asked_for_by_one_thread_at_a_time(caplog: pytest.LogCaptureFixture) -> None:
    """However slow the network is, and however many instruments appear; errors cost their names."""
    answers: queue.Queue[Any] = queue.Queue()
    asked: queue.Queue[list[int]] = queue.Queue()

    class Slow:
        def lookup(self, ids: list[int]) -> Any:
            asked.put(ids)
            return answers.get(timeout=5)

    names = Names({}, Slow())
    for each in range(5):
        names.get(each)
        names.ask()
    assert asked.get(timeout=5) == [0]
    answers.put("no dictionary")
    wait_until(lambda: "Names of instruments are not known" in caplog.text)
    wait_until(lambda: names.ask() or not asked.empty())
    assert asked.get(timeout=5) == [1, 2, 3, 4]
    answers.put({1: Instrument(1, "ONE", "first")})
    wait_until(lambda: names.get(1) == "first")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"instrument_ids": "BTC"}, "instrument_ids"),
        ({"instrument_ids": []}, "instrument_ids"),
        ({"names": ["a"]}, "names must be a dictionary"),
        ({"max_rows": 0}, "max_rows"),
        ({"max_rows": 501}, "from 1 to 500"),
        ({"max_rows": True}, "max_rows"),
    ],
)
def test_arguments_are_checked(live: Any, arguments: dict[str, Any], words: str) -> None:
    """Before anything is subscribed to."""
    with pytest.raises(EToroValidationError, match=words):
        live.live(**arguments)
    assert live.subscriptions == ()


def test_a_missing_extra_is_named(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install; nothing is subscribed to."""
    for name in [name for name in sys.modules if name.startswith("etoro_sync.notebook")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(EToroError, match=r'pip install "etoro-sync\[jupyter\]"'):
        live.live([1])
    assert live.subscriptions == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_child_refuses(live: Any) -> None:
    """Its copy of the client is closed, and the thread of tables is not there."""
    assert live.live([1]).widget
    child = os.fork()
    if child == 0:
        try:
            live.live([1])
        except EToroError:
            os._exit(0 if live.state is ClientState.CLOSED else 2)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.usefixtures("sent")
def test_a_forked_child_has_tables_of_its_own(live: Any) -> None:
    """With a thread of its own: the parent's is not there, and its lock may be held for ever."""
    assert live.live([1]).widget
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            assert MarketStream(lambda feed: None).live([1]).widget
            code = 0 if threads() else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_program_that_leaves_a_table_open_ends() -> None:
    """The thread is a daemon, and says nothing at the end."""
    code = (
        "from etoro_sync import MarketStream\n"
        "stream = MarketStream(lambda feed: None)\n"
        "table = stream.live([1])\n"
        "table.widget, print(table)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "<LiveTable disconnected>\n"


def test_outside_of_a_notebook_there_is_no_cell() -> None:
    """And nothing to show anything in."""
    assert Cell.current() is None
    cells.publish({"text/plain": "lost"})


def test_ipython_in_a_terminal_prints_the_prices_of_the_moment() -> None:
    """It cannot replace them, so that there is no thread that would print more."""
    pytest.importorskip("IPython")
    code = (
        "import threading\n"
        "from IPython.terminal.interactiveshell import TerminalInteractiveShell\n"
        "shell = TerminalInteractiveShell.instance(history_length=0)\n"
        "cell = 'from etoro_sync import MarketStream; MarketStream(lambda feed: None).live([7])'\n"
        "shell.run_cell(cell, store_history=False)\n"
        "print([thread.name for thread in threading.enumerate()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.count("Prices at") == 1
    assert "etoro-sync-live" not in done.stdout
