"""The programs of the README and of the pages for users run, and its tables are complete."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from benchmarks.quotes import quote
from etoro_sync import EVENTS, ClientState, WsClient, WsClientOptions, WsStats, errors
from etoro_sync.simulator import FAULTS, EToroSimulator

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
_NAMES = (
    "connection.md",
    "doctor.md",
    "fleet.md",
    "instruments.md",
    "prices.md",
    "profit.md",
    "sources.md",
    "store.md",
)
PAGES = [README, *(README.parent / "docs" / name for name in _NAMES)]
PROGRAM = re.compile(r"^```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
#: Each block with code, by the page that it is on and its number there.
BLOCKS = {
    f"{page.name}-{number}": code
    for page in PAGES
    for number, code in enumerate(PROGRAM.findall(page.read_text(encoding="utf-8")))
}
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, flags=re.DOTALL | re.MULTILINE))
#: Lines of output after which a program that has no end of its own is interrupted.
ENOUGH = 3


class Reader:
    """A user who reads a few lines of output and then presses Ctrl-C."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.running = False
        self._lock = threading.Lock()

    def print(self, *values: object) -> None:
        with self._lock:
            self.lines.append(" ".join(map(str, values)))
            enough = len(self.lines) == ENOUGH
        if enough:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.running:  # a program that ended by itself is not to interrupt the tests
            self.running = False
            raise KeyboardInterrupt

    def run(self, code: str, names: dict[str, Any]) -> None:
        program = compile(code, str(README), "exec")
        self.running = True
        try:
            exec(program, {"print": self.print, **names})
        except KeyboardInterrupt:
            assert len(self.lines) >= ENOUGH
        finally:
            self.running = False


