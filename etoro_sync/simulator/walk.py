"""A seeded walk of one instrument's prices, in whole units to be exact and repeatable."""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from random import Random

from .wire import price_text

_MOST_DECIMALS = 12
_SMALLEST_SPREAD = 4  # leaves room for both discounted prices strictly inside the spread


def decimals_for(price: float) -> int:
    """
    Choose a tick size that suits a price: two decimals from 100 up, four or more significant
    digits below.

    :param price: A positive price.
    """
    return min(_MOST_DECIMALS, max(2, math.ceil(4 - math.log10(price))))


class PriceWalk:
    """
    Bid, ask, discounted prices and last execution of one instrument.

    All prices are integers in units of ``10 ** -decimals``. After every move
    ``bid < bid_discounted <= last_execution <= ask_discounted < ask`` holds, except that
    ``last_execution`` may be 0: the feed's way to say that there is none.

    :param start: The first mid price.
    :param random: Where the moves are drawn from.
    """

    def __init__(self, start: float, random: Random) -> None:
        self._random = random
        self.decimals = decimals_for(start)
        mid = round(start * 10.0**self.decimals)
        self._calibrate(mid)
        self.bid: int = mid - self._spread // 2
        self.ask: int = self.bid + self._spread
        self.last_execution = 0
        self._draw_last_execution()

    def _calibrate(self, mid: int) -> None:
        """Derive the sizes of moves and spreads from a mid price."""
        self._anchor = mid
        self._step = max(2, round(mid * 1e-4))
        self._spread = max(_SMALLEST_SPREAD, round(mid * 3e-4))
        self._markup = self._spread // 4

    @property
    def bid_discounted(self) -> int:
        """The bid before the retail markup."""
        return self.bid + self._markup

    @property
    def ask_discounted(self) -> int:
        """The ask before the retail markup."""
        return self.ask - self._markup

    def text(self, units: int) -> str:
        """Write one of this walk's prices."""
        return price_text(units, self.decimals)

    def _shift(self) -> int:
        """Draw a move that is never zero and leads back when the price has strayed too far."""
        size = self._random.randint(1, self._step)
        if self.bid > 2 * self._anchor:
            return -size
        if self.ask < self._anchor // 2:
            return size
        return size if self._random.random() < 0.5 else -size

    def move_both(self, keep_last_execution: bool = False) -> bool:
        """
        Move bid and ask, and draw a last execution between them.

        :param keep_last_execution: Leave the last execution as it is, provided that it still lies
            between the moved prices.
        :return: Whether it was kept.
        """
        ask = self.ask
        self.bid += self._shift()
        self.ask = self.bid + self._random.randint(self._spread, self._spread + self._step)
        if self.ask == ask:
            self.ask += 1
        if keep_last_execution and self._spans(self.last_execution):
            return True
        self._draw_last_execution()
        return False

    def _spans(self, price: int) -> bool:
        """Say whether a price lies between the discounted prices."""
        return self.bid_discounted <= price <= self.ask_discounted

    def move_bid(self) -> None:
        """Move the bid alone, without passing the last execution or the ask."""
        top = self.last_execution or self.ask_discounted
        moved = max(self.bid + self._shift(), self.ask - 3 * self._spread)
        moved = min(moved, top - self._markup)
        self.bid = moved if moved != self.bid else self.bid - 1

    def move_ask(self) -> None:
        """Move the ask alone, without passing the last execution or the bid."""
        floor = self.last_execution or self.bid_discounted
        moved = min(self.ask + self._shift(), self.bid + 3 * self._spread)
        moved = max(moved, floor + self._markup)
        self.ask = moved if moved != self.ask else self.ask + 1

    def move_last_execution(self) -> None:
        """Draw another last execution at unchanged prices."""
        before = self.last_execution
        self._draw_last_execution()
        if self.last_execution == before:
            self.last_execution = self.ask_discounted if before != self.ask_discounted else 0

    def _draw_last_execution(self) -> None:
        """Usually the discounted bid, sometimes elsewhere inside the spread, rarely 0."""
        draw = self._random.random()
        if draw < 0.01:
            self.last_execution = 0
        elif draw < 0.85:
            self.last_execution = self.bid_discounted
        else:
            self.last_execution = self._random.randint(self.bid_discounted, self.ask_discounted)

    def adopt(self, fields: Mapping[str, object]) -> bool:
        """
        Go on from prices that somebody published. Values that are not prices are left aside.

        :param fields: Wire fields, of which ``Bid``, ``Ask`` and ``LastExecution`` are looked at.
        :return: Whether the walk agrees with the published prices. If not (bid above ask, say),
            its next move has to carry both sides to end the disagreement.
        """
        bid, ask = _price(fields.get("Bid")), _price(fields.get("Ask"))
        last = _price(fields.get("LastExecution"))
        self._widen(price for price in (bid, ask, last) if price is not None)
        self.bid = self._units(bid, self.bid)
        self.ask = self._units(ask, self.ask)
        if "LastExecution" in fields:
            self.last_execution = self._units(last, 0)
        if not self._anchor // 2 < self.bid < 2 * self._anchor:
            self._calibrate(max(self.bid, _SMALLEST_SPREAD))
        agrees = self.bid + 2 * self._markup <= self.ask
        if not agrees:
            self.ask = self.bid + self._spread
        if not self._spans(self.last_execution):
            self.last_execution = 0
        return agrees

    def _widen(self, prices: Iterable[Decimal]) -> None:
        """Count in finer units when a price needs them."""
        for price in prices:
            exponent = price.normalize().as_tuple().exponent
            finer = min(_MOST_DECIMALS, -int(exponent)) - self.decimals
            if finer > 0:
                factor: int = 10**finer
                self.decimals += finer
                self.bid, self.ask = self.bid * factor, self.ask * factor
                self.last_execution *= factor
                self._calibrate(self._anchor * factor)

    def _units(self, price: Decimal | None, otherwise: int) -> int:
        """Convert a price into units, or keep the given value when there is none."""
        return otherwise if price is None else max(1, int(price.scaleb(self.decimals)))


def _price(value: object) -> Decimal | None:
    """Read a published value as a price; None for what is absent, not a number or out of range."""
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        return None
    return price if price.is_finite() and Decimal("1e-9") <= price <= Decimal("1e15") else None
