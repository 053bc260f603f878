"""Small pictures of a price in text. Pure: the time is given."""

import math
from collections import deque
from collections.abc import Sequence

__all__ = ["WIDTH", "PriceHistory", "sparkline"]

#: Characters of a picture, each of which stands for some seconds.
WIDTH = 20
_SECONDS = 3.0
_HEIGHTS = "▁▂▃▄▅▆▇█"


def sparkline(prices: Sequence[float | None]) -> str:
    """Return a character for each price, as high as it lies between the lowest and the highest.

    :param prices: None becomes a space.
    """
    known = [price for price in prices if price is not None and math.isfinite(price)]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    top = len(_HEIGHTS) - 1
    return "".join(
        " "
        if price is None or not math.isfinite(price)
        # A price that has not moved stands in the middle.
        else _HEIGHTS[round((price - low) / span * top) if span else top // 2]
        for price in prices
    )


class PriceHistory:
    """The prices of the last minute, one for each stretch of three seconds."""

    def __init__(self) -> None:
        self._prices: deque[tuple[int, float]] = deque(maxlen=WIDTH)

    def add(self, price: float, now: float) -> None:
        """Add the present price."""
        stretch = int(now // _SECONDS)
        if self._prices and self._prices[-1][0] == stretch:
            self._prices.pop()
        self._prices.append((stretch, price))

    def line(self, now: float) -> str:
        """Return the picture; a price stands until the next one, since the feed sends changes."""
        last = int(now // _SECONDS)
        known = dict(self._prices)
        first = last - WIDTH + 1
        price = next((p for stretch, p in reversed(self._prices) if stretch < first), None)
        prices: list[float | None] = []
        for stretch in range(first, last + 1):
            price = known.get(stretch, price)
            prices.append(price)
        return sparkline(prices)
