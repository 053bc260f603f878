"""The blocks of code of docs/simulator.md, which tests run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["BLOCKS", "TEXT", "of_kind"]

TEXT = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
#: Language, kind and code of each.
BLOCKS = re.findall(r"^```(\w+)( \w+)?\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def of_kind(kind: str) -> list[str]:
    """Return the blocks whose first line names this kind behind the language."""
    return [block for _, found, block in BLOCKS if found.strip() == kind]
