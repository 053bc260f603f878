"""What a snapshot says beyond the prices: flags, closing prices, limits. All of it is text."""

from random import Random

from .price_walk import PriceWalk
from .profile import Profile

_CLOSING_PRICES_BUG = "System.Collections.Generic.Dictionary`2[System.String,System.Object]"


def flag_text(value: bool) -> str:
    """Write a flag as snapshots and rates do; ``Trading.Instrument.Active`` has a capital."""
    return str(value).lower()


def markups(walk: PriceWalk) -> dict[str, str]:
    """Give the markups that lie between the prices and the discounted ones."""
    markup = walk.text(walk.markup)
    return {
        "CfdMarkupAsk": markup,
        "CfdMarkupBid": markup,
        "RealMarkupAsk": "0",
        "RealMarkupBid": "0",
    }


def constants(
    instrument_id: int, walk: PriceWalk, profile: Profile, random: Random
) -> dict[str, str]:
    """
    Give the fields of a snapshot that stand behind its prices, in the order of the wire.

    :param instrument_id: The instrument.
    :param walk: Its prices.
    :param profile: What it is like.
    :param random: Where the closing prices are drawn from.
    """
    closing = {name: _earlier(walk, random, far) for name, far in _FAR.items()}
    official = _earlier(walk, random, 0.01)
    # The real server sometimes prints the name of the type instead of the prices.
    broken = random.random() < 0.02
    written = ",".join(f'"{name}":{price}' for name, price in closing.items())
    return {
        "IsInstrumentActive": "true",
        "OfficialClosingPrice": official,
        "IsMarketOpen": "true",
        "AllowBuy": "true",
        "AllowSell": flag_text(profile.allow_sell),
        "MaxPositionUnits": str(profile.max_units),
        "IsExchangeOpen": flag_text(profile.exchange_open),
        "DelayedAsk": "0",
        "DelayedBid": "0",
        "AvailabilityReason": "2",
        "InstrumentId": str(instrument_id),
        "ClosingPrices": _CLOSING_PRICES_BUG if broken else f"{{{written}}}",
        "IsOfficialClosingPrice": str(random.random() < 0.5),  # the one flag with a capital here
        **markups(walk),
    }


#: How far from today's price each closing price may lie, in proportion to it.
_FAR = {"Daily": 0.01, "Weekly": 0.03, "Monthly": 0.08}


def _earlier(walk: PriceWalk, random: Random, far: float) -> str:
    """Draw a price of another time, at least a third of the greatest distance away."""
    distance = random.uniform(far / 3, far) * random.choice((-1, 1))
    return walk.text(max(1, round(walk.bid * (1 + distance))))
