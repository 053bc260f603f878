"""The forty complaints are all answered: by a test, or by a reason why there is none."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parent
#: Complaint -> why it cannot befall a user of this library.
NOT_APPLICABLE: dict[int, str] = {}
_TEST = re.compile(r"test_complaint_(\d\d)_\w+")


def numbered() -> dict[int, list[ast.FunctionDef]]:
    """Return the tests of this folder by the number in their names."""
    found: dict[int, list[ast.FunctionDef]] = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            match = _TEST.fullmatch(node.name) if isinstance(node, ast.FunctionDef) else None
            if match is not None and isinstance(node, ast.FunctionDef):
                found.setdefault(int(match[1]), []).append(node)
    return found


def test_every_complaint_has_a_test_or_a_reason() -> None:
    """Rows 1 to 40, each either tested or listed, and no other number."""
    tested = set(numbered())
    assert tested | set(NOT_APPLICABLE) == set(range(1, 41))
    assert tested & set(NOT_APPLICABLE) == set(), "what is tested needs no reason"


def test_every_guarantee_is_a_docstring() -> None:
    """The first paragraph of each is what holds, in a sentence; names say the complaint."""
    for tests in numbered().values():
        for test in tests:
            words = (ast.get_docstring(test) or "").split("\n\n")[0]
            assert words.endswith("."), f"{test.name} says no guarantee"
            assert len(words.split()) >= 6, f"{test.name} says no guarantee"
