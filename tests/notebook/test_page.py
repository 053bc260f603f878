"""What runs in the browser, alone: given messages, and a time that the tests set."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

import etoro_sync
from tests.notebook import browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]

LIVE = Path(etoro_sync.__file__).parent / "notebook" / "live.js"
STYLE = LIVE.with_suffix(".css")
#: A model as anywidget hands it out, and clocks that stand still. A page that is loaded later has
#: another origin of its time.
PAGE = """
const [source, snapshot, origin, done] = arguments;
window.clock = { ticks: 10_000, wall: 1_764_000_000_000 };
Date.now = () => window.clock.wall;
performance.now = () => window.clock.ticks;
Object.defineProperty(performance, "timeOrigin", { value: origin, configurable: true });
const values = { snapshot, static: "abc" };
const listeners = {};
window.asked = [];
window.model = {
  get: (name) => values[name],
  set(name, value) {
    values[name] = value;
    for (const each of listeners[`change:${name}`] ?? []) each();
  },
  on: (name, call) => (listeners[name] ??= []).push(call),
  off: (name, call) => { listeners[name] = listeners[name].filter((each) => each !== call); },
  send: (message) => window.asked.push(message),
};
window.deliver = (message) => listeners["msg:custom"].forEach((each) => each(message));
document.body.innerHTML = "<div class='etoro-static-abc'>static</div><div id='here'></div>";
const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
// The timer runs when the test says so.
window.setInterval = (call) => { window.tick = call; return "timer"; };
window.clearInterval = (timer) => { window.cleared = timer; };
import(url).then(({ default: { initialize, render } }) => {
  initialize({ model });
  window.leave = render({ model, el: document.getElementById("here") });
  done();
});
"""
CELLS = {
    "id": "1",
    "name": "Euro",
    "bid": "1.50",
    "ask": "1.60",
    "spread": "0.10",
    "change": "+1.00 %",
    "mid": 1.55,
    "at": 1_764_000_000.0,
    "move": 1,
    "old": False,
    "closed": False,
}
HEAD = {
    "state": "live",
    "ended": False,
    "detail": "",
    "at": 1_764_000_000.0,
    "process": "p",
    "age": 0.0,
    "messages": 1,
    "per_second": 1,
    "hidden": 0,
}
SNAPSHOT: dict[str, Any] = {
    "number": 1,
    "head": HEAD,
    "rows": {"1": CELLS},
    "order": ["1"],
    "history": {"1": []},
}


@dataclasses.dataclass
class Table:
    """The table in a page.

    :param driver: the browser.
    """

    driver: Any
    numbers: Any = dataclasses.field(default_factory=lambda: itertools.count(2))

    def open(self, snapshot: dict[str, Any] = SNAPSHOT, origin: float = 1.0) -> None:
        """Show a table in a page of its own."""
        self.driver.get("about:blank")
        self.driver.execute_async_script(PAGE, LIVE.read_text(), snapshot, origin)

    def send(self, sent: float, rows: dict[str, Any] | None = None, **changes: Any) -> None:
        """Deliver a message that the kernel sent *sent* seconds after the beginning."""
        message = {
            "number": next(self.numbers),
            "head": {**HEAD, "at": HEAD["at"] + sent},
            "rows": {} if rows is None else rows,
            "order": ["1"],
            "step": False,
            "full": False,
            **changes,
        }
        self.driver.execute_script("window.deliver(arguments[0])", message)

    def at(self, seconds: float, slept: float = 0.0) -> None:
        """Set both clocks; the one that stands still while the machine sleeps lacks *slept*."""
        script = """
        clock.wall = 1_764_000_000_000 + arguments[0] * 1000;
        clock.ticks = 10_000 + (arguments[0] - arguments[1]) * 1000;
        window.tick();
        """
        self.driver.execute_script(script, seconds, slept)

    def text(self, selector: str) -> str:
        """What is to be seen of an element."""
        found = self.driver.find_elements("css selector", selector)
        return str(found[0].text) if found else ""

    @property
    def state(self) -> Any:
        """What the model has, as a front end saves it in a notebook."""
        script = "return JSON.parse(JSON.stringify(model.get('snapshot')))"
        return self.driver.execute_script(script)


@pytest.fixture
def table(driver: Any) -> Table:
    """A table that has begun."""
    made = Table(driver)
    made.open()
    made.send(0)
    return made


def test_it_is_live_while_messages_come(table: Table) -> None:
    """And the static table is hidden."""
    for second in range(1, 8):
        table.at(second)
        table.send(second)
        assert (table.text(".etoro-state"), table.text(".etoro-notice")) == ("live", "")
    assert table.text(".etoro-static-abc") == ""
    assert table.text(".etoro-age") == "7 s"


def test_it_is_old_when_nothing_comes(table: Table) -> None:
    """After three seconds; also where the machine slept, during which one clock stands still."""
    table.at(2.9)
    assert table.text(".etoro-state") == "live"
    table.at(3.1)
    assert table.text(".etoro-state") == "no kernel"
    assert "for 3 s: these prices are old" in table.text(".etoro-notice")
    table.send(3.1)
    assert table.text(".etoro-state") == "live"
    table.at(3600, slept=3596)
    assert table.text(".etoro-state") == "no kernel"
    assert table.text(".etoro-age") == "1 h"


def test_a_clock_that_is_set_back_hides_no_silence(table: Table) -> None:
    """The other one goes on."""
    table.driver.execute_script("clock.wall -= 3_600_000; clock.ticks += 5000; window.tick()")
    assert table.text(".etoro-state") == "no kernel"
    assert "for 5 s" in table.text(".etoro-notice")


def test_messages_that_come_late_are_seen_to_be_late(table: Table) -> None:
    """As over a slow line, or from a server that has kept them while the machine slept."""
    table.at(20)
    for sent in (1, 2, 3):
        table.send(sent)
        assert table.text(".etoro-state") == "late"
    assert "is 16 s late: these prices are old" in table.text(".etoro-notice")
    assert "last message 16 s ago" in table.text(".etoro-about")
    assert table.text(".etoro-age") == "19 s"
    assert table.driver.find_elements("css selector", ".etoro-live.etoro-stale")
    table.send(19.5)
    assert (table.text(".etoro-state"), table.text(".etoro-notice")) == ("live", "")


def test_a_table_that_begins_late_knows_it(table: Table) -> None:
    """From the tables before it in this page: the cell may run again because nothing moved."""
    table.at(20)
    table.driver.execute_async_script(
        PAGE.replace("window.clock = {", "const unused = {"), LIVE.read_text(), SNAPSHOT, 1.0
    )
    table.send(1)
    assert table.text(".etoro-state") == "late"


def test_kernels_whose_clocks_differ_are_not_late(table: Table) -> None:
    """Neither from the beginning, nor beside another kernel, nor since clocks drift a little."""
    table.send(-50, head={**HEAD, "process": "other", "at": HEAD["at"] - 50})
    assert table.text(".etoro-state") == "live"
    for hour in range(1, 30):
        table.at(hour * 3600)
        table.send(hour * 3600 * 0.9999)
        assert table.text(".etoro-state") == "live"


def test_a_row_may_be_old_alone(table: Table) -> None:
    """Grey, while the others are live; its line has a gap."""
    for old in (False, False, True, False, False):
        table.send(0, {"1": {"old": old}}, step=True)
        assert len(table.driver.find_elements("css selector", "tr.etoro-old")) == old
        assert table.text(".etoro-notice") == ""
    script = "return document.querySelector('.etoro-spark path').getAttribute('d')"
    assert re.sub("[^ML]", "", table.driver.execute_script(script)) == "MLML"


def test_what_is_not_the_usual_is_said(table: Table) -> None:
    """A closed market beside the age, and a stream that is not connected above the table."""
    table.send(0, {"1": {"closed": True}})
    assert table.text(".etoro-age") == "market closed, < 1 s"
    table.send(0, head={**HEAD, "state": "connecting"})
    assert table.text(".etoro-state") == "connecting"
    assert table.text(".etoro-notice") == "The stream is not connected."
    table.send(0, head={**HEAD, "state": "failed", "ended": True, "detail": "<b>Keys</b> refused."})
    assert table.text(".etoro-notice") == "<b>Keys</b> refused. These are the last prices."


def test_a_view_that_is_left_does_nothing_more(table: Table) -> None:
    """Its timer is cleared, and it draws no message."""
    table.driver.execute_script("window.leave()")
    table.send(0, {"1": {"bid": "9.99"}})
    assert table.text(".etoro-bid") == "1.50"
    assert table.driver.execute_script("return cleared") == "timer"


def test_a_page_with_saved_state_does_not_look_live(table: Table) -> None:
    """A front end may save it in the notebook; who opens that later sees the static table."""
    saved = table.state
    table.open(saved, origin=2.0)
    table.at(-5)
    assert table.text(".etoro-static-abc") == "static"
    assert table.text(".etoro-live") == ""
    saved["head"] |= {"ended": True, "state": "closed"}
    table.open(saved, origin=3.0)
    table.at(7200)
    assert table.text(".etoro-age") == "2 h"
    assert "These are the last prices." in table.text(".etoro-notice")
    assert "2025" in table.text(".etoro-about")


def test_a_row_whose_beginning_was_missed_waits_for_all_of_it(table: Table) -> None:
    """The others go on, and all is asked for, once."""
    next(table.numbers)
    for bid in ("2.50", "2.51"):
        rows = {"1": {"bid": "1.51"}, "2": {"bid": bid}}
        table.send(0.5, rows, order=["1", "2"])
    assert table.text(".etoro-bid") == "1.51"
    assert "Some updates were missed" in table.text(".etoro-notice")
    assert table.driver.execute_script("return asked") == [{"want": "all"}]
    rows = {one: {**CELLS, "id": one} for one in "12"}
    table.send(0.75, rows, order=["1", "2"], full=True)
    assert table.text("tr:last-child .etoro-bid") == "1.50"
    assert table.text(".etoro-notice") == ""


def test_a_long_name_leaves_room_for_prices(table: Table) -> None:
    """It is cut where it is shown, and whole where the mouse rests on it."""
    table.driver.execute_script(
        "document.head.append(Object.assign(document.createElement('style'), "
        "{ textContent: arguments[0] }))",
        STYLE.read_text(),
    )
    name = "<b>Grayscale</b> " * 20
    table.send(0.5, {"1": {"name": name}})
    script = """
    const [name, id, ask] = ["span", "small", ".etoro-ask"].map((each) => (
      document.querySelector(`tbody tr ${each}`)
    ));
    const right = ask.getBoundingClientRect().right;
    return [name.title, id.textContent, name.offsetWidth < 300, right < 500];
    """
    assert table.driver.execute_script(script) == [name, " 1", True, True]
