"""A seeded walk of one instrument's prices, in whole units to be exact and repeatable."""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from random import Random

from .profile import PriceBehavior
from .wire import price_text

_MOST_DECIMALS = 12
_GRAIN = 10  # units between two round prices


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
    ``bid <= bid_discounted <= ask_discounted <= ask``, ``bid < ask`` and
    ``bid <= last_execution <= ask`` hold. A ``last_execution`` of 0 is one that has to be drawn
    anew, because prices were published that it doesn't fit.

    :param start: The first mid price.
    :param random: Where the moves are drawn from.
    :param behavior: How the prices move and lie.
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
        if behavior.markup:  # even, so that the discounted prices can meet in its middle
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
        """The smallest distance of bid and ask that leaves room for the discounted prices."""
        return max(1, 2 * self.markup)

    @property
    def _farthest(self) -> int:
        """The distance that a move of one side alone doesn't exceed."""
        return max(3 * self._spread, 2 * self._step)

    def text(self, units: int) -> str:
        """Write one of this walk's prices."""
        return price_text(units, self.decimals)

    def stray(self) -> int:
        """Draw how far discounted prices lie off that were computed from another price."""
        size = 1 + int(1.5 * self._step * self._random.random() ** 2)
        return size if self._random.random() < 0.5 else -size

    def _shift(self) -> int:
        """Draw a move that is never zero and leads back when the price has strayed too far."""
        size = 1 + int(self._step * self._random.random() ** 3)  # most moves are small
        if self.bid > 2 * self._anchor:
            return -size
        if self.ask < self._anchor // 2:
            return size
        return size if self._random.random() < 0.5 else -size

    def _rounded(self, bid: int) -> int:
        """Take a bid whose discounted price is round, or in one of five cases half-way to it."""
        if self._grain == 1:
            return bid
        discounted = round((bid + self.markup) / self._grain) * self._grain
        if self._random.random() < 0.2:
            discounted += self._grain // 2
        return discounted - self.markup

    def move_both(self) -> bool:
        """
        Move bid and ask, and nearly always the last execution.

        :return: Whether the last execution has moved.
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
                self.move_last_execution()  # where a spread has few prices, one recurs by chance
        return self.last_execution != last

    def move_bid(self) -> None:
        """Move the bid alone, without passing the ask, and the last execution with it."""
        moved = max(self.bid + self._shift(), self.ask - self._farthest)
        moved = min(moved, self.ask - self._closest)
        self.bid = moved if moved != self.bid else self.bid - 1
        self._draw_last_execution()

    def move_ask(self) -> None:
        """Move the ask alone, without passing the bid or the last execution."""
        moved = min(self.ask + self._shift(), self.bid + self._farthest)
        moved = max(moved, self.bid + self._closest, self.last_execution)
        self.ask = moved if moved != self.ask else self.ask + 1

    def move_last_execution(self) -> None:
        """Draw another last execution between unchanged prices."""
        before = self.last_execution
        self.last_execution = self._anywhere()
        if self.last_execution == before:
            others = (before + self._grain, before - self._grain, self.ask, self.bid)
            fitting = (p for p in others if self.bid <= p <= self.ask and p != before)
            self.last_execution = next(fitting)

    def _draw_last_execution(self) -> None:
        """Take the discounted bid, or a price anywhere between bid and ask."""
        bid = self._behavior.last_is_bid
        self.last_execution = self.bid_discounted if bid else self._anywhere()

    def _anywhere(self) -> int:
        """Draw a price between bid and ask, a round one where prices are and there is any."""
        drawn, grain = self._random.randint(self.bid, self.ask), self._grain
        for rounded in (drawn // grain * grain, -(-drawn // grain) * grain):
            if self.bid <= rounded <= self.ask:
                return rounded
        return drawn

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
            self._calibrate(max(self.bid, 4))
        agrees = self.bid + self._closest <= self.ask
        if not agrees:
            self.ask = self.bid + self._spread
        if not self.bid <= self.last_execution <= self.ask:
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
