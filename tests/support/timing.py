"""The unit of all times in tests, so that a slow machine needs one knob, not a hundred edits."""

from __future__ import annotations

import os

__all__ = ["MS", "SCALE"]

#: How many times slower than a quiet desktop machine the present one may be.
SCALE = float(os.environ.get("ETORO_SYNC_TEST_TIME_SCALE", "1"))

#: One millisecond, in seconds, scaled: ``timeout=50 * MS``.
MS = 0.001 * SCALE
