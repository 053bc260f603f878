"""The browser of the tests of notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.notebook import browser


@pytest.fixture(scope="package")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser, for all tests."""
    with browser.open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened
