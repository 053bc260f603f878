"""The account of messages: which did not arrive, in which order the others did. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from etoro_sync import WsGap

from .expectations import Order
from .observer import Delivered
from .traffic import Sent

__all__ = ["TRANSIT", "disorder", "losses", "odd_gap"]

#: Seconds that a message may be under way on a machine that is not busy.
TRANSIT = 0.05


def losses(
    sent: Sequence[Sent],
    delivered: Iterable[Delivered],
    gaps: Sequence[WsGap],
    transit: float,
    withheld: float = 0.0,
) -> tuple[list[int], list[int]]:
    """Return the numbers that did not arrive, inside and outside of the gaps.

    :param transit: the longest that a message may be under way: a gap begins when all that had come
        was read, and what was sent before may have come later.
    :param withheld: how long, behind a gap, prices may be held back.
    """
    came = {each.number: each.generation for each in delivered}
    spans = [(gap.from_ - transit, gap.until + withheld) for gap in gaps]
    inside: list[int] = []
    outside: list[int] = []
    before = 0  # the generation of the last one that came
    missing: list[Sent] = []
    for message in sent:
        if message.number not in came:
            missing.append(message)
            continue
        generation = came[message.number]
        # Between two messages of the same connection nothing can be lost by a gap.
        _sort(missing, inside, outside, [] if generation == before != 0 else spans)
        before, missing = generation, []
    _sort(missing, inside, outside, spans)
    return inside, outside


def _sort(
    missing: list[Sent],
    inside: list[int],
    outside: list[int],
    spans: Sequence[tuple[float, float]],
) -> None:
    for number, at in missing:
        explained = any(begin <= at <= end for begin, end in spans)
        (inside if explained else outside).append(number)


def disorder(came: Sequence[Delivered], order: Order, *, prices: bool) -> list[str]:
    """Return what came twice or in the wrong order on one way.

    :param order: what the fault has made of it.
    :param prices: a snapshot may repeat the last one, once in each connection.
    """
    generations = [each.generation for each in came]
    wrong = [f"connection {b} behind {a}" for a, b in pairwise(generations) if b < a]
    for generation in sorted(set(generations)):
        numbers = [each.number for each in came if each.generation == generation]
        wrong += _disorder(numbers, order, 1 if prices else 0)
    if order is not Order.PAIRS:
        lasts = [(a.number, b.number) for a, b in pairwise(came) if a.generation < b.generation]
        wrong += [f"{b} behind {a} of the connection before" for a, b in lasts if b < a]
    return wrong


def _disorder(numbers: list[int], order: Order, snapshots: int) -> list[str]:
    """Return the same of one connection."""
    if order is Order.PAIRS:
        # One place for the pair, and one for a snapshot in between.
        places = sorted(range(len(numbers)), key=numbers.__getitem__)
        far = [i for place, i in enumerate(places) if abs(place - i) > 2]
        return [f"{numbers[i]} far out of place" for i in far]
    wrong = [f"{b} behind {a}" for a, b in pairwise(numbers) if b < a]
    if order is Order.RISING:
        twice = [b for a, b in pairwise(numbers) if b == a]
        wrong += [f"{number} once more" for number in twice[snapshots:]]
    return wrong


def odd_gap(gap: WsGap, last: float, told: float, tolerance: float) -> str:
    """Say what is wrong with the ends of a gap; nothing: the empty string.

    :param last: when the last message before it was received, or the last accepted keys were sent.
    :param told: when it was told.
    :param tolerance: seconds.
    """
    if gap.from_ < last - tolerance:
        return f"it begins {last - gap.from_:.2f} s before the last message"
    if not gap.from_ <= gap.until <= told + tolerance:
        return f"it ends {gap.until - told:.2f} s after it was told"
    return ""
