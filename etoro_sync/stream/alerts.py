"""Alerts: a callback for each time that a price crosses a threshold, and not for each price."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..delivery.registration import check_callable
from ..delivery.registry import Handler
from ..errors import EToroValidationError
from ..events import check_flag, check_instrument_id
from ..logs import name_of
from ..models import WsInstrumentRate
from ..numbers import decimals, real
from ..text import show
from .core import StreamCore

__all__ = ["Alert", "Crossing", "make_alert"]

SIDES = ("bid", "ask", "mid", "last_execution")


@dataclass(frozen=True)
class Crossing:
    """What an alert calls its handler with.

    :param instrument_id: whose price it is.
    :param direction: ``"above"`` or ``"below"``: which threshold was crossed.
    :param threshold: the threshold, in the price's currency.
    :param price: the price that has crossed it.
    :param previous: the price before, which was on the other side.
    :param across_gap: between the two the client was not connected: the price may have crossed the
        threshold at any time meanwhile, and several times.
    :param rate: the whole rate.
    """

    instrument_id: int
    direction: str
    threshold: float
    price: float
    previous: float
    across_gap: bool
    rate: WsInstrumentRate = field(repr=False)


@dataclass
class _Threshold:
    """One side of an alert. Pure.

    :param direction: ``"above"`` or ``"below"``.
    :param price: where it lies.
    :param hysteresis: how far the price has to come back before it may fire again.
    """

    direction: str
    price: float
    hysteresis: float
    #: Whether a price beyond is a crossing. From the beginning, because the hysteresis is for the
    #: way back: a first price that is near has crossed nothing yet.
    armed: bool = True

    def __post_init__(self) -> None:
        self._is_above = self.direction == "above"
        back = self.price - self.hysteresis if self._is_above else self.price + self.hysteresis
        # Floats cannot represent most decimal fractions: 1.1 - 0.1 is a little more than 1.0 is.
        self._back = round(back, max(decimals(self.price), decimals(self.hysteresis)))

    def crossed_by(self, price: float) -> bool:
        """Take the next price; return whether it is a crossing, if another price came before."""
        if price >= self.price if self._is_above else price <= self.price:
            fires, self.armed = self.armed, False
            return fires
        if price < self._back if self._is_above else price > self._back:
            self.armed = True
        return False


class Alert:
    """Calls a handler once for each crossing. Made by :meth:`~etoro_sync.MarketStream.alert`.

    It can be called as the handler itself can. All that it remembers is changed on the thread of
    the callbacks alone. It does not refer to the stream, which would otherwise never be collected
    while its threads know the alert.

    :param core: of the stream.
    :param handler: called with a :class:`Crossing`.
    :param instrument_id: whose price is watched.
    :param thresholds: one or two.
    :param side: of the rate.
    :param once: the first crossing is the last one.
    """

    def __init__(
        self,
        core: StreamCore,
        handler: Callable[[Crossing], Any],
        instrument_id: int,
        thresholds: list[_Threshold],
        side: str,
        once: bool,
    ) -> None:
        functools.update_wrapper(self, handler, updated=())
        self._registry = core.registry
        self._lifecycle = core.lifecycle
        self._guard = core.guard
        self._call = handler
        self.instrument_id = instrument_id
        self._thresholds = thresholds
        self._side = side
        self._once = once
        # The last price, with the session and the generation that it is of; None: none has come.
        self._last: tuple[float, tuple[int, int]] | None = None

        def look(number: int, rate: WsInstrumentRate) -> None:
            self._look(number, rate)

        # Logs of errors and of slow callbacks name the user's function.
        look.__qualname__ = name_of(handler)
        self._registered = Handler(look, instrument_id, once=False)
        core.registry.add("instrument:rate", self._registered)
        core.source.listeners_changed()

    def __call__(self, crossing: Crossing) -> Any:
        """Call the handler.

        :param crossing: what it is called with.
        """
        return self._call(crossing)

    def _look(self, instrument_id: int, rate: WsInstrumentRate) -> None:
        """Take the next rate. The thread of the callbacks."""
        price = getattr(rate, self._side)
        if not price or not math.isfinite(price):  # eToro sends 0 for no valid last execution
            return
        if self._side == "mid" and not (rate.bid and rate.ask):
            return
        # A source that is played begins with the same generation each time.
        connection = (self._lifecycle.session, rate.generation)
        last, self._last = self._last, (price, connection)
        crossed = [each for each in self._thresholds if each.crossed_by(price)]
        if last is None:
            return
        for each in crossed:
            if self._once:
                self.cancel()
            self._call(
                Crossing(
                    instrument_id,
                    each.direction,
                    each.price,
                    price,
                    last[0],
                    last[1] != connection,
                    rate,
                )
            )

    def cancel(self) -> None:
        """Fire no more. Any thread; idempotent."""
        if self._guard.foreign:
            return  # a lock may be held by a thread that fork() has not copied
        self._registry.discard("instrument:rate", self._registered)
        self._registered.spent = True

    def __repr__(self) -> str:
        marks = ", ".join(f"{each.direction} {each.price:.15g}" for each in self._thresholds)
        return f"<Alert {self._side} of instrument {self.instrument_id} {marks}>"


def make_alert(
    core: StreamCore,
    instrument_id: int,
    above: float | None,
    below: float | None,
    side: str,
    hysteresis: float,
    once: bool,
) -> Callable[[Callable[[Crossing], Any]], Alert]:
    """Return what makes an alert of a handler; :raises EToroValidationError: for its arguments."""
    number = check_instrument_id(instrument_id)
    back = real(hysteresis)
    if back is None or not 0 <= back < math.inf:
        raise EToroValidationError(
            f"hysteresis must be a distance in the price's currency, 0 or more, not "
            f"{show(hysteresis, 60)}.",
            "hysteresis",
        )
    marks = [
        (direction, _price(direction, value))
        for direction, value in (("above", above), ("below", below))
        if value is not None
    ]
    if not marks:
        raise EToroValidationError("Name a threshold: above=, below=, or both.", "above")
    if side not in SIDES:
        raise EToroValidationError(
            f"side must be one of {', '.join(SIDES)}, not {show(side, 60)}.", "side"
        )
    is_once = check_flag("once", once)

    def make(handler: Callable[[Crossing], Any]) -> Alert:
        check_callable(handler, "(Crossing)")
        thresholds = [_Threshold(direction, price, float(back)) for direction, price in marks]
        return Alert(core, handler, number, thresholds, side, is_once)

    return make


def _price(name: str, value: Any) -> float:
    price = real(value)
    if price is None or not 0 < price < math.inf:
        raise EToroValidationError(
            f"{name} must be a price greater than 0, not {show(value, 60)}.", name
        )
    return float(price)
