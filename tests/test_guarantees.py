"""The guarantees of docs/guarantees.md: their tests exist, their bounds are the options'."""

from __future__ import annotations

import ast
import random
import re
from dataclasses import fields
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from etoro_sync import WsClientOptions
from etoro_sync.ws.session.backoff import Backoff

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
SECTIONS = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
NAMED = re.findall(r"`(tests/\S+?\.py)::(\S+?)`", TEXT)
DEFAULTS = {
    f.name: float(f.default) for f in fields(WsClientOptions) if isinstance(f.default, (int, float))
}


@cache
def files_of(pattern: str) -> frozenset[Path]:
    return frozenset(ROOT.glob(pattern))


@cache
def functions_in(path: str) -> frozenset[str]:
    """Return the names of the test functions of a file, or of all files that a pattern fits."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files_of(path)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    return frozenset(name for name in names if name.startswith("test_"))


@pytest.mark.parametrize(("path", "pattern"), sorted(set(NAMED)))
def test_every_named_test_exists(path: str, pattern: str) -> None:
    """A pattern that fits no test promises what nobody checks."""
    assert any(fnmatchcase(name, pattern) for name in functions_in(path))


def test_every_test_of_a_promise_is_named_in_its_section() -> None:
    """And each of the fifteen has a section, in order, with bound, tests and limits."""
    assert [section.split(".")[0] for section in SECTIONS[:-1]] == [str(n) for n in range(1, 16)]
    assert SECTIONS[-1].startswith("What is not promised")
    for number, section in enumerate(SECTIONS[:-1], 1):
        for word in ("* Bound", "* Tests: ", "* Limits: "):
            assert word in section, f"{number} has no {word}"
        named = re.findall(r"`(tests/\S+?\.py)::(\S+?)`", section)
        for file in (ROOT / "tests").rglob("test_*.py"):
            path = str(file.relative_to(ROOT))
            for name in functions_in(path):
                if name.startswith(f"test_promise_{number}_"):
                    assert any(file in files_of(p) and fnmatchcase(name, g) for p, g in named), name


def test_there_are_fifteen_promises() -> None:
    """Each promise stands in the table, in order."""
    numbers = re.findall(r"^\| (\d+) \| \*?\*?\w", TEXT, flags=re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 16)]


def test_every_bound_is_what_the_options_give() -> None:
    """A formula of options, with its value for the defaults in brackets."""
    bounds = re.findall(r"`([a-z_0-9.+* ]+)`\s\((\d+(?:\.\d+)?)\ss\b", TEXT)
    assert len(bounds) >= 10
    for formula, value in bounds:
        assert eval(formula, {}, DEFAULTS) == pytest.approx(float(value)), formula


def test_the_default_attempts_last_as_long_as_documented() -> None:
    """The waits of ten attempts: 303 s at most, half of that on average."""
    default = WsClientOptions()

    def total(number: random.Random | None) -> float:
        backoff = Backoff(
            default.reconnect_delay,
            default.reconnect_max_delay,
            default.reconnect_attempts,
            (lambda low, high: high) if number is None else number.uniform,
        )
        return sum(iter(lambda: backoff.next() or 0.0, 0.0))

    assert total(None) == 303
    chance = random.Random(1)
    totals = [total(chance) for _ in range(1000)]
    assert sum(totals) / len(totals) == pytest.approx(303 / 2, rel=0.02)
    assert "303 s" in TEXT
    assert "about 150 s" in " ".join(TEXT.split())


def test_every_link_leads_somewhere() -> None:
    """Within the documentation."""
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert links
    for link in links:
        assert (ROOT / "docs" / link).exists(), link
