"""A JupyterLab server, and a headless Chromium that works with its notebooks."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tests.support.timing import MS

__all__ = ["Page", "chromium", "jupyter", "missing", "open_browser"]

T = TypeVar("T")
#: How a notebook is opened, by front end.
FRONT_ENDS = {"lab": "lab/tree/{}", "notebook": "notebooks/{}"}

#: Nothing is asked of the network, and cells out of sight are in the page, too.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


def chromium() -> str | None:
    """Where the browser is."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def missing() -> str:
    """What these tests lack here; empty: nothing."""
    if chromium() is None or shutil.which("chromedriver") is None:
        return "needs the system's chromium and chromedriver (apt-get install chromium-driver)"
    for module in ("anywidget", "jupyterlab", "notebook", "selenium"):
        try:
            __import__(module)
        except ImportError:
            return f'needs {module}: pip install -e ".[browser]"'
    return ""


class Server:
    """A running Jupyter server.

    :ivar folder: of its notebooks.
    """

    def __init__(self, url: str, token: str, folder: Path) -> None:
        self._url = url
        self._token = token
        self.folder = folder

    def address(self, front_end: str, name: str) -> str:
        """Where a front end shows a notebook."""
        return f"{self._url}/{FRONT_ENDS[front_end].format(name)}?reset&token={self._token}"

    def ask(self, path: str, method: str = "GET") -> Any:
        """What its REST API answers."""
        request = urllib.request.Request(  # its own address
            f"{self._url}/api/{path}",
            method=method,
            headers={"Authorization": f"token {self._token}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def stop_kernels(self) -> None:
        """End all kernels, and forget which notebook had which."""
        for session in self.ask("sessions"):
            self.ask(f"sessions/{session['id']}", "DELETE")

    def write(self, name: str, *cells: str) -> None:
        """Store a notebook with these cells of code."""
        import nbformat

        made = [nbformat.v4.new_code_cell(text, id=f"cell{n}") for n, text in enumerate(cells)]
        spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=spec), self.folder / name)


@contextlib.contextmanager
def jupyter(folder: Path) -> Iterator[Server]:
    """Run a server of both front ends on a free port, apart from the user's settings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    home, notebooks, settings = folder / "home", folder / "notebooks", folder / "settings"
    for each in (home, notebooks):
        each.mkdir()
    for name, chosen in SETTINGS.items():
        path = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(chosen))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETORO_", "JUPYTER"))}
    environment |= {"HOME": str(home), "JUPYTERLAB_SETTINGS_DIR": str(settings)}
    environment["IPYTHONDIR"] = str(home / "ipython")
    arguments = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.open_browser": False,
        "ServerApp.root_dir": notebooks,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": token,
        "LabApp.extension_manager": "readonly",
        "LabApp.expose_app_in_browser": True,
        "JupyterNotebookApp.expose_app_in_browser": True,
        # Type checkers in the environment would open dialogs.
        "LanguageServerManager.autodetect": False,
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in arguments.items())],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=folder,
        )
    server = Server(f"http://127.0.0.1:{port}", token, notebooks)
    try:
        wait_until(lambda: _answers(server, process), 30_000 * MS)
        yield server
    finally:
        with contextlib.suppress(OSError):
            server.stop_kernels()
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(server: Server, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the server has ended; see its log"
    try:
        server.ask("status")
    except OSError:
        return False
    return True


def wait_until(probe: Callable[[], T], timeout: float = 10_000 * MS) -> T:
    """Ask until the answer is true; return it. A browser tells nobody when it is done."""
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"never true: {probe}"
        time.sleep(0.05)


@contextlib.contextmanager
def open_browser(folder: Path) -> Iterator[Any]:
    """A headless browser that talks to nobody but the server."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium() or ""
    for each in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--window-size=1100,760",
        f"--user-data-dir={folder / 'profile'}",
    ):
        options.add_argument(each)
    service = Service(executable_path=shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """A notebook that is open in the browser."""

    def __init__(self, driver: Any, server: Server, front_end: str, name: str) -> None:
        self.driver = driver
        self._server = server
        self._front_end = front_end
        self._name = name
        self.load()

    def load(self) -> None:
        """Open the notebook, or open it anew, and wait for its kernel."""
        self.driver.get(self._server.address(self._front_end, self._name))
        wait_until(lambda: self.all(".jp-CodeCell .jp-InputPrompt"), 30_000 * MS)
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until the kernel waits for cells."""
        script = "return window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
        wait_until(lambda: self.driver.execute_script(f"{script}?.status === 'idle'"), 30_000 * MS)

    @property
    def path(self) -> Path:
        """The notebook's file."""
        return self._server.folder / self._name

    def all(self, selector: str) -> list[Any]:
        """The elements of a CSS selector."""
        return list(self.driver.find_elements("css selector", selector))

    def texts(self, selector: str) -> list[str]:
        """Their visible texts, read in one step."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)"
        return [str(text) for text in self.driver.execute_script(script, selector)]

    def attributes(self, selector: str, name: str) -> list[str]:
        """An attribute of the elements of a selector; "" where it is missing."""
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".map(e => e.getAttribute(arguments[1]) ?? '')"
        )
        return list(self.driver.execute_script(script, selector, name))

    def prompts(self) -> list[str]:
        """The numbers beside the cells of code."""
        return self.texts(".jp-CodeCell .jp-InputPrompt")

    def busy(self, seconds: float) -> float:
        """The share of the next seconds in which the page's own thread works, in its own time."""
        self.driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})

        def worked() -> float:
            metrics = self.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            return float({each["name"]: each["value"] for each in metrics}["TaskDuration"])

        before, begin = worked(), time.monotonic()
        wait_until(lambda: time.monotonic() - begin >= seconds)
        return (worked() - before) / (time.monotonic() - begin)

    def run(self, number: int) -> None:
        """Run a cell, by the command that the keys would call, and return at once."""
        self._do(
            """
            await panel.sessionContext.ready;
            panel.content.activeCellIndex = argument;
            app.commands.execute("notebook:run-cell");
            """,
            number,
        )

    def _do(self, script: str, argument: object = None) -> None:
        """Run JavaScript in the page, with its application and the notebook's panel."""
        error = self.driver.execute_async_script(
            f"""
            const [argument, done] = arguments;
            const app = window.jupyterapp;
            const panel = app.shell.currentWidget;
            (async () => {{ {script} }})().then(() => done(null), (error) => done(String(error)));
            """,
            argument,
        )
        assert error is None, error

    def output(self, number: int) -> str:
        """The text below a cell."""
        script = (
            "return document.querySelectorAll('.jp-CodeCell')[arguments[0]]"
            ".querySelector('.jp-Cell-outputArea')?.innerText ?? ''"
        )
        return str(self.driver.execute_script(script, number))

    def save(self) -> None:
        """Save the notebook."""
        self.command("docmanager:save")

    def command(self, name: str) -> None:
        """Run a command of the front end, and wait for its end."""
        self._do("await app.commands.execute(argument);", name)

    @property
    def bids(self) -> list[str]:
        """The bids of the live table."""
        return self.texts(".etoro-live:not([hidden]) td.etoro-bid")
