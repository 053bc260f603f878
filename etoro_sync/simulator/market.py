"""The simulated market: the contents of messages, not who receives them. Pure."""

from collections.abc import Iterable, Mapping
from random import Random

from .price_walk import PriceWalk
from .profile import ASK, BID, CONVERSION, FULL, HEARTBEAT, LAST, OWN, Mix, mix_named, profile_of
from .snapshots import constants, flag_text, markups
from .wire import ACTIVE, SNAPSHOT, compact, date_text

# The order in which the real feed sends the fields of a message.
_ORDER = (
    *("Ask", "Bid", "LastExecution", "ConversionRateAsk", "ConversionRateBid", "Date"),
    *("NewUnitMargin", "UnitMarginAsk", "UnitMarginBid", "PriceRateID"),
    *("BidDiscounted", "AskDiscounted", "UnitMarginBidDiscounted", "UnitMarginAskDiscounted"),
)


def _in_order(fields: Mapping[str, str]) -> dict[str, str]:
    """Sort the fields of a rate into the order of the real feed."""
    return {name: fields[name] for name in _ORDER if name in fields}


def _discounted(bid: str, ask: str) -> dict[str, str]:
    """Return the fields that carry the discounted prices."""
    return {
        "BidDiscounted": bid,
        "AskDiscounted": ask,
        "UnitMarginBidDiscounted": bid,
        "UnitMarginAskDiscounted": ask,
    }


