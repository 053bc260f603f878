"""docs/inside.md describes the code that there is."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "inside.md").read_text(encoding="utf-8")


def test_the_picture_of_the_rooms_is_drawn_from_the_imports_of_today() -> None:
    """A change of imports is drawn anew: python docs/draw_rooms.py."""
    drawing = runpy.run_path(str(ROOT / "docs" / "draw_rooms.py"))
    picture = ROOT / "docs" / "rooms.svg"
    assert picture.read_text(encoding="utf-8") == drawing["draw"]()
    assert ("market", "delivery") in drawing["arrows"]()


def test_every_link_leads_to_a_file() -> None:
    """Modules are renamed and split; the page follows."""
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert len(links) > 15
    assert [link for link in links if not (ROOT / "docs" / link).is_file()] == []


def test_every_module_and_name_of_the_drawing_exists() -> None:
    """The drawing names where each step is."""
    drawing = PAGE.split("```")[1]
    modules = re.findall(r"\b[a-z_]+\.py\b", drawing)
    assert len(modules) > 8
    # The simulator has modules of the same names.
    paths = [p for p in (ROOT / "etoro_sync").rglob("*.py") if "simulator" not in p.parts]
    assert set(modules) <= {path.name for path in paths}
    sources = [path.read_text(encoding="utf-8") for path in paths]
    steps = re.findall(r"^ ([A-Z]\w+) -", drawing, re.MULTILINE)
    assert len(steps) == 7
    assert [s for s in steps if not any(f"class {s}:" in text for text in sources)] == []


def test_classes_that_are_linked_are_in_the_file_that_is_linked() -> None:
    """A class is found where the page says."""
    found = re.findall(r"\[`([A-Z]\w+)`\]\(([^)]+)\)", PAGE)
    assert len(found) > 6
    for name, link in found:
        text = (ROOT / "docs" / link).read_text()
        assert re.search(rf"^class {name}[:(]", text, re.MULTILINE), name
