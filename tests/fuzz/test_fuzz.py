"""The seeds of the fuzzer, all that it ever found, and a few thousand changes of them."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz.mutations import MOST_BYTES, mutants
from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent
FILES = sorted([*HERE.glob("seeds/*/*"), *HERE.glob("crashes/*/*")])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-3:]))
def test_what_was_found_before_breaks_no_rule(path: Path) -> None:
    """Seeds, and inputs that did break one until its cause was mended."""
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_changed_seeds_break_no_rule(name: str) -> None:
    """The same changes in every run; ``make fuzz`` tries others."""
    seeds = [path.read_bytes() for path in FILES if path.parent.name == name]
    assert len(seeds) >= 5
    for data in islice(mutants(seeds, random.Random(name)), 1000):
        assert len(data) <= MOST_BYTES
        try:
            TARGETS[name](data)
        except BaseException:
            print(f"the input was {data!r}")
            raise