class Instrument:
    """One instrument: its prices, and its state with the fields of a snapshot.

    It has a random generator of its own, so that its prices depend on the seed and on the number
    of its messages, but not on the other instruments.

    :param instrument_id: the id.
    :param seed: the simulator's seed.
    :param start: the first mid price; None derives one from the seed and the id.
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
        """Build all fields of a snapshot; the first :meth:`stamp` fills in the date."""
        prices = self._ask_side() | self._bid_side() | self._conversion_rates()
        prices |= {"Date": date_text(0), "PriceRateID": str(self._rate_id)}
        rest = constants(instrument_id, self._walk, self.profile, self._random)
        return {"InstrumentID": str(instrument_id), **_in_order(prices), **rest}

    def _ask_side(self) -> dict[str, str]:
        """Return the fields that carry the ask."""
        walk = self._walk
        ask, discounted = walk.text(walk.ask), walk.text(walk.ask_discounted)
        return {
            "Ask": ask,
            "UnitMarginAsk": ask,
            "AskDiscounted": discounted,
            "UnitMarginAskDiscounted": discounted,
        }

    def _bid_side(self) -> dict[str, str]:
        """Return the fields that carry the bid, and the last execution, which is sent with it."""
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
        """Return the rates into dollars. A rate of 1 is written as "1" or as "1.0"."""
        if self.profile.conversion == 1:
            one = "1.0" if self._unsettled else "1"
            return {"ConversionRateAsk": one, "ConversionRateBid": one}
        bid = f"{self._conversion:.6g}"
        return {"ConversionRateAsk": f"{self._conversion * 1.0001:.6g}", "ConversionRateBid": bid}

    def stamp(self, now_ns: int) -> dict[str, str]:
        """Return the ``Date`` and ``PriceRateID`` of a message sent now; both never decrease.

        :param now_ns: wall clock, nanoseconds since 1970.
        """
        # The last decimal is always random, since not every clock is fine enough to give it.
        ticks = now_ns // 1000 * 10 + self._random.randrange(10)
        self._last_ticks = max(self._last_ticks, ticks)
        self._rate_id += self._random.randint(1, 400)
        return {"Date": date_text(self._last_ticks), "PriceRateID": str(self._rate_id)}

    def delta(self, mix: Mix | None, now_ns: int) -> dict[str, str]:
        """Move the prices and return the content of the next message.

        :param mix: how often each kind of message comes; None is the instrument's own mix.
        :param now_ns: wall clock, nanoseconds since 1970.
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
        """Move the prices and return the fields that have changed."""
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
        """Change the conversion rates, and with them the discounted prices.

        Such a message has no ``Date``, and the id of an older price. Its discounted prices are old
        as well: they may lie outside of the spread until the next message.

        :param whole: include all these fields; some messages have only the rates, or no id.
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
        """Return the message after :meth:`_converted`, which corrects the discounted prices."""
        self._unsettled = False
        rates, walk = self._conversion_rates(), self._walk
        if shape in (HEARTBEAT, CONVERSION):
            prices = walk.text(walk.bid_discounted), walk.text(walk.ask_discounted)
            return rates | _discounted(*prices) | self.stamp(now_ns)
        return rates | self._moved(FULL) | self.stamp(now_ns)

    def merge(self, fields: Mapping[str, object]) -> None:
        """Merge published fields into the state; the prices move on from them.

        :param fields: fields by wire name. Values that are not strings are kept as JSON text.
        """
        if not self._walk.adopt(fields):
            self._needs_both_sides = True
        self.state.update(markups(self._walk))
        self.state.update({k: v if isinstance(v, str) else compact(v) for k, v in fields.items()})

    def set_active(self, active: bool, reason: str) -> dict[str, str]:
        """Open or close the market of this instrument and return the content of that message.

        :param active: whether it is open.
        :param reason: the ``AvailabilityReason``; an empty one is left out.
        """
        self.active = active
        self.openings += active
        # The first rate after an opening has both sides and the conversion rates.
        self._needs_both_sides = self._needs_both_sides or active
        self._unsettled = self._unsettled or active
        said = {"AvailabilityReason": reason} if reason else {}
        flags = dict.fromkeys(("IsInstrumentActive", "IsMarketOpen"), flag_text(active))
        self.state.update(flags | said)
        return {"IsInstrumentActive": str(active), **said}

    def opened(self) -> dict[str, str]:
        """Return the content of the rate with the flags, which follows an opening later."""
        content = self._converted(whole=True)
        self.state.update(content)
        flags = dict.fromkeys(("IsInstrumentActive", "IsMarketOpen"), flag_text(True))
        return flags | _in_order(content)


class Market:
    """All instruments; each is created when it is first used.

    :param instruments: ids with their first mid prices (None: derived from the seed); None lets
        every id exist.
    :param seed: the same seed gives the same prices.
    :param mix: one of :data:`~etoro_sync.simulator.profile.MIXES`.
    :param usual: first mid prices of instruments for which none is given.
    """

    def __init__(
        self,
        instruments: Mapping[int, float | None] | None,
        *,
        seed: int = 0,
        mix: str = OWN,
        usual: Mapping[int, float] | None = None,
    ) -> None:
        self._starts = instruments
        self._usual = usual or {}
        self._seed = seed
        self._mix = mix_named(mix)
        self._instruments: dict[int, Instrument] = {}
        # The states of instruments whose messages are relayed from elsewhere.
        self._relayed: dict[int, dict[str, str]] = {}

    def follow(self, instrument_id: int, message_type: str, fields: Mapping[str, str]) -> None:
        """Merge a relayed message; the instrument has no prices of this market from then on.

        :param instrument_id: its id.
        :param message_type: the type on the wire.
        :param fields: its content.
        """
        if message_type == SNAPSHOT:
            self._relayed[instrument_id] = {"InstrumentID": str(instrument_id), **fields}
            return
        state = self._relayed.setdefault(instrument_id, {"InstrumentID": str(instrument_id)})
        if message_type == ACTIVE:
            flag = fields.get("IsInstrumentActive", "").lower()
            fields = {**fields, "IsInstrumentActive": flag, "IsMarketOpen": flag}
        state.update(fields)

    def forget_relayed(self) -> None:
        """Know nothing of what was relayed."""
        self._relayed.clear()

    def snapshot(self, instrument_id: int, now_ns: int) -> Mapping[str, str] | None:
        """Return the content of a snapshot; None when there is none to send.

        :param instrument_id: its id.
        :param now_ns: wall clock, as for :meth:`instrument`.
        """
        relayed = self._relayed.get(instrument_id)
        if relayed is not None:
            return relayed if {"Ask", "Bid"} <= relayed.keys() else None
        known = self.knows(instrument_id)
        return self.instrument(instrument_id, now_ns).state if known else None

    def knows(self, instrument_id: int) -> bool:
        """Return whether an instrument exists."""
        return self._starts is None or instrument_id in self._starts

    def instrument(self, instrument_id: int, now_ns: int = 0) -> Instrument:
        """Return an instrument.

        :param instrument_id: its id.
        :param now_ns: wall clock, for the first date of an instrument that is created now.
        :raises ValueError: if it does not exist.
        """
        found = self._instruments.get(instrument_id)
        if found is None:
            if not self.knows(instrument_id):
                raise ValueError(
                    f"instrument_id must be one of the simulator's instruments, not {instrument_id}"
                )
            start = self._starts[instrument_id] if self._starts is not None else None
            start = start or self._usual.get(instrument_id)
            found = Instrument(instrument_id, self._seed, start)
            found.state.update(found.stamp(now_ns))
            self._instruments[instrument_id] = found
        return found

    def delta(self, instrument_id: int, now_ns: int) -> dict[str, str]:
        """Return the content of the next message of an instrument."""
        return self.instrument(instrument_id, now_ns).delta(self._mix, now_ns)

    def active(self, instrument_ids: Iterable[int]) -> list[int]:
        """Return the given instruments that exist and are open, in ascending order."""
        return sorted(i for i in instrument_ids if self.knows(i) and self._is_open(i))

    def _is_open(self, instrument_id: int) -> bool:
        """Return whether an instrument is open; it is until :meth:`Instrument.set_active`."""
        made = self._instruments.get(instrument_id)
        return made is None or made.active
