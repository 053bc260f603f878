"""Values of other libraries' types: what numpy, pandas and truststore bring, without them."""

from __future__ import annotations

import ssl
from typing import Any

__all__ = ["Context", "Float", "Int", "bool_"]


class Int:
    """A whole number such as ``numpy.int64``: equal to Python's, of another type."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value

    def __float__(self) -> float:
        return float(self.value)


class Float:
    """A number such as ``numpy.float32``."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


class bool_:
    """A flag such as numpy's, which ``float()`` takes."""

    def __init__(self, value: bool = True) -> None:
        self.value = value

    def __float__(self) -> float:
        return float(self.value)

    def item(self) -> bool:
        return self.value


class Context:
    """What stands in the place of ``ssl.SSLContext`` once a library has replaced it.

    :param inner: does the work.
    """

    def __init__(self, inner: ssl.SSLContext) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
