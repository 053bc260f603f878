"""The fields of a snapshot besides the prices: flags, closing prices, limits; all are strings."""

from random import Random

from .price_walk import PriceWalk
from .profile import Profile

_CLOSING_PRICES_BUG = "System.Collections.Generic.Dictionary`2[System.String,System.Object]"


def flag_text(value: bool) -> str:
    """Write a flag as in snapshots and rates: "true", not "True" as in Instrument.Active."""
    return str(value).lower()


def markups(walk: PriceWalk) -> dict[str, str]:
    """Return the fields with the difference between the prices and the discounted prices."""
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
    """Return the fields of a snapshot that follow its prices, in the order of the real feed.

    :param instrument_id: the instrument.
    :param walk: its prices.
    :param profile: its properties.
    :param random: the generator for the closing prices.
    """
    closing = {name: _earlier(walk, random, far) for name, far in _FAR.items()}
    official = _earlier(walk, random, 0.01)
    # The real server sometimes sends the name of a .NET type instead of the prices.
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


#: The largest difference of each closing price from today's price, as a fraction of it.
_FAR = {"Daily": 0.01, "Weekly": 0.03, "Monthly": 0.08}


def _earlier(walk: PriceWalk, random: Random, far: float) -> str:
    """Return a random earlier price, which differs by a third of *far* up to all of it."""
    distance = random.uniform(far / 3, far) * random.choice((-1, 1))
    return walk.text(max(1, round(walk.bid * (1 + distance))))
