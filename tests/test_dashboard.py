"""The page of live prices, without a browser and in a headless Chromium."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import ClientState
from etoro_sync.stream.core import core_of
from tests.notebook.browser import chromium, open_browser, wait_until
from tests.support.live_stream import LiveStream, rate
from tests.support.threads import Watchdog

EXAMPLE = Path(__file__).parents[1] / "examples" / "dashboard.py"
OLD = "these prices are old"


def dashboard() -> Any:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("dashboard", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def stream() -> Iterator[LiveStream]:
    with Watchdog(25):
        live = LiveStream()
        live.connect()
        yield live
        live.disconnect()


@contextlib.contextmanager
def serving(module: Any, stream: LiveStream, port: int = 0) -> Iterator[Any]:
    with module.make_server(stream, port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(stream: LiveStream) -> Iterator[Any]:
    """A server of the stream; threads of its browsers end when the stream does."""
    with serving(dashboard(), stream) as running:
        yield running
        stream.disconnect()


def get(server: Any, path: str, **headers: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


def read_event(answer: Any) -> tuple[str, dict[int, float]]:
    """The next message: the state, and the bid of each instrument."""
    line = answer.readline()
    while not line.startswith(b"data: "):
        assert line
        line = answer.readline()
    state, prices = json.loads(line[6:])
    return state, {price[0]: price[1] for price in prices}


def test_a_browser_gets_what_is_known_and_then_what_comes(stream: LiveStream, server: Any) -> None:
    """With the state of the stream, which also says when prices are old."""
    stream.bring(rate(18, 1.0), rate(19, 2.0))
    stream.settle()
    with get(server, "/prices") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert read_event(answer) == ("live", {18: 1.0, 19: 2.0})
        stream.bring(rate(18, 3.0))
        assert read_event(answer) == ("live", {18: 3.0})


def test_only_this_machine_may_look(server: Any) -> None:
    """A page of another site, whose name leads here, reads nothing."""
    assert server.server_address[0] == "127.0.0.1"
    port = server.server_port
    assert get(server, "/", Host=f"evil.example:{port}").status == 403
    assert get(server, "/prices", Host="evil.example").status == 403
    assert get(server, "/", Host=f"localhost:{port}").status == 200
    assert get(server, "/etc").status == 404


def test_a_slow_browser_harms_nobody(stream: LiveStream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queue is bounded, others get all, and after a while it has to come again."""
    module = dashboard()
    handler = module._Handler
    monkeypatch.setattr(handler, "timeout", 0.5)

    def with_small_buffers(self: Any) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        super(handler, self).setup()

    monkeypatch.setattr(handler, "setup", with_small_buffers)
    queues = core_of(stream).registry.queues
    with serving(module, stream) as server, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", server.server_port))
        host = f"Host: 127.0.0.1:{server.server_port}"
        slow.sendall(f"GET /prices HTTP/1.1\r\n{host}\r\n\r\n".encode())
        while len(queues()) < 1:
            pass
        bid, sizes = 0.0, []
        with get(server, "/prices") as answer:
            while len(queues()) < 2:
                pass
            while len(queues()) == 2:  # until the slow one is given up
                bid += 1.0
                stream.bring(*(rate(n, bid) for n in range(1, 2001)))
                for items in queues():
                    with items._monitor.lock:  # not in the middle of a change
                        sizes.append(items.qsize())
                while read_event(answer)[1].get(2000) != bid:
                    pass
        assert max(sizes) <= 1000
        stream.disconnect()


needs_browser = pytest.mark.skipif(
    chromium() is None
    or shutil.which("chromedriver") is None
    or importlib.util.find_spec("selenium") is None,
    reason="needs chromium, chromedriver (apt-get install chromium-driver) and selenium",
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def cells(driver: Any) -> list[list[str]]:
    """The texts of all rows."""
    script = (
        "return [...document.querySelectorAll('tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )
    found: list[list[str]] = driver.execute_script(script)
    return found


def state(driver: Any) -> str:
    return str(driver.execute_script("return document.querySelector('#state').textContent"))


def is_old(driver: Any) -> bool:
    return bool(driver.execute_script("return document.body.className === 'old'"))


@needs_browser
@pytest.mark.browser
@pytest.mark.timeout(120)
def test_a_real_browser_shows_prices(driver: Any, stream: LiveStream, tmp_path: Path) -> None:
    """They change in place; what is no price stays text; old prices look old, and new ones new."""
    module = dashboard()
    odd = "<img src=x onerror=document.title='owned'><b id=owned>"
    with serving(module, stream) as server:
        port = server.server_port
        stream.bring(rate(18, 1.5), rate(100000, 66500.25, date="2026-01-02T15:00:00Z"))
        driver.get(f"http://127.0.0.1:{port}/")
        wait_until(lambda: len(cells(driver)) == 2)
        assert cells(driver)[1] == ["100000", "66500.25", "66501.25", "1", "2026-01-02T15:00:00Z"]
        assert (state(driver), is_old(driver)) == ("live", False)
        stream.bring(rate(100000, 66600.5))
        wait_until(lambda: cells(driver)[1][1] == "66600.5")
        stream.bring(rate(18, 2.5, date=odd))
        wait_until(lambda: cells(driver)[0][4] == odd)
        assert driver.title == "Prices"
        assert driver.execute_script("return document.querySelector('#owned')") is None
        driver.save_screenshot(str(tmp_path / "live.png"))
        stream.lost()
        wait_until(lambda: is_old(driver))
        assert state(driver) == ClientState.RECONNECTING.value
        stream.live()
        wait_until(lambda: not is_old(driver))
        stream.bring(*(rate(n, 1.0) for n in range(1, 1001)))
        wait_until(lambda: len(cells(driver)) == 500)
        errors = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
        assert errors == []
        stream.disconnect()
        wait_until(lambda: OLD in state(driver) and is_old(driver))
    driver.get("about:blank")
