"""
What one instrument is like: which messages it sends, how often, and how its prices lie. Modelled
after recordings of gold, the NASDAQ 100 and Bitcoin, which differ in all of it.
"""

from bisect import bisect
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random

FULL, HEARTBEAT, BID, ASK, LAST, CONVERSION = range(6)

#: Each instrument has a mix of its own.
OWN = "own"
# Shares of the shapes in per mille, in the order above.
_SHARES: dict[str, tuple[float, ...]] = {
    "universe": (150, 590, 127, 108, 17, 8),
    "liquid": (700, 207, 45, 35, 5, 8),
    "full": (1000, 0, 0, 0, 0, 0),
}
MIXES = (OWN, *_SHARES)


class Mix:
    """
    How often each shape of message comes.

    :param shares: Shares of the shapes, of any sum, in the order of the shapes.
    """

    def __init__(self, shares: tuple[float, ...]) -> None:
        self._limits = list(accumulate(share / sum(shares) for share in shares))[:-1]

    def draw(self, random: Random) -> int:
        """Draw the shape of the next message."""
        return bisect(self._limits, random.random())


def mix_named(name: str) -> Mix | None:
    """Give the mix that all instruments share; None when each has its own."""
    return None if name == OWN else Mix(_SHARES[name])


@dataclass(frozen=True)
class PriceBehavior:
    """
    How an instrument's prices move and lie; lengths are in proportion to the price.

    :param step: The longest usual move between two messages.
    :param spread: From bid to ask; the smallest there is if it is 0.
    :param markup: Share of the spread that lies between a price and its discounted one, up to 0.5.
    :param steady: Share of the messages with both sides that have exactly this spread.
    :param last_is_bid: Whether the last execution is the discounted bid; else it lies anywhere
        between bid and ask, and some messages with both sides leave it unchanged.
    :param round: Whether most discounted prices have a decimal less than the bid and the ask.
    """

    step: float
    spread: float
    markup: float
    steady: float
    last_is_bid: bool
    round: bool = False


@dataclass(frozen=True)
class Profile:
    """
    What one instrument is like.

    :param behavior: Its prices.
    :param shares: See :class:`Mix`.
    :param interval: Usual seconds between two of its messages.
    :param max_units: ``MaxPositionUnits`` of its snapshots.
    :param conversion: Dollars for a unit of its currency, the bid; 1 if it is quoted in dollars.
    :param exchange_open: ``IsExchangeOpen`` of its snapshots.
    :param allow_sell: ``AllowSell`` of its snapshots.
    """

    behavior: PriceBehavior
    shares: tuple[float, ...]
    interval: float = 1.0
    max_units: int = 1000
    conversion: float = 1.0
    exchange_open: bool = False
    allow_sell: bool = True

    def gap(self, random: Random) -> float:
        """Draw the seconds until its next message: mostly the interval, now and then another."""
        draw = random.random()
        if draw < 0.8:
            return self.interval * random.uniform(0.98, 1.03)
        if draw < 0.88:
            return self.interval * random.uniform(0.35, 0.7)
        return self.interval * random.choice((2, 2, 2, 3, 4))


_GOLD = Profile(
    PriceBehavior(1.2e-4, 2.92e-4, 0.432, 0.83, True), (706, 153, 70, 62, 0, 9), 1.0, 6500
)
_NASDAQ = Profile(
    PriceBehavior(6e-5, 1.5e-4, 0.5, 1.0, False, round=True), (880, 108, 0, 0, 4, 8), 1.0, 1000
)
_BITCOIN = Profile(PriceBehavior(2.5e-4, 0.0, 0.0, 0.86, True), (389, 590, 4, 8, 0, 9), 0.83, 32)
_RECORDED = {18: _GOLD, 28: _NASDAQ, 100000: _BITCOIN}

_CURRENCIES = (1.0842, 1.2731, 0.00668, 0.12836, 1.1187, 0.0957)


def profile_of(instrument_id: int, random: Random) -> Profile:
    """
    Give the profile of an instrument: the recorded one, or one that is drawn.

    :param instrument_id: Its id.
    :param random: Where to draw it from.
    """
    recorded = _RECORDED.get(instrument_id)
    if recorded is not None:
        return recorded
    kind = random.choice(list(_RECORDED.values()))
    shares = kind.shares
    if random.random() < 0.6:  # most instruments are thin: their messages are mostly heartbeats
        heartbeats = random.uniform(450, 750)
        rest = (992 - heartbeats) / 992
        shares = (370 * rest, heartbeats, 315 * rest, 267 * rest, 40 * rest, 8)
    return replace(
        kind,
        shares=shares,
        interval=random.uniform(0.8, 1.4),
        max_units=random.choice((32, 100, 250, 1000, 6500, 20000)),
        conversion=1.0 if random.random() < 0.7 else random.choice(_CURRENCIES),
        exchange_open=random.random() < 0.4,
        allow_sell=random.random() < 0.95,
    )
