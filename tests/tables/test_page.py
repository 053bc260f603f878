"""The page on recordings: its programs run, and its tables are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from etoro_sync import Recording
from etoro_sync.columns import TABLES
from etoro_sync.recording.details import BOOK_KINDS
from etoro_sync.recording.lines import Line
from etoro_sync.recording.segments import lines_of
from etoro_sync.simulator import EToroSimulator
from tests.support.timing import MS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "recording.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
#: The first column of all tables.
NAMES = set(re.findall(r"`([a-z_-]+)`", " ".join(re.findall(r"^\| ([^|]*)\|", PAGE, re.MULTILINE))))


def test_the_programs_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other: the first records what the others read."""
    pytest.importorskip("pandas", reason="pandas is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    monkeypatch.chdir(tmp_path)
    assert len(PROGRAMS) == 3
    printed: list[str] = []
    names = {"print": lambda *words: printed.append(" ".join(map(str, words)))}
    with EToroSimulator(rate=100, order_interval=0.1) as simulator:
        monkeypatch.setenv("ETORO_API_KEY", "demo")
        monkeypatch.setenv("ETORO_USER_KEY", "demo")
        monkeypatch.setenv("ETORO_WS_URL", simulator.url)
        for program in PROGRAMS:
            exec(program.replace("timeout=3600", f"timeout={800 * MS}"), names)
    assert printed[0].startswith("RecorderStats(received=")
    assert len(printed) > 10
    assert (tmp_path / "prices.parquet").is_file()
    kinds = {line.kind for path in Path("recordings").glob("*.zst") for line in lines_of(path)}
    assert kinds <= NAMES
    assert {"header", "text", "keyframe", "end"} <= kinds


def test_every_field_kind_and_table_is_on_the_page() -> None:
    """What is not there nobody finds."""
    assert set(Line._fields) | BOOK_KINDS | {"hole", "rate", "event"} <= NAMES
    for name in [*TABLES, *(n for n in vars(Recording) if not n.startswith("_"))]:
        assert re.search(rf"[`.]{name}\b", PAGE), name


def test_every_link_leads_to_a_file() -> None:
    """Pages are renamed."""
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGE)]
    assert len(links) >= 3
    assert [link for link in links if not (DOCS / link).is_file()] == []
