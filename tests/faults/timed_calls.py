"""How long a call takes, and how it ends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["outcome", "timing"]


@contextlib.contextmanager
def timing() -> Iterator[list[float]]:
    """Note how long a block took."""
    took: list[float] = []
    started = time.monotonic()
    yield took
    took.append(time.monotonic() - started)


def outcome(function: Callable[[], Any]) -> str:
    """Call, and say how it ended."""
    try:
        function()
    except Exception as exc:
        return type(exc).__name__
    return "returned"
