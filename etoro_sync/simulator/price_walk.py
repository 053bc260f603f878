"""A seeded random walk of one instrument's prices, in integers so that it is exact."""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from random import Random

from .profile import PriceBehavior
from .wire import price_text

_MOST_DECIMALS = 12
_GRAIN = 10  # units between two round prices


def decimals_for(price: float) -> int:
    """Choose the decimals for a price: two from 100 up, at least four significant digits below.

    :param price: a positive price.
    """
    return min(_MOST_DECIMALS, max(2, math.ceil(4 - math.log10(price))))


class PriceWalk:
    """Bid, ask, discounted prices and last execution of one instrument.

    All prices are integers in units of ``10 ** -decimals``. After every move
    ``bid <= bid_discounted <= ask_discounted <= ask``, ``bid < ask`` and
    ``bid <= last_execution <= ask`` hold. A ``last_execution`` of 0 no longer fits the prices that
    were published, and is replaced by the next move.

    :param start: the first mid price.
    :param random: the generator for the moves.
    :param behavior: sizes of moves and spreads.
    """

    def __init__(self, start: float, random: Random, behavior: PriceBehavior) -> None:
        self._random = random
        self._behavior = behavior
        self.decimals = decimals_for(start)
        mid = round(start * 10.0**self.decimals)
        self._calibrate(mid)
        self.bid: int = mid - self._spread // 2
        self.ask: int = self.bid + self._spread
        self.last_execution = 0
        self._draw_last_execution()

    def _calibrate(self, mid: int) -> None:
        """Derive the sizes of moves and spreads from a mid price."""
        behavior = self._behavior
        self._anchor = mid
        self._step = max(2, round(mid * behavior.step))
        self._spread = max(1, round(mid * behavior.spread))
        if behavior.markup:  # even, so that both discounted prices can be at its middle
            self._spread = 2 * max(2, self._spread // 2)
        self.markup = int(self._spread * behavior.markup)
        self._grain = _GRAIN if behavior.round and self._step >= _GRAIN else 1

    @property
    def bid_discounted(self) -> int:
        """The bid before the retail markup."""
        return self.bid + self.markup

    @property
    def ask_discounted(self) -> int:
        """The ask before the retail markup."""
        return self.ask - self.markup

    @property
    def _closest(self) -> int:
        """The smallest spread that leaves room for the discounted prices."""
        return max(1, 2 * self.markup)

    @property
    def _farthest(self) -> int:
        """The largest spread that a move of one side alone may cause."""
        return max(3 * self._spread, 2 * self._step)

    def text(self, units: int) -> str:
        """Return one of this walk's prices as text."""
        return price_text(units, self.decimals)

    def stray(self) -> int:
        """Return a random error for discounted prices that belong to an older price."""
        size = 1 + int(1.5 * self._step * self._random.random() ** 2)
        return size if self._random.random() < 0.5 else -size

    def _shift(self) -> int:
        """Return a random move, never zero, which leads back when the price is far away."""
        size = 1 + int(self._step * self._random.random() ** 3)  # most moves are small
        if self.bid > 2 * self._anchor:
            return -size
        if self.ask < self._anchor // 2:
            return size
        return size if self._random.random() < 0.5 else -size

    def _rounded(self, bid: int) -> int:
        """Shift a bid so that its discounted price is round, or half-way in one case of five."""
        if self._grain == 1:
            return bid
        discounted = round((bid + self.markup) / self._grain) * self._grain
        if self._random.random() < 0.2:
            discounted += self._grain // 2
        return discounted - self.markup

    def move_both(self) -> bool:
        """Move bid and ask, and nearly always the last execution.

        :returns: whether the last execution has moved.
        """
        bid, ask, last = self.bid, self.ask, self.last_execution
        self.bid = self._rounded(bid + self._shift())
        self.bid += self._grain * (self.bid == bid)
        self.ask = self.bid + self._spread
        if self._random.random() >= self._behavior.steady:
            self.ask += self._random.randint(1, self._step)
        if self.ask == ask:
            self.ask += 1
        keep = not self._behavior.last_is_bid and self._random.random() < 0.075
        if not (keep and self.bid <= last <= self.ask):
            self._draw_last_execution()
            if self.last_execution == last and not self._behavior.last_is_bid:
                self.move_last_execution()  # a narrow spread has few prices: draw another one
        return self.last_execution != last

    def move_bid(self) -> None:
        """Move the bid, which stays below the ask, and the last execution with it."""
        moved = max(self.bid + self._shift(), self.ask - self._farthest)
        moved = min(moved, self.ask - self._closest)
        self.bid = moved if moved != self.bid else self.bid - 1
        self._draw_last_execution()

    def move_ask(self) -> None:
        """Move the ask, which stays above the bid and the last execution."""
        moved = min(self.ask + self._shift(), self.bid + self._farthest)
        moved = max(moved, self.bid + self._closest, self.last_execution)
        self.ask = moved if moved != self.ask else self.ask + 1

    def move_last_execution(self) -> None:
        """Draw a different last execution; bid and ask stay."""
        before = self.last_execution
        self.last_execution = self._anywhere()
        if self.last_execution == before:
            others = (before + self._grain, before - self._grain, self.ask, self.bid)
            fitting = (p for p in others if self.bid <= p <= self.ask and p != before)
            self.last_execution = next(fitting)

    def _draw_last_execution(self) -> None:
        """Set the last execution: the discounted bid, or any price from bid to ask."""
        bid = self._behavior.last_is_bid
        self.last_execution = self.bid_discounted if bid else self._anywhere()

    def _anywhere(self) -> int:
        """Return a random price from bid to ask; a round one if prices are and there is one."""
        drawn, grain = self._random.randint(self.bid, self.ask), self._grain
        for rounded in (drawn // grain * grain, -(-drawn // grain) * grain):
            if self.bid <= rounded <= self.ask:
                return rounded
        return drawn

    def adopt(self, fields: Mapping[str, object]) -> bool:
        """Continue from published prices. Values that are not prices are ignored.

        :param fields: fields by wire name; only ``Bid``, ``Ask`` and ``LastExecution`` are used.
        :returns: whether these prices can be continued. If not (for instance because the bid is
            above the ask), the next message must have both sides.
        """
        bid, ask = _price(fields.get("Bid")), _price(fields.get("Ask"))
        last = _price(fields.get("LastExecution"))
        self._widen(price for price in (bid, ask, last) if price is not None)
        self.bid = self._units(bid, self.bid)
        self.ask = self._units(ask, self.ask)
        if "LastExecution" in fields:
            self.last_execution = self._units(last, 0)
        if not self._anchor // 2 < self.bid < 2 * self._anchor:
            self._calibrate(max(self.bid, 4))
        agrees = self.bid + self._closest <= self.ask
        if not agrees:
            self.ask = self.bid + self._spread
        if not self.bid <= self.last_execution <= self.ask:
            self.last_execution = 0
        return agrees

    def _widen(self, prices: Iterable[Decimal]) -> None:
        """Switch to finer units if a price needs them."""
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
        """Convert a price into units; *otherwise* if there is none."""
        return otherwise if price is None else max(1, int(price.scaleb(self.decimals)))


def _price(value: object) -> Decimal | None:
    """Parse a published value; None if it is missing, not a number or out of range."""
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        return None
    return price if price.is_finite() and Decimal("1e-9") <= price <= Decimal("1e15") else None
