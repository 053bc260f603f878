"""Each example runs wherever it is copied to, ends cleanly, and is short enough to be read."""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.timing import MS

pytestmark = pytest.mark.heavy

FOLDER = Path(__file__).parents[1] / "examples"
#: What each prints sooner or later.
OUTPUT = {
    "all_instruments.py": ["connection 1: 4999 topics", "connection 2: 202 topics", " prices, "],
    "candles.py": [" 1s 2", " open ", " ticks"],
    "callbacks.py": ["instrument 100000: bid ", "order "],
    "one_loop.py": ["the first price: ", "\norder 98", "1001: mid 22"],
    "order_result.py": ["order 98", "-> FILLED, ", "-> Order 98", "is REJECTED (code 720)"],
    "order_store.py": ["0 events are left", "event 1: order 98"],
    "dashboard.py": ["prices at http://127.0.0.1:"],
    "profit.py": ["Bitcoin    long ", "3 of 3 positions: "],
    "price_alert.py": [": ", " is "],
    "queue_loop.py": ["instrument 1001: mid ", "0 replaced by newer ones"],
    "consumers.py": ["worker ", "books: order ", "all threads have ended"],
    "examine_first.py": ["keys: both are set", "traffic: in 0.2 s: ", "100000: bid 66"],
    "embedding.py": ["live; ", "1001: ", "stopped"],
    "porting_from_etoropy.py": ["100000 66"],
    "symbols.py": ["BTC is Bitcoin, id 100000", "candidates: ['BTC", "Apple: bid "],
    "service.py": ["metrics at http://127.0.0.1:", "order ", "live: {100000: "],
    "plot_prices.py": ["recording prices for 1 s"],
    "publish.py": ["active: ", " rates, "],
    "redis_prices.py": ["100000: bid 66", "1001: bid "],
    "redis_orders.py": ["-0 order 98", " FILLED, "],
    "record_and_replay.py": ["recorded ", " messages"],
    "play_frames.py": ["recorded 20 frames", "instrument 1001: mid "],
}
#: Those that need a program besides Python: where it is missing, they are skipped.
NEEDS = {
    "publish.py": "redis-server",
    "redis_orders.py": "redis-server",
    "redis_prices.py": "redis-server",
}
#: What those say in one line that need no keys, but something else.
MISSING = dict.fromkeys(["redis_prices.py", "dashboard.py"], "unix:///nowhere cannot be reached")
RUNNABLE = [name for name in OUTPUT if name not in NEEDS or shutil.which(NEEDS[name])]
#: Of those that print before they connect, what comes later.
BEGUN = {"symbols.py": ": bid ", "service.py": "order ", "examine_first.py": ": bid "}
#: Those that end by themselves.
FINITE = {"plot_prices.py", "record_and_replay.py"}
#: More at once would wait for each other instead of for their seconds.
AT_ONCE = 6
#: Seconds that one may take to end.
PROMPT = 2000 * MS
#: Files are kept here, if it is there: on a disk that others keep busy, the end of an example that
#: stores orders takes as long as the disk.
MEMORY = "/dev/shm"
POSIX = pytest.mark.skipif(os.name != "posix", reason="sends signals")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a copy of an example, alone in a folder, without the user's keys.

    One that a failed test leaves behind is killed.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ETORO_")}
    environment["ETORO_REDIS_URL"] = "unix:///nowhere"
    with contextlib.ExitStack() as stack:

        def run(name: str, *arguments: str) -> subprocess.Popen[str]:
            place = MEMORY if os.access(MEMORY, os.W_OK) else tmp_path
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place)))
            for page in FOLDER.glob(f"{Path(name).stem}.html"):
                shutil.copy(page, folder)
            process = subprocess.Popen(
                [sys.executable, "-W", "error", shutil.copy(FOLDER / name, folder), *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            for stream in (process.stdout, process.stderr):
                assert stream is not None
                stack.callback(stream.close)
            return process

        yield run


def test_every_example_is_tested() -> None:
    """A new example has to name what it prints."""
    assert {path.name for path in FOLDER.glob("*.py")} == set(OUTPUT)


@pytest.mark.parametrize("first", range(0, len(RUNNABLE), AT_ONCE))
def test_the_examples_run_without_credentials(first: int, start: Any) -> None:
    """With --demo --seconds 4 each shows something and ends with 0; several run at once."""
    group = RUNNABLE[first : first + AT_ONCE]
    # One that ends by itself has the time that this takes.
    seconds = {name: "20" if name in FINITE else "4" for name in group}
    processes = {name: start(name, "--demo", "--seconds", seconds[name]) for name in group}
    for name, process in processes.items():
        out, err = process.communicate(timeout=25)
        assert (name, process.returncode, err) == (name, 0, "")
        for words in OUTPUT[name]:
            assert words in out, name


@POSIX
@pytest.mark.parametrize("name", OUTPUT)
def test_ctrl_c_ends_an_example(name: str, start: Any) -> None:
    """Ctrl-C ends with 130, in time, without a traceback."""
    if name not in RUNNABLE:
        pytest.skip(f"{NEEDS[name]} is not installed")
    process = start(name, "--demo")
    line = process.stdout.readline()
    # These print before they connect, and a warning of Python's own, which are errors here, may
    # come of a socket that Ctrl-C has left unmade.
    while BEGUN.get(name, "") not in line:
        line = process.stdout.readline()
        assert line
    assert line
    process.send_signal(signal.SIGINT)
    assert process.wait(PROMPT) == 130
    assert process.stderr.read() == ""


@POSIX
def test_a_closed_pipe_ends_an_example(start: Any) -> None:
    """A reader such as head goes when it has enough."""
    process = start("callbacks.py", "--demo")
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(5) == 0
    assert process.stderr.read() == ""


def test_missing_keys_are_one_line(start: Any) -> None:
    """Without --demo and without keys an example says which variable to set."""
    for name, process in [(name, start(name)) for name in OUTPUT]:
        _, err = process.communicate(timeout=15)
        assert process.returncode == (2 if name == "service.py" else 1)
        assert MISSING.get(name, "ETORO_API_KEY") in err.splitlines()[-1]


def test_a_dashboard_without_its_page_says_so(tmp_path: Path) -> None:
    """Whoever copies the program alone gets a line, and not an empty page in the browser."""
    command = [sys.executable, shutil.copy(FOLDER / "dashboard.py", tmp_path), "--demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "dashboard.html is missing: copy it into the same folder, too.\n"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    """What is to be copied is to be read first."""
    assert len(path.read_text(encoding="utf-8").splitlines()) < 80


def test_the_notebook_runs_and_may_run_its_connect_cell_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second client works, and the first one has left no thread behind."""
    import nbclient
    import nbformat

    for name in [name for name in os.environ if name.startswith("ETORO_")]:
        monkeypatch.delenv(name)
    notebook = nbformat.read(FOLDER / "notebook.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    connect = next(number for number, cell in enumerate(cells) if "client.connect()" in cell.source)
    again = copy.deepcopy(cells[connect])
    again["id"] = "again"
    count = nbformat.v4.new_code_cell(
        "import threading, time\n"
        "def readers():\n"
        "    return [t for t in threading.enumerate() if t.name.startswith('etoro-sync-reader')]\n"
        "deadline = time.monotonic() + 5\n"
        "while len(readers()) > 1 and time.monotonic() < deadline:\n"
        "    readers()[0].join(0.1)\n"
        "print(len(readers()), 'reader')",
        id="count",
    )
    (handler,) = (cell for cell in cells if "@client.on" in cell.source)
    once_more = copy.deepcopy(handler)
    once_more["id"] = "once-more"
    notebook.cells = [*cells[: connect + 1], again, count, *cells[connect + 1 :]]
    notebook.cells.insert(notebook.cells.index(handler) + 1, once_more)
    nbclient.NotebookClient(notebook, timeout=20, kernel_name="python3").execute()
    outputs = {cell["id"]: str(cell.outputs) for cell in notebook.cells}
    assert "1 reader" in outputs["count"]
    assert "<WsClient live" in outputs["again"]
    text = " ".join(outputs.values())
    assert "100000: (" in text
    assert "of instrument" in text
    assert "live: " in text
    assert "is registered" not in text  # which is logged of a handler that is there twice
    assert "<WsClient closed" in text
    assert "Bitcoin (100000)" in outputs["cell-table"]
    assert "<strong>rates</strong>" in outputs["cell-rates"]


def test_the_notebook_is_stored_without_output() -> None:
    """Nobody's prices, and nobody's keys, are in the repository."""
    import nbformat

    notebook = nbformat.read(FOLDER / "notebook.ipynb", as_version=4)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
