"""The simulator's clock. It keeps running in tests that freeze the time."""

import importlib.util
import time
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType
from typing import Any


def _unfrozen() -> Any:
    """Return the module ``time``, or a fresh copy if it is patched to freeze the time."""
    spec = importlib.util.find_spec("time")
    if type(time.monotonic) is BuiltinFunctionType or spec is None or spec.loader is None:
        return time
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh


#: Seconds since an arbitrary moment. Wrapped, because freezegun replaces the function itself in
#: every module.
monotonic: Callable[[], float] = partial(_unfrozen().monotonic)
