"""How much a test does: enough to find a defect in each run, or as much as anybody waits for.

Tests that have a long form bear the marker ``long_form``; ``make test-long`` runs them in it.
"""

from __future__ import annotations

import os

__all__ = ["amount"]

_LONG = bool(os.environ.get("ETORO_SYNC_TEST_LONG"))


def amount(short: int, long: int) -> int:
    """Return the one of the two that this run is for."""
    return long if _LONG else short
