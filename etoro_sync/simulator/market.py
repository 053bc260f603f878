"""What the simulated market says, apart from who hears it. No thread, no socket, no clock."""

from bisect import bisect
from collections.abc import Iterable, Mapping
from itertools import accumulate
from random import Random

from .walk import PriceWalk
from .wire import compact, date_text

FULL, HEARTBEAT, BID, ASK, LAST, CONVERSION = range(6)

# Shares of the shapes in per mille. The conversion-only messages, which carry neither Date nor
# PriceRateID, are rare and taken from the heartbeats.
_SHARES: dict[str, tuple[int, ...]] = {
    "universe": (150, 588, 130, 110, 20, 2),
    "liquid": (700, 213, 45, 35, 5, 2),
    "full": (1000, 0, 0, 0, 0, 0),
}
MIXES = tuple(_SHARES)

_UNDATED_SHARE = 0.0075
_CLOSING_PRICES_BUG = "System.Collections.Generic.Dictionary`2[System.String,System.Object]"


class Mix:
    """
    How often each shape of message comes.

    :param name: One of :data:`MIXES`.
    """

    def __init__(self, name: str) -> None:
        shares = _SHARES[name]
        self._limits = list(accumulate(share / 1000 for share in shares))[:-1]
        # Heartbeats always carry a Date, so the others go without one a little more often.
        carriers = 1 - (shares[HEARTBEAT] + shares[CONVERSION]) / 1000
        self.undated = (_UNDATED_SHARE - shares[CONVERSION] / 1000) / carriers

    def draw(self, random: Random) -> int:
        """Draw the shape of the next message."""
        return bisect(self._limits, random.random())


class Instrument:
    """
    One instrument: its walk, and its state as the wire would tell it.

    It draws from a generator of its own, so its prices depend on the seed and on how often it was
    asked, never on the other instruments.

    :param instrument_id: The id.
    :param seed: Seed of the simulator.
    :param start: First mid price; None derives one from the seed and the id.
    """

    def __init__(self, instrument_id: int, seed: int, start: float | None) -> None:
        random = Random(f"{seed}/{instrument_id}")
        self.active = True
        self._random = random
        self._walk = PriceWalk(start or round(10 ** random.uniform(0.3, 3.7), 2), random)
        self._rate_id = 139_000_000_000 + random.randrange(900_000_000)
        self._last_ticks = 0
        self._needs_both_sides = False
        self.state: dict[str, str] = self._first_state(instrument_id)

    @property
    def bid(self) -> float:
        """The current bid as a number."""
        return float(self._walk.text(self._walk.bid))

    def _first_state(self, instrument_id: int) -> dict[str, str]:
        """Build every field that a snapshot has; the dates are filled in by the first stamp."""
        walk = self._walk
        closings = dict.fromkeys(("Daily", "Weekly", "Monthly"), self.bid)
        # The real server sometimes prints the name of the type instead of the prices.
        broken = self._random.random() < 0.02
        return {
            "InstrumentID": str(instrument_id),
            "InstrumentId": str(instrument_id),
            **self._both_sides(),
            "LastExecution": walk.text(walk.last_execution),
            "Date": date_text(0),
            "PriceRateID": str(self._rate_id),
            "ConversionRateAsk": "1",
            "ConversionRateBid": "1",
            "IsInstrumentActive": "True",
            "IsMarketOpen": "true",
            "IsExchangeOpen": "true",
            "OfficialClosingPrice": walk.text(walk.bid),
            "IsOfficialClosingPrice": "True",
            "AllowBuy": "True",
            "AllowSell": "True",
            "MaxPositionUnits": "0",
            "DelayedAsk": "0",
            "DelayedBid": "0",
            "AvailabilityReason": "2",
            "ClosingPrices": _CLOSING_PRICES_BUG if broken else compact(closings),
            "DailyClose": walk.text(walk.bid),
            "CfdMarkupAsk": "0",
            "CfdMarkupBid": "0",
            "RealMarkupAsk": "0",
            "RealMarkupBid": "0",
        }

    def _ask_side(self) -> dict[str, str]:
        """The fields that say something about the ask."""
        walk = self._walk
        ask, discounted = walk.text(walk.ask), walk.text(walk.ask_discounted)
        return {
            "Ask": ask,
            "UnitMarginAsk": ask,
            "AskDiscounted": discounted,
            "UnitMarginAskDiscounted": discounted,
        }

    def _bid_side(self) -> dict[str, str]:
        """The fields that say something about the bid."""
        walk = self._walk
        bid, discounted = walk.text(walk.bid), walk.text(walk.bid_discounted)
        return {
            "Bid": bid,
            "NewUnitMargin": bid,
            "UnitMarginBid": bid,
            "BidDiscounted": discounted,
            "UnitMarginBidDiscounted": discounted,
        }

    def _both_sides(self) -> dict[str, str]:
        """All price fields but the last execution."""
        return {**self._ask_side(), **self._bid_side()}

    def stamp(self, now_ns: int) -> dict[str, str]:
        """
        Give the ``Date`` and ``PriceRateID`` of a message sent now.

        :param now_ns: Wall clock, nanoseconds since 1970.
        """
        # Clocks differ in how fine they are; the last decimal is always drawn.
        ticks = now_ns // 1000 * 10 + self._random.randrange(10)
        self._last_ticks = max(self._last_ticks, ticks)  # a Date never runs backwards
        draw = self._random.random()
        if draw < 0.9:
            self._rate_id += self._random.randint(1, 400)
        elif draw < 0.98:  # updates driven by conversion rates step back; the rest repeats
            self._rate_id -= self._random.randint(1, 400)
        return {"Date": date_text(self._last_ticks), "PriceRateID": str(self._rate_id)}

    def delta(self, mix: Mix, now_ns: int) -> dict[str, str]:
        """
        Move on by one message and give the content of that message.

        :param mix: Shares of the shapes.
        :param now_ns: Wall clock, nanoseconds since 1970.
        """
        shape = FULL if self._needs_both_sides else mix.draw(self._random)
        if shape == HEARTBEAT:
            content = self.stamp(now_ns)
        elif shape == CONVERSION:
            rate = "1.0" if self.state.get("ConversionRateAsk") == "1" else "1"
            content = {"ConversionRateAsk": rate, "ConversionRateBid": rate}
        else:
            content = self._moved(shape)
            if self._random.random() >= mix.undated:
                content.update(self.stamp(now_ns))
            else:
                content["PriceRateID"] = self.stamp(now_ns)["PriceRateID"]
        self.state.update(content)
        return content

    def _moved(self, shape: int) -> dict[str, str]:
        """Let the walk do a step and write down what it changed."""
        walk = self._walk
        if shape == BID:
            walk.move_bid()
            return self._bid_side()
        if shape == ASK:
            walk.move_ask()
            return self._ask_side()
        if shape == LAST:
            walk.move_last_execution()
            return {"LastExecution": walk.text(walk.last_execution)}
        # Few full messages come without a last execution, or with conversion rates.
        kept = walk.move_both(keep_last_execution=self._random.random() < 0.06)
        self._needs_both_sides = False
        content = self._both_sides()
        if not kept:
            content["LastExecution"] = walk.text(walk.last_execution)
        if self._random.random() < 0.02:
            content.update(ConversionRateAsk="1", ConversionRateBid="1")
        return content

    def merge(self, fields: Mapping[str, object]) -> None:
        """
        Take over published fields: the snapshots tell them, and the walk goes on from them.

        :param fields: Wire fields. Values that are not strings are kept as the text of their JSON.
        """
        self.state.update({k: v if isinstance(v, str) else compact(v) for k, v in fields.items()})
        if not self._walk.adopt(fields):
            self._needs_both_sides = True

    def set_active(self, active: bool, reason: str) -> dict[str, str]:
        """
        Open or close the market of this instrument and give the message that says so.

        :param active: Whether it is open.
        :param reason: The wire's ``AvailabilityReason``.
        """
        self.active = active
        content = {"IsInstrumentActive": str(active), "AvailabilityReason": reason}
        self.state.update(content, IsMarketOpen=str(active).lower())
        return content


