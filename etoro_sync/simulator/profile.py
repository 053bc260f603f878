"""The profile of an instrument: which messages it sends, how often, and how its prices move.

Modelled after recordings of gold, the NASDAQ 100 and Bitcoin, which differ in all of these.
"""

from bisect import bisect
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random

FULL, HEARTBEAT, BID, ASK, LAST, CONVERSION = range(6)

#: Each instrument has a mix of its own.
OWN = "own"
# Shares of the kinds of messages in per mille, in the order above.
_SHARES: dict[str, tuple[float, ...]] = {
    "universe": (150, 590, 127, 108, 17, 8),
    "liquid": (700, 207, 45, 35, 5, 8),
    "full": (1000, 0, 0, 0, 0, 0),
}
MIXES = (OWN, *_SHARES)


class Mix:
    """How often each kind of message comes.

    :param shares: the share of each kind, in the order of the constants above; of any sum.
    """

    def __init__(self, shares: tuple[float, ...]) -> None:
        self._limits = list(accumulate(share / sum(shares) for share in shares))[:-1]

    def draw(self, random: Random) -> int:
        """Return a random kind for the next message."""
        return bisect(self._limits, random.random())


def mix_named(name: str) -> Mix | None:
    """Return the mix that all instruments share; None when each has its own."""
    return None if name == OWN else Mix(_SHARES[name])


@dataclass(frozen=True)
class PriceBehavior:
    """How an instrument's prices move. Step and spread are fractions of the price.

    :param step: the largest usual move between two messages.
    :param spread: from bid to ask; 0 is the smallest possible spread.
    :param markup: the distance of a price and its discounted price, as a fraction of the spread, up
        to 0.5.
    :param steady: the share of messages with both sides that have exactly this spread.
    :param last_is_bid: whether the last execution is the discounted bid; if not, it is anywhere
        from bid to ask, and some messages with both sides leave it unchanged.
    :param round: whether most discounted prices have one decimal less than bid and ask.
    """

    step: float
    spread: float
    markup: float
    steady: float
    last_is_bid: bool
    round: bool = False


@dataclass(frozen=True)
class Profile:
    """The properties of one instrument.

    :param behavior: how its prices move.
    :param shares: how often each kind of message comes, see :class:`Mix`.
    :param interval: usual seconds between two of its messages.
    :param max_units: ``MaxPositionUnits`` of its snapshots.
    :param conversion: dollars for one unit of its currency (bid); 1 if it is quoted in dollars.
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
        """Return random seconds until its next message: mostly the interval, sometimes not."""
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

#: Dollars for one unit of the currency of instruments that programs name; USD/JPY is in yen.
_KNOWN_CONVERSIONS = {
    **dict.fromkeys((1, 2, 17, 19, 27, 100001, 100003), 1.0),
    **dict.fromkeys((1001, 1002, 1003, 1004, 1005, 1111, 1137), 1.0),
    5: 0.00668,
}
_CURRENCIES = (1.0842, 1.2731, 0.00668, 0.12836, 1.1187, 0.0957)


def profile_of(instrument_id: int, random: Random) -> Profile:
    """Return the profile of an instrument: a recorded one, or a random one.

    :param instrument_id: its id.
    :param random: the generator for a random one.
    """
    recorded = _RECORDED.get(instrument_id)
    if recorded is not None:
        return recorded
    kind = random.choice(list(_RECORDED.values()))
    shares = kind.shares
    if random.random() < 0.6:  # most instruments trade little and send mostly heartbeats
        heartbeats = random.uniform(450, 750)
        rest = (992 - heartbeats) / 992
        shares = (370 * rest, heartbeats, 315 * rest, 267 * rest, 40 * rest, 8)
    profile = replace(
        kind,
        shares=shares,
        interval=random.uniform(0.8, 1.4),
        max_units=random.choice((32, 100, 250, 1000, 6500, 20000)),
        conversion=1.0 if random.random() < 0.7 else random.choice(_CURRENCIES),
        exchange_open=random.random() < 0.4,
        allow_sell=random.random() < 0.95,
    )
    known = _KNOWN_CONVERSIONS.get(instrument_id, profile.conversion)
    return replace(profile, conversion=known)
