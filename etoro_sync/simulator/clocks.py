"""The clock that paces the simulator: it runs on in a test that freezes the time."""

import importlib.util
import time
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType
from typing import Any


def _unfrozen() -> Any:
    """Give the module ``time``, or a new one if this one is imported while time is frozen."""
    spec = importlib.util.find_spec("time")
    if type(time.monotonic) is BuiltinFunctionType or spec is None or spec.loader is None:
        return time
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh


#: Seconds from some moment on. Wrapped, because freezegun replaces the function itself everywhere.
monotonic: Callable[[], float] = partial(_unfrozen().monotonic)