class Market:
    """
    All instruments, each made when first asked for.

    :param instruments: Ids with their first mid price (None: derived from the seed); None lets
        every id exist.
    :param seed: Same seed, same prices.
    :param mix: Shares of the shapes, one of :data:`MIXES`.
    """

    def __init__(
        self, instruments: Mapping[int, float | None] | None, *, seed: int = 0, mix: str = "liquid"
    ) -> None:
        self._starts = instruments
        self._seed = seed
        self._mix = Mix(mix)
        self._instruments: dict[int, Instrument] = {}

    def knows(self, instrument_id: int) -> bool:
        """Say whether an instrument exists."""
        return self._starts is None or instrument_id in self._starts

    def instrument(self, instrument_id: int, now_ns: int = 0) -> Instrument:
        """
        Give an instrument.

        :param instrument_id: Its id.
        :param now_ns: Wall clock, for the first date of an instrument that is made now.
        :raises ValueError: If it doesn't exist.
        """
        found = self._instruments.get(instrument_id)
        if found is None:
            if not self.knows(instrument_id):
                raise ValueError(
                    f"instrument_id must be one of the simulator's instruments, not {instrument_id}"
                )
            start = self._starts[instrument_id] if self._starts is not None else None
            found = Instrument(instrument_id, self._seed, start)
            found.state.update(found.stamp(now_ns))
            self._instruments[instrument_id] = found
        return found

    def delta(self, instrument_id: int, now_ns: int) -> dict[str, str]:
        """Move an instrument on by one message and give the content of that message."""
        return self.instrument(instrument_id, now_ns).delta(self._mix, now_ns)

    def active(self, instrument_ids: Iterable[int]) -> list[int]:
        """Give those of the instruments that exist and are open, in ascending order."""
        return sorted(i for i in instrument_ids if self.knows(i) and self._is_open(i))

    def _is_open(self, instrument_id: int) -> bool:
        """Say whether an instrument is open, which it is until somebody closes it."""
        made = self._instruments.get(instrument_id)
        return made is None or made.active
