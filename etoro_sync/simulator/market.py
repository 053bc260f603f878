"""What the simulated market says, apart from who hears it. No thread, no socket, no clock."""

from collections.abc import Iterable, Mapping
from random import Random

from .price_walk import PriceWalk
from .profile import ASK, BID, CONVERSION, FULL, HEARTBEAT, LAST, OWN, Mix, mix_named, profile_of
from .snapshots import constants, flag_text, markups
from .wire import compact, date_text

# The wire has its fields in this order, whichever of them a message has.
_ORDER = (
    *("Ask", "Bid", "LastExecution", "ConversionRateAsk", "ConversionRateBid", "Date"),
    *("NewUnitMargin", "UnitMarginAsk", "UnitMarginBid", "PriceRateID"),
    *("BidDiscounted", "AskDiscounted", "UnitMarginBidDiscounted", "UnitMarginAskDiscounted"),
)


def _in_order(fields: Mapping[str, str]) -> dict[str, str]:
    """Sort the fields of a rate as the wire does."""
    return {name: fields[name] for name in _ORDER if name in fields}


def _discounted(bid: str, ask: str) -> dict[str, str]:
    """The fields that say something about the discounted prices."""
    return {
        "BidDiscounted": bid,
        "AskDiscounted": ask,
        "UnitMarginBidDiscounted": bid,
        "UnitMarginAskDiscounted": ask,
    }


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
        self.openings = 0
        self.profile = profile_of(instrument_id, random)
        self._random = random
        self._mix = Mix(self.profile.shares)
        start = start or round(10 ** random.uniform(0.3, 3.7), 2)
        self._walk = PriceWalk(start, random, self.profile.behavior)
        self._conversion = self.profile.conversion
        self._rate_id = 139_000_000_000 + random.randrange(900_000_000)
        self._last_ticks = 0
        self._needs_both_sides = False
        self._unsettled = False
        self.state: dict[str, str] = self._first_state(instrument_id)

    @property
    def bid(self) -> float:
        """The current bid as a number."""
        return float(self._walk.text(self._walk.bid))

    def _first_state(self, instrument_id: int) -> dict[str, str]:
        """Build every field that a snapshot has; the dates are filled in by the first stamp."""
        prices = self._ask_side() | self._bid_side() | self._conversion_rates()
        prices |= {"Date": date_text(0), "PriceRateID": str(self._rate_id)}
        rest = constants(instrument_id, self._walk, self.profile, self._random)
        return {"InstrumentID": str(instrument_id), **_in_order(prices), **rest}

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
        """The fields that say something about the bid, and the last execution that comes along."""
        walk = self._walk
        bid, discounted = walk.text(walk.bid), walk.text(walk.bid_discounted)
        return {
            "Bid": bid,
            "LastExecution": walk.text(walk.last_execution),
            "NewUnitMargin": bid,
            "UnitMarginBid": bid,
            "BidDiscounted": discounted,
            "UnitMarginBidDiscounted": discounted,
        }

    def _conversion_rates(self) -> dict[str, str]:
        """The rates into dollars. A rate of 1 is written in two ways, which mean the same."""
        if self.profile.conversion == 1:
            one = "1.0" if self._unsettled else "1"
            return {"ConversionRateAsk": one, "ConversionRateBid": one}
        bid = f"{self._conversion:.6g}"
        return {"ConversionRateAsk": f"{self._conversion * 1.0001:.6g}", "ConversionRateBid": bid}

    def stamp(self, now_ns: int) -> dict[str, str]:
        """
        Give the ``Date`` and ``PriceRateID`` of a message sent now; neither ever runs backwards.

        :param now_ns: Wall clock, nanoseconds since 1970.
        """
        # Clocks differ in how fine they are; the last decimal is always drawn.
        ticks = now_ns // 1000 * 10 + self._random.randrange(10)
        self._last_ticks = max(self._last_ticks, ticks)
        self._rate_id += self._random.randint(1, 400)
        return {"Date": date_text(self._last_ticks), "PriceRateID": str(self._rate_id)}

    def delta(self, mix: Mix | None, now_ns: int) -> dict[str, str]:
        """
        Move on by one message and give the content of that message.

        :param mix: Shares of the shapes; None is the instrument's own.
        :param now_ns: Wall clock, nanoseconds since 1970.
        """
        shape = FULL if self._needs_both_sides else (mix or self._mix).draw(self._random)
        if self._unsettled:
            content = self._settled(shape, now_ns)
        elif shape == CONVERSION:
            content = self._converted()
        else:
            content = self._moved(shape) | self.stamp(now_ns)
        self.state.update(content)
        return _in_order(content)

    def _moved(self, shape: int) -> dict[str, str]:
        """Let the walk do a step and write down what it changed."""
        walk = self._walk
        if shape == HEARTBEAT:
            return {}
        if shape == BID:
            walk.move_bid()
            return self._bid_side()
        if shape == ASK:
            walk.move_ask()
            return self._ask_side()
        if shape == LAST:
            walk.move_last_execution()
            return {"LastExecution": walk.text(walk.last_execution)}
        last_moved = walk.move_both()
        self._needs_both_sides = False
        content = self._ask_side() | self._bid_side()
        if not last_moved:
            del content["LastExecution"]
        return content

    def _converted(self, *, whole: bool = False) -> dict[str, str]:
        """
        Change the conversion rates, and the discounted prices with them.

        Such a message has no ``Date``, and its id belongs to an older price than the last one. So
        do its discounted prices, which may lie outside of the spread until the next message.

        :param whole: Leave out none of these; few messages have only the rates, or no id.
        """
        self._unsettled = True
        self._conversion *= 1 + self._random.uniform(-1e-4, 1e-4)
        content = self._conversion_rates()
        draw = 0.0 if whole else self._random.random()
        if draw < 0.93:
            content["PriceRateID"] = str(self._rate_id - self._random.randint(20, 90))
        if draw < 0.85:
            walk, stray = self._walk, self._walk.stray()
            prices = walk.bid_discounted + stray, walk.ask_discounted + stray
            bid, ask = (walk.text(max(1, price)) for price in prices)
            content |= _discounted(*(p if "." in p else f"{p}.0" for p in (bid, ask)))
        return content

    def _settled(self, shape: int, now_ns: int) -> dict[str, str]:
        """End what :meth:`_converted` has begun: the next message puts the prices right."""
        self._unsettled = False
        rates, walk = self._conversion_rates(), self._walk
        if shape in (HEARTBEAT, CONVERSION):
            prices = walk.text(walk.bid_discounted), walk.text(walk.ask_discounted)
            return rates | _discounted(*prices) | self.stamp(now_ns)
        return rates | self._moved(FULL) | self.stamp(now_ns)

    def merge(self, fields: Mapping[str, object]) -> None:
        """
        Take over published fields: the snapshots tell them, and the walk goes on from them.

        :param fields: Wire fields. Values that are not strings are kept as the text of their JSON.
        """
        if not self._walk.adopt(fields):
            self._needs_both_sides = True
        self.state.update(markups(self._walk))
        self.state.update({k: v if isinstance(v, str) else compact(v) for k, v in fields.items()})

    def set_active(self, active: bool, reason: str) -> dict[str, str]:
        """
        Open or close the market of this instrument and give the message that says so.

        :param active: Whether it is open.
        :param reason: The wire's ``AvailabilityReason``; an empty one is left out.
        """
        self.active = active
        self.openings += active
        # What comes first after an opening has both sides and the conversion rates.
        self._needs_both_sides = self._needs_both_sides or active
        self._unsettled = self._unsettled or active
        said = {"AvailabilityReason": reason} if reason else {}
        flags = dict.fromkeys(("IsInstrumentActive", "IsMarketOpen"), flag_text(active))
        self.state.update(flags | said)
        return {"IsInstrumentActive": str(active), **said}

    def opened(self) -> dict[str, str]:
        """Give the content of the rate that carries the flags, some time after an opening."""
        content = self._converted(whole=True)
        self.state.update(content)
        flags = dict.fromkeys(("IsInstrumentActive", "IsMarketOpen"), flag_text(True))
        return flags | _in_order(content)


class Market:
    """
    All instruments, each made when first asked for.

    :param instruments: Ids with their first mid price (None: derived from the seed); None lets
        every id exist.
    :param seed: Same seed, same prices.
    :param mix: Shares of the shapes, one of :data:`~etoro_sync.simulator.profile.MIXES`.
    """

    def __init__(
        self, instruments: Mapping[int, float | None] | None, *, seed: int = 0, mix: str = OWN
    ) -> None:
        self._starts = instruments
        self._seed = seed
        self._mix = mix_named(mix)
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
