"""What pip installs: a description that stands alone, and a package that type checkers find."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What setup.py hands to setuptools, which need not be installed."""
    given: dict[str, Any] = {}
    monkeypatch.setitem(sys.modules, "setuptools", SimpleNamespace(setup=given.update))
    runpy.run_path(str(ROOT / "setup.py"))
    return given


def test_the_description_needs_no_file_beside_it(arguments: dict[str, Any]) -> None:
    """A package index shows it without the repository, where a relative link would be dead."""
    text = arguments["long_description"]
    assert arguments["long_description_content_type"] == "text/markdown"
    assert re.findall(r"\]\((?!https?://)[^)]*\)", README)  # there is something to replace
    assert re.findall(r"\]\((?!https?://)[^)]*\)", text) == []
    assert re.findall(r"<img|<a |^\[[^]]+\]:", text, flags=re.MULTILINE) == []
    assert "![" not in text


def test_the_description_is_the_readme_with_the_links_as_words(arguments: dict[str, Any]) -> None:
    """Nothing else is lost: a link keeps its text, and names its file unless the text does."""
    text = arguments["long_description"]
    assert "](https://" in text
    assert "see Rotating keys" in text
    assert "benchmarks (docs/benchmarks.md)" in text
    assert "the licence is MIT (LICENSE)" in re.sub(r"\s+", " ", text)
    assert "docs/simulator.md (docs/simulator.md)" not in text
    headings = re.findall(r"^#+ .*", README, flags=re.MULTILINE)
    assert re.findall(r"^#+ .*", text, flags=re.MULTILINE) == headings
    blocks = r"^```.*?^```"
    found = re.findall(blocks, text, flags=re.DOTALL | re.MULTILINE)
    assert found == re.findall(blocks, README, flags=re.DOTALL | re.MULTILINE)


def test_what_the_readme_links_to_is_in_the_source_distribution() -> None:
    """Whoever unpacks it can follow every link."""
    always = {"README.md", "LICENSE"}  # setuptools takes them along by itself
    patterns = list(always)
    for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines():
        command, *words = line.split()
        if command == "include":
            patterns += words
        elif command == "recursive-include":
            patterns += [f"{words[0]}/{pattern}" for pattern in words[1:]]
    links = {link.partition("#")[0] for link in re.findall(r"\]\((?!https?://)([^)]+)\)", README)}
    for link in links - {""}:
        files = [ROOT / link] if (ROOT / link).is_file() else list((ROOT / link).glob("*.*"))
        assert files
        for file in files:
            name = file.relative_to(ROOT).as_posix()
            assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name


def test_an_editable_install_names_the_folder() -> None:
    """The path stands in a .pth file, which type checkers read; they run no import hook."""
    paths = []
    for distribution in importlib.metadata.distributions(name="etoro-sync"):
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        if origin.get("dir_info", {}).get("editable"):
            paths += [str(f.read_text()) for f in distribution.files or () if f.suffix == ".pth"]
    if not paths:
        pytest.skip("the library is not installed as editable")
    assert [Path(path.strip()).resolve() for path in paths] == [ROOT.resolve()]


@pytest.mark.heavy
@pytest.mark.timeout(120)  # it reads the whole library, without a cache
def test_mypy_finds_the_types_of_the_library_from_elsewhere(tmp_path: Path) -> None:
    """A user's program in any folder is checked against the real types."""
    pytest.importorskip("mypy")
    (tmp_path / "program.py").write_text(
        "from etoro_sync import WsClient\n"
        "with WsClient() as client:\n"
        "    for instrument_id, rate in client.stream([1]):\n"
        "        reveal_type(rate.bid)\n"
        "        rate.bit\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'Revealed type is "float"' in done.stdout
    assert '"WsInstrumentRate" has no attribute "bit"' in done.stdout
    assert "Found 1 error" in done.stdout