@pytest.fixture
def reader() -> Iterator[Reader]:
    new = Reader()
    before = signal.signal(signal.SIGINT, new.on_signal)
    yield new
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[EToroSimulator]:
    monkeypatch.chdir(tmp_path)  # for the files that programs write
    prices = {100000: 66500.0, 1001: 227.5}
    with EToroSimulator(prices, rate=100, mix="full", order_interval=0.1, rest=True) as simulator:
        monkeypatch.setenv("ETORO_API_KEY", "demo")
        monkeypatch.setenv("ETORO_USER_KEY", "demo")
        monkeypatch.setenv("ETORO_WS_URL", simulator.url)
        monkeypatch.setenv("ETORO_REST_URL", simulator.rest_url)
        yield simulator


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals of POSIX")
@pytest.mark.parametrize("code", BLOCKS.values(), ids=BLOCKS)
def test_every_program_of_the_readme_runs(
    code: str,
    reader: Reader,
    feed: EToroSimulator,
    etoro_simulator: EToroSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A block that makes no client of its own is given a connected one; a test is called."""
    monkeypatch.chdir(tmp_path)  # some write files
    name = re.search(r"^def (test_\w+)\(etoro_simulator\):", code, flags=re.MULTILINE)
    if name is not None:
        reader.run(f"{code}\n{name[1]}(etoro_simulator)", {"etoro_simulator": etoro_simulator})
        assert etoro_simulator.connections
        return
    if "WsClient(" in code or "Instruments(" in code:
        reader.run(code, {})
        assert not reader.lines or len(reader.lines) >= ENOUGH
        return
    with WsClient() as client:
        client.subscribe([100000, 1001, "private"], snapshot=True)
        client.wait_for("instrument:rate", timeout=5)
        reader.run(code, {"client": client})


def test_the_blocks_were_found() -> None:
    """A change of the README's layout does not turn these tests off."""
    assert len(BLOCKS) >= 8
    assert {name.partition("-")[0] for name in BLOCKS} == {page.name for page in PAGES}
    assert any("client.stream(" in block for block in BLOCKS.values())
    assert any("run_forever()" in block for block in BLOCKS.values())
    assert any("(etoro_simulator)" in block for block in BLOCKS.values())


@pytest.mark.parametrize("name", [f.name for f in fields(WsClientOptions)])
def test_every_option_is_in_the_table(name: str) -> None:
    """The table of options is complete."""
    assert re.search(rf"^\|[^|]*`{name}`", TEXT, flags=re.MULTILINE)


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_in_the_table(name: str) -> None:
    """The table of events is complete."""
    assert re.search(rf"^\| `{name}` \|", TEXT, flags=re.MULTILINE)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_named(name: str) -> None:
    """The tree of errors is complete."""
    assert name in TEXT


@pytest.mark.parametrize("name", [f.name for f in fields(WsStats)])
def test_every_counter_is_named(name: str) -> None:
    """Whoever writes a monitor has to know what it is called."""
    assert re.search(rf"`{name}`", SECTIONS["Statistics"])


@pytest.mark.parametrize("state", ClientState)
def test_every_state_is_named(state: ClientState) -> None:
    """Whoever asks for the state has to know what may come."""
    assert re.search(rf"`{state.name}`", SECTIONS["Statistics"])


@pytest.mark.parametrize(
    "name", [n for n, m in vars(WsClient).items() if callable(m) and not n.startswith("_")]
)
def test_every_method_is_named(name: str) -> None:
    """What nobody reads of, nobody uses."""
    assert re.search(rf"[`.]{name}\b", TEXT)


def test_every_default_is_the_real_one() -> None:
    """The table of options does not promise another default."""
    table = dict(re.findall(r"^\| `(\w+)` \| ([\d.,]+) \|", TEXT, flags=re.MULTILINE))
    real = {f.name: f.default for f in fields(WsClientOptions)}
    assert len(table) >= 10
    assert {name: float(value.replace(",", "")) for name, value in table.items()} == {
        name: real[name] for name in table
    }


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_figures_of_speed_are_those_of_the_benchmarks(name: str) -> None:
    """`make bench` writes all of them, so one that is rounded or reworded by hand is noticed."""
    text = (README.parent / name).read_text(encoding="utf-8")
    page = (README.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert text == quote(page, text)


def test_a_quoted_figure_follows_the_page() -> None:
    """Wherever it stands, however the lines are broken; what was not measured stays as it is."""
    page = (
        "| throughput against etoropy, `universe`, with `speed` | >= 5 x | 12.5 x | yes |\n"
        "| throughput against etoropy, `full`, with `speed` | >= 3.5 x | 9.3 x | yes |\n"
        "| throughput against etoropy, `full`, without | >= 1.8 x | 4.4 x | yes |\n"
        "| price changes delivered, `universe` | 100 % | 100.0% (etoropy 12.4%) | yes |\n"
    )
    quoted = quote(page, TEXT)
    assert "9.3 to 12.5 times" in quoted
    assert "without it 4.4 to 4.4 times" in quoted
    assert "12 % of the price changes" in quoted
    changes = (README.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "9.3 to 12.5 times" in re.sub(r"\s+", " ", quote(page, changes))
    assert quote("", TEXT) == TEXT


def test_other_figures_are_those_of_the_code() -> None:
    """How long a client tries, and how many faults the simulator has."""
    options = WsClientOptions()
    assert options.reconnect_attempts is not None
    waits = [
        min(options.reconnect_delay * 2**attempt, options.reconnect_max_delay)
        for attempt in range(options.reconnect_attempts)
    ]
    # Each wait is random, from nothing up to its bound.
    assert f"{sum(waits) / 2 // 10 * 10:.0f} s together on average, {sum(waits):.0f} s at" in TEXT
    assert 40 < len(FAULTS) < 50
    assert "go wrong in over forty ways" in TEXT


@pytest.mark.parametrize(
    "page", [README, *sorted(README.parent.glob("docs/*.md"))], ids=lambda page: page.name
)
def test_every_link_leads_somewhere(page: Path) -> None:
    """No link within the repository is dead, neither its file nor the heading in it."""
    links = re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8"))
    assert links
    for link, heading in links:
        target = page.parent / link if link else page
        assert "://" in link or target.exists(), link
        if heading and "://" not in link:
            text = target.read_text(encoding="utf-8")
            found = re.findall(r"^#+ (.*)", text, flags=re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in found]


def test_the_commands_for_development_are_shown() -> None:
    """Whoever reads how to test finds the commands that a change has to pass."""
    assert re.search(r"^make test\b", TEXT, flags=re.MULTILINE)
    assert re.search(r"^make check\b", TEXT, flags=re.MULTILINE)
    assert re.search(r"^make demo\b", TEXT, flags=re.MULTILINE)
