"""What the tests of this package use."""

from __future__ import annotations

import pytest

from etoro_sync.codec import loads, loads_standard
from tests.market.tools import Bench


@pytest.fixture(params=["fast", "standard"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """Both JSON backends behave alike."""
    return Bench(loads if request.param == "fast" else loads_standard)
