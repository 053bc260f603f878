"""The live table in real front ends, JupyterLab and Notebook 7, driven in a headless Chromium."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.notebook import browser
from tests.notebook.browser import FRONT_ENDS, Page, wait_until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(browser.missing()), reason=browser.missing()),
]

CONNECT = """
import os, threading
from etoro_sync import WsClient
from etoro_sync.simulator import EToroSimulator

simulator = EToroSimulator({100000: 66500.0, 1001: 227.5}, rate=40, nul_interval=0).start()
client = WsClient(api_key="demo", user_key="demo", ws_url=simulator.url)
client.connect()
print("process", os.getpid())
"""
LIVE = "client.live([100000, 1001], names={100000: 'Bitcoin'})"
THREADS = "print(sorted(t.name for t in threading.enumerate() if 'etoro-sync' in t.name))"
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One server of both front ends, for all tests."""
    with browser.jupyter(tmp_path_factory.mktemp("jupyter")) as started:
        yield started


@pytest.fixture(params=sorted(FRONT_ENDS))
def notebook(request: pytest.FixtureRequest, server: Any, driver: Any) -> Iterator[Open]:
    """Open notebooks of a connected client, whose kernels end with the test."""

    def start(*cells: str) -> Page:
        name = f"{request.node.name.partition('[')[0]}-{request.param}.ipynb"
        server.write(name, CONNECT, LIVE, *cells)
        page = Page(driver, server, request.param, name)
        page.run(0)
        wait_until(lambda: "process" in page.output(0))
        return page

    yield start
    driver.get("about:blank")
    server.stop_kernels()


def shown(page: Page) -> list[str]:
    """Run the cell of the table; return its bids as soon as they are there."""
    page.run(1)
    return wait_until(lambda: len(page.bids) == 2 and all(page.bids) and page.bids)


def test_prices_change_while_no_cell_runs(notebook: Open) -> None:
    """The cell returns at once, and its table goes on; the static one is hidden."""
    page = notebook()
    before = shown(page)
    page.wait_for_kernel()
    wait_until(lambda: page.bids != before)
    (head,) = page.texts(".etoro-head")
    assert re.search(r"live.*last message < 1 s ago · \d+ messages/s", head.replace("\n", " "))
    assert "Bitcoin 100000" in page.output(1)
    assert "Prices at" not in page.output(1)
    assert page.texts(".etoro-notice") == [""]
    wait_until(lambda: page.attributes(".etoro-spark path", "d")[0].count("L") > 1)


def test_a_busy_kernel_goes_on_updating(notebook: Open) -> None:
    """Messages leave from a thread, so that a cell that works or sleeps does not stop them."""
    page = notebook("import time\nprint('begun')\ntime.sleep(3)\nprint('done')")
    shown(page)
    page.run(2)
    wait_until(lambda: "begun" in page.output(2))
    before = page.bids
    wait_until(lambda: page.bids != before, 2.5)
    assert "done" not in page.output(2)


def test_a_page_that_is_loaded_again_shows_the_table_again(notebook: Open) -> None:
    """The kernel has all of it, the history too; nothing has to run again."""
    page = notebook("print('nothing')")
    shown(page)
    wait_until(lambda: page.attributes(".etoro-spark path", "d")[0].count("L") > 1)
    page.save()
    page.load()
    before = wait_until(lambda: len(page.bids) == 2 and page.bids, 15)
    wait_until(lambda: page.bids != before)
    assert page.attributes(".etoro-spark path", "d")[0].count("L") > 1
    wait_until(lambda: page.texts(".etoro-notice") == [""])


def test_promise_13_a_cell_that_runs_twice_leaves_one_view_and_no_new_thread(
    notebook: Open,
) -> None:
    """Neither do further runs; nor does the widget of the earlier run stay in the kernel."""
    page = notebook(THREADS, "import ipywidgets\nprint(len(ipywidgets.Widget.widgets), 'models')")
    shown(page)
    page.run(2)
    names = wait_until(lambda: page.output(2))
    assert names.count("etoro-sync-live") == 1
    page.run(3)
    models = wait_until(lambda: page.output(3))
    for _ in range(2):
        shown(page)
    page.run(2)
    page.run(3)
    wait_until(lambda: page.prompts()[3] == "[8]:")
    assert page.output(2) == names
    assert page.output(3) == models
    assert len(page.all(".etoro-live")) == 1
    assert page.output(1).count("Bitcoin") == 1


