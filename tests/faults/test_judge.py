"""The judge of the fault matrix, and its account of messages: they notice what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from etoro_sync import WsGap

from .expectations import MARGIN, seconds
from .judge import broken
from .measurement import Measurement
from .scenarios import SCENARIOS
from .traffic import ORDERS, Sent, longest_transit, losses
from .witness import Delivered

CALLS = {
    "for ... in queue (rates)": "returned",
    "for ... in queue (orders)": "returned",
    "for ... in stream()": "returned",
    "run_forever()": "returned",
    "get()": "EToroClosedError",
    "wait_for()": "EToroClosedError",
}
GOOD = Measurement(
    "live-mute",
    events=["close 1006", "reconnecting", "open", "authenticated", "reconnected"],
    detected=0.8,
    recovered=0.1,
    state="LIVE",
    sent=100,
    inside=90,
    disconnected=0.01,
    calls=CALLS,
)
MUTE = SCENARIOS["live-mute"]


def test_a_good_measurement_breaks_nothing() -> None:
    """Retries in between are none of the user's sorrows."""
    assert broken(MUTE, GOOD) == []
    events = [*GOOD.events[:2], "error EToroWebSocketError", *GOOD.events[1:]]
    assert broken(MUTE, replace(GOOD, events=events)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"detected": None}, "detection: never"),
        ({"detected": 100.0}, "detection: after 100.00 s"),
        ({"recovered": None}, "recovery: never"),
        ({"recovered": 100.0}, "recovery: after 100.00 s"),
        ({"disconnected": 100.0}, "disconnect(): after"),
        ({"late": 100.0}, "the blocked calls' end: after"),
        ({"events": []}, "events: none; expected: close"),
        ({"events": GOOD.events[:-1]}, "events: close 1006, reconnecting, open, authenticated;"),
        ({"events": ["close 1006", *GOOD.events]}, "events: close 1006, close 1006"),
        ({"events": ["stale", *GOOD.events]}, "events: stale"),
        ({"state": "RECONNECTING"}, "state: RECONNECTING, not LIVE"),
        ({"calls": {**CALLS, "get()": "still waits"}}, "get(): still waits, not EToroClosedError"),
        ({"calls": {}}, "no blocked call was watched"),
        ({"raised": "KeyError"}, "the call: KeyError"),
        ({"outside": ["queue of 18: [7] (1)"]}, "lost outside of the gap: queue of 18"),
        ({"different": ["18: 1.0, not 2"]}, "not the same on both sides: 18: 1.0, not 2"),
        ({"threads": ["etoro-sync-reader-1"]}, "threads left: etoro-sync-reader-1"),
        ({"descriptors": ["socket:[1]"]}, "descriptors left: socket:[1]"),
    ],
)
def test_each_broken_promise_has_its_line(change: dict[str, Any], words: str) -> None:
    """One line for one promise."""
    (line,) = broken(MUTE, replace(GOOD, **change))
    assert line.startswith(words)


def test_a_machine_that_stood_still_is_no_broken_promise() -> None:
    """What the pulse has measured is added to each bound, and no more."""
    bound = seconds(MUTE.expect.within, MUTE.all_options)
    late = replace(GOOD, detected=bound + MARGIN * MUTE.slowness + 1.0)
    assert broken(MUTE, late)
    assert broken(MUTE, replace(late, held_up=1.1)) == []


def came(*numbers: int, generation: int = 1) -> list[Delivered]:
    return [Delivered(number, generation, 0.0) for number in numbers]


SENT = [Sent(number, float(number)) for number in range(1, 9)]
GAP = WsGap(3.0, 6.0, 2, ())


def test_what_is_missing_in_a_gap_is_inside() -> None:
    """Its ends included."""
    delivered = came(1, 2) + came(7, 8, generation=2)
    assert losses(SENT, delivered, [GAP], 0.0) == ([3, 4, 5, 6], [])


def test_what_is_missing_without_a_gap_is_outside() -> None:
    """At the end, too."""
    assert losses(SENT, came(1, 2, 4, 5, 6), [], 0.0) == ([], [3, 7, 8])


def test_what_was_sent_before_or_after_a_gap_is_outside() -> None:
    """Unless it was under way when the last message was received."""
    delivered = came(1) + came(8, generation=2)
    assert losses(SENT, delivered, [GAP], 0.0) == ([3, 4, 5, 6], [2, 7])
    assert losses(SENT, delivered, [GAP], 1.0) == ([2, 3, 4, 5, 6], [7])


def test_within_one_connection_no_gap_explains_a_loss() -> None:
    """Even where the times fit."""
    delivered = came(1, 2, 4) + came(7, 8, generation=2)
    assert losses(SENT, delivered, [GAP], 0.0) == ([5, 6], [3])


def test_the_longest_transit_is_not_that_of_a_snapshot() -> None:
    """The first rate of a connection and a repetition may tell of what was sent long ago."""
    rates = [(1, 1, 90.0), (2, 1, 2.5), (2, 1, 80.0), (4, 2, 70.0), (5, 2, 5.25)]
    delivered = {
        ("queue", 18): [Delivered(*each) for each in rates],
        ("queue", ORDERS): [Delivered(7, 0, 7.125)],
    }
    assert longest_transit({18: SENT, ORDERS: SENT}, delivered) == 0.5
