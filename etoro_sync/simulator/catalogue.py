"""The instruments that the simulator's REST endpoints know: a few hundred, of its own making.

Those that programs and examples use most bear eToro's ids and symbols; all other companies are
invented. As at eToro, some have twins: for regular trading hours (``.RTH``), or in euros.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

#: Known to everybody: id, symbol, name, exchange, price.
_KNOWN: tuple[tuple[int, str, str, int, float], ...] = (
    (1, "EURUSD", "EUR/USD", 1, 1.0835),
    (2, "GBPUSD", "GBP/USD", 1, 1.27),
    (5, "USDJPY", "USD/JPY", 1, 149.8),
    (17, "OIL", "Oil", 2, 71.3),
    (18, "GOLD", "Gold", 2, 4807.0),
    (19, "SILVER", "Silver", 2, 51.4),
    (27, "SPX500", "SPX500 Index", 3, 6790.0),
    (28, "NSDQ100", "NASDAQ100 Index", 3, 25100.0),
    (1001, "AAPL", "Apple", 4, 227.5),
    (1002, "GOOG", "Alphabet", 4, 281.0),
    (1003, "META", "Meta Platforms", 4, 612.0),
    (1004, "MSFT", "Microsoft", 4, 498.0),
    (1005, "AMZN", "Amazon", 4, 222.0),
    (1111, "TSLA", "Tesla", 4, 404.0),
    (1137, "NVDA", "NVIDIA", 4, 190.0),
    (100000, "BTC", "Bitcoin", 8, 66500.0),
    (100001, "ETH", "Ethereum", 8, 3150.0),
    (100003, "XRP", "XRP", 8, 2.21),
)
#: Symbol -> endings of its twins.
_TWINS = {
    "AAPL": (".RTH", ".EUR"),
    "MSFT": (".RTH", ".EUR"),
    "AMZN": (".RTH",),
    "NVDA": (".RTH",),
    "TSLA": (".RTH",),
    "BTC": (".EUR",),
}
_WORDS = {".RTH": "regular trading hours", ".EUR": "in EUR"}
_FIRST = (
    *("Apple Valley", "Amber", "Birch", "Cobalt", "Delta", "Ember", "Falcon", "Granite", "Harbor"),
    *("Indigo", "Juniper", "Kestrel", "Lumen", "Maple", "Northwind", "Onyx", "Pioneer", "Quartz"),
    *("Ridge", "Summit", "Tidal", "Umber", "Vertex", "Willow", "Zephyr"),
)
_SECOND = (
    *("Airlines", "Bank", "Biotech", "Chemicals", "Energy", "Foods", "Logistics", "Mining"),
    *("Motors", "Networks", "Pharma", "Software"),
)
_SUFFIXES = ("", "", "", ".L", ".DE", ".PA")
_FIRST_INVENTED_ID = 20_000
_FIRST_TWIN_ID = 12_000


@dataclass(frozen=True)
class Listing:
    """One instrument of the catalogue.

    :param id: its id.
    :param symbol: its symbol.
    :param name: its name.
    :param exchange: the number of its exchange.
    :param price: about where it trades.
    """

    id: int
    symbol: str
    name: str
    exchange: int
    price: float


class Catalogue:
    """All instruments of a simulator, the same in each run.

    :param exists: says whether there is an instrument with an id; one that is not among those
        here gets a symbol such as ``SIM7``.
    """

    def __init__(self, exists: Callable[[int], bool] = lambda instrument_id: False) -> None:
        self._exists = exists
        self._by_id = {each.id: each for each in [*_known(), *_invented()]}

    @property
    def listings(self) -> list[Listing]:
        """All that have a name, by id."""
        return sorted(self._by_id.values(), key=lambda each: each.id)

    def of_id(self, instrument_id: int) -> Listing | None:
        """Return an instrument, or None."""
        found = self._by_id.get(instrument_id)
        if found is None and self._exists(instrument_id):
            name = f"Simulated {instrument_id}"
            return Listing(instrument_id, f"SIM{instrument_id}", name, 4, 100.0)
        return found

    def of_symbol(self, symbol: str) -> list[Listing]:
        """Return those whose symbol is *symbol*, or begins with it: the twins come first.

        A client that takes the first one takes the wrong one, which is to be noticed.
        """
        wanted = symbol.upper()
        found = [each for each in self.listings if each.symbol.startswith(wanted)]
        number = re.fullmatch(r"SIM([1-9][0-9]{0,17})", wanted)
        made = None if number is None else self.of_id(int(number[1]))
        if made is not None and made.symbol == wanted and made not in found:
            found.append(made)
        return sorted(found, key=lambda each: each.symbol == wanted)

    def of_text(self, text: str) -> list[Listing]:
        """Return those that have *text* in their symbol or their name."""
        wanted = text.lower()
        return [
            each
            for each in self.listings
            if wanted in each.symbol.lower() or wanted in each.name.lower()
        ]


def _known() -> list[Listing]:
    found = [Listing(*each) for each in _KNOWN]
    twin_id = _FIRST_TWIN_ID
    for each in list(found):
        for ending in _TWINS.get(each.symbol, ()):
            twin_id += 1
            name = f"{each.name} ({_WORDS[ending]})"
            symbol = each.symbol + ending
            found.append(Listing(twin_id, symbol, name, each.exchange, each.price))
    return found


def _invented() -> list[Listing]:
    random = Random("catalogue")
    taken: set[str] = {symbol for _, symbol, *_ in _KNOWN}
    found = []
    for number, (first, second) in enumerate((f, s) for f in _FIRST for s in _SECOND):
        letters = f"{first[:2]}{second[:2]}".upper()
        while letters in taken:
            letters = letters[:3] + random.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        taken.add(letters)
        symbol = letters + random.choice(_SUFFIXES)
        price = round(10 ** random.uniform(0.7, 2.8), 2)
        found.append(Listing(_FIRST_INVENTED_ID + number, symbol, f"{first} {second}", 5, price))
    return found