def test_a_closed_client_is_shown_as_closed(notebook: Open) -> None:
    """With the last prices, which are marked as such; and no thread is left."""
    page = notebook("client.disconnect()", THREADS)
    shown(page)
    page.run(2)
    wait_until(lambda: page.texts(".etoro-state") == ["closed"])
    assert page.texts(".etoro-notice") == ["These are the last prices."]
    assert len(page.bids) == 2
    page.run(3)
    wait_until(lambda: "[]" in page.output(3))


def test_a_dead_kernel_is_noticed(notebook: Open) -> None:
    """The page itself sees that nothing comes any more; prices that stand still never look live."""
    page = notebook()
    shown(page)
    os.kill(int(page.output(0).split()[1]), signal.SIGKILL)
    wait_until(lambda: "Nothing has come from the kernel" in page.texts(".etoro-notice")[0])
    assert page.texts(".etoro-state") == ["no kernel"]
    assert page.all(".etoro-live.etoro-stale")


def test_a_lost_connection_is_shown(notebook: Open) -> None:
    """Until the client is back, and then the prices are new."""
    page = notebook("simulator.stop()")
    shown(page)
    page.run(2)
    wait_until(lambda: page.texts(".etoro-state") == ["reconnecting"])
    assert page.texts(".etoro-notice") == ["The connection is lost: these prices are old."]


def test_a_saved_notebook_shows_a_static_table(notebook: Open, server: Any) -> None:
    """Converted to HTML, and opened again without its kernel, where widgets show an error."""
    from nbconvert import HTMLExporter

    page = notebook()
    shown(page)
    wait_until(lambda: "66" in page.texts("[class^=etoro-static]")[0])
    page.save()
    html, _ = HTMLExporter().from_filename(str(page.path))
    assert "Prices at" in html
    assert re.search(r"<td[^>]*>Bitcoin \(100000\)</td><td[^>]*>66[0-9]{3}\.\d\d</td>", html)
    assert "widget-view+json" not in html.partition("<body")[2]
    server.stop_kernels()
    page.load()
    wait_until(lambda: "Bitcoin (100000)" in page.output(1))
    assert "Prices at" in page.output(1)
    wait_until(lambda: re.search("loading|error", page.output(1), re.IGNORECASE) is None)
    assert page.bids == []


def test_names_are_text(notebook: Open) -> None:
    """They come from the network: no element is made of them, here or in the static table."""
    page = notebook("client.live([1001], names={1001: '<b id=owned>name</b>'})")
    page.run(2)
    wait_until(lambda: any("<b id=owned>" in text for text in page.texts("td.etoro-instrument")))
    assert page.all("#owned") == []
    assert any("<b id=owned>" in text for text in page.texts("[class^=etoro-static]"))


def test_a_page_that_hears_nothing_shows_the_static_table(notebook: Open) -> None:
    """The kernel knows the table, but sends nothing: its state may be of any time."""
    page = notebook("from etoro_sync.notebook import updates\nupdates.updater()._views = ()")
    shown(page)
    wait_until(lambda: "66" in page.texts("[class^=etoro-static]")[0])
    page.run(2)
    wait_until(lambda: page.texts(".etoro-state") == ["no kernel"])
    page.save()
    page.load()
    wait_until(lambda: page.all(".etoro-live[hidden]"))
    assert "Prices at" in page.output(1)
    assert page.bids == []


def test_many_rows_leave_the_page_usable(notebook: Open) -> None:
    """500 instruments whose prices all change cost the page a fraction of its time."""
    page = notebook(
        "many = EToroSimulator({n: 100.0 + n for n in range(1, 601)}, rate=4000).start()\n"
        "other = WsClient(api_key='demo', user_key='demo', ws_url=many.url)\n"
        "other.connect()\n"
        "other.subscribe(list(range(1, 601)), snapshot=True)",
        "other.live(max_rows=500)",
    )
    page.run(2)
    page.run(3)
    wait_until(lambda: len(page.bids) == 500, 20)
    wait_until(lambda: page.texts(".etoro-note")[0].startswith("100 more"))
    print(page.busy(3.0))
    assert page.busy(3.0) < 0.5
