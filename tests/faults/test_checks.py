"""The checks of the fault matrix, and its account of messages: each mistake is noticed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from etoro_sync import WsGap

from .account import disorder, losses, odd_gap
from .checks import broken
from .expectations import EARLY, MARGIN, Order, Outcome, seconds
from .measurement import Measurement, Wait
from .observer import Delivered
from .scenarios import SCENARIOS
from .traffic import Sent

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
    struck=1,
    events=["close 1006", "reconnecting", "open", "authenticated", "reconnected"],
    waits=[Wait(1, 0.04, 0.05)],
    detected=0.8,
    recovered=0.1,
    flowing=0.01,
    state="LIVE",
    sent=100,
    inside=90,
    disconnected=0.01,
    calls=CALLS,
    late=0.0,
)
MUTE = SCENARIOS["live-mute"]


def test_a_good_measurement_breaks_nothing() -> None:
    """Retries in between are none of the user's sorrows."""
    assert broken(MUTE, GOOD) == []
    events = [*GOOD.events[:2], "error EToroWebSocketError", *GOOD.events[1:]]
    waits = [*GOOD.waits, Wait(2, 0.1, 0.101)]
    assert broken(MUTE, replace(GOOD, events=events, waits=waits)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"struck": 0}, "the fault never struck"),
        ({"struck": None}, "the fault never struck"),
        ({"detected": None}, "detection: never"),
        ({"detected": 100.0}, "detection: after 100.00 s"),
        ({"detected": 1.6}, "detection: after 1.60 s"),
        ({"detected": 0.4}, "detection: after 0.40 s already"),
        ({"recovered": None}, "recovery: never"),
        ({"recovered": 100.0}, "recovery: after 100.00 s"),
        ({"flowing": None}, "the last messages: never"),
        ({"flowing": 0.3}, "the last messages: after 0.30 s"),
        ({"disconnected": None}, "disconnect(): never"),
        ({"disconnected": 0.7}, "disconnect(): after"),
        ({"late": None}, "the blocked calls' end: never"),
        ({"late": 0.2}, "the blocked calls' end: after"),
        ({"events": [*GOOD.events[:4], "stale", GOOD.events[4]]}, "events: close 1006, reconn"),
        ({"events": GOOD.events[:-1]}, "events: close 1006, reconnecting, open, authenticated;"),
        ({"events": ["close 1006", *GOOD.events]}, "events: close 1006, close 1006"),
        ({"events": ["close 1000", *GOOD.events[1:]]}, "events: close 1000"),
        ({"events": ["stale", *GOOD.events]}, "events: stale"),
        ({"waits": []}, "0 waits were noted"),
        ({"waits": [Wait(2, 0.04, 0.05)]}, "attempt 1: it was told as 2"),
        ({"waits": [Wait(1, 0.06, 0.06)]}, "attempt 1: told to wait 0.06 s, not 0.00 to 0.05 s"),
        ({"waits": [Wait(1, -0.01, 0.0)]}, "attempt 1: told to wait -0.01 s"),
        ({"waits": [Wait(1, 0.05, 0.3)]}, "attempt 1: after 0.30 s, though told to wait 0.05 s"),
        ({"state": "RECONNECTING"}, "state: RECONNECTING, not LIVE"),
        ({"calls": {**CALLS, "get()": "still waits"}}, "get(): still waits, not EToroClosedError"),
        ({"calls": {k: v for k, v in CALLS.items() if k != "get()"}}, "get(): not in use, not"),
        ({"again": {"get()": "EToroClosedError"}}, "get(): EToroClosedError, not in use"),
        ({"raised": "KeyError"}, "the call: KeyError"),
        ({"sent": 0}, "no message was sent"),
        ({"outside": ["queue of 18: [7] (1)"]}, "lost outside of the gap: queue of 18"),
        ({"disorder": ["queue of 0: 7 once more"]}, "out of order: queue of 0: 7 once more"),
        ({"gaps": ["it begins 9.00 s before"]}, "the gap: it begins 9.00 s before"),
        ({"different": ["18: 1.0, not 2"]}, "not the same on both sides: 18: 1.0, not 2"),
        ({"threads": ["etoro-sync-reader-1"]}, "threads left: etoro-sync-reader-1"),
        ({"descriptors": ["socket:[1]"]}, "descriptors left: socket:[1]"),
    ],
)
def test_each_broken_promise_has_its_line(change: dict[str, Any], words: str) -> None:
    """One line for one promise."""
    (line,) = broken(MUTE, replace(GOOD, **change))
    assert line.startswith(words)


def test_nothing_that_was_not_measured_is_kept() -> None:
    """A record that nobody has filled in breaks every promise that it could keep."""
    lines = broken(MUTE, Measurement("live-mute"))
    assert sum(": never, " in line for line in lines) == 5
    assert sum("not in use" in line for line in lines) == len(CALLS)


PATIENT = SCENARIOS["authenticate-reject-TooManyRequests"]
REFUSED = replace(
    GOOD,
    scenario=PATIENT.id,
    events=["close 1006", "reconnecting", "open", *GOOD.events],
    waits=[Wait(1, 0.04, 0.05), Wait(2, 0.45, 0.46)],
    detected=0.01,
    recovered=0.5,
)


def test_who_is_asked_for_patience_has_it() -> None:
    """Half of the longest wait, as it is told and as it is, whatever the attempt's number."""
    assert broken(PATIENT, REFUSED) == []
    for wait, words in (
        (Wait(2, 0.1, 0.11), "attempt 2: told to wait 0.10 s, not 0.30 to 0.60 s"),
        (Wait(2, 0.45, 0.11), "attempt 2: after 0.11 s, though told to wait 0.45 s"),
        (Wait(2, 0.65, 0.66), "attempt 2: told to wait 0.65 s, not 0.30 to 0.60 s"),
    ):
        waits = [REFUSED.waits[0], wait]
        assert broken(PATIENT, replace(REFUSED, waits=waits)) == [words]


def test_recovery_from_a_request_for_patience_takes_its_time() -> None:
    """As it is measured, whatever was told."""
    (line,) = broken(PATIENT, replace(REFUSED, recovered=0.2))
    assert line == "recovery: after 0.20 s already, instead of 0.25 s at least"


def test_the_class_of_an_error_counts() -> None:
    """In `error`, and from connect()."""
    scenario = SCENARIOS["live-bad_json"]
    told = replace(GOOD, events=["error EToroValidationError"], waits=[], detected=0.0)
    assert broken(scenario, told) == []
    (none, other) = broken(scenario, replace(told, events=["error EToroTimeoutError"]))
    assert none == "events: no error EToroValidationError was told"
    assert other.startswith("events: error EToroTimeoutError; expected: none")


def test_after_a_failed_connect_everything_is_in_use_again() -> None:
    """What began before it ends with the error, what begins after it with the user's end."""
    scenario = SCENARIOS["first-connect-refuse"]
    error = "EToroWebSocketError"
    names = ("for ... in queue (rates)", "for ... in queue (orders)", "get()")
    failed = replace(
        GOOD, events=[f"error {error}"], waits=[], detected=0.0, recovered=0.0, state="FAILED",
        raised=error, calls=dict.fromkeys(names, error), again=CALLS,
    )  # fmt: skip
    assert broken(scenario, failed) == []
    assert len(broken(scenario, replace(failed, again={}))) == len(CALLS)


def test_only_what_is_promised_may_fail_to_be_measured() -> None:
    """A call of the user's that is watched has its time."""
    scenario = SCENARIOS["first-subscribe-one_byte-2of3"]
    good = replace(GOOD, events=[], waits=[], detected=0.1, recovered=None, raised="returned")
    assert broken(scenario, replace(good, took=0.1)) == []
    assert broken(scenario, good) == ["the call: never, instead of within 0.75 s"]


def test_each_bound_is_longer_than_the_margin() -> None:
    """So that one that takes twice as long shows; those that are due at once have nothing else."""
    for scenario in SCENARIOS.values():
        bound = seconds(scenario.expect.within, scenario.all_options)
        # No more than what the fault itself takes.
        fault_takes = scenario.fault in ("endless_fragments", "get", "wait_for")
        late = scenario.expect.outcome is Outcome.UNHARMED
        assert bound == 0 or bound > MARGIN * scenario.slowness or fault_takes or late


def test_a_machine_that_stood_still_is_no_broken_promise() -> None:
    """Delays of the machine are added to each bound, and no more."""
    bound = seconds(MUTE.expect.within, MUTE.all_options)
    late = replace(GOOD, detected=bound + MARGIN * MUTE.slowness + 1.0)
    early = replace(GOOD, detected=bound - EARLY * MUTE.slowness - 0.1)
    for wrong in (late, early):
        assert broken(MUTE, wrong)
        assert broken(MUTE, replace(wrong, held_up=1.1)) == []


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


def test_prices_that_wait_for_a_snapshot_are_explained() -> None:
    """For as long as they may be held back, and no longer."""
    delivered = came(1, 2) + came(8, generation=2)
    assert losses(SENT, delivered, [GAP], 0.0) == ([3, 4, 5, 6], [7])
    assert losses(SENT, delivered, [GAP], 0.0, withheld=1.0) == ([3, 4, 5, 6, 7], [])


@pytest.mark.parametrize(
    ("last", "told", "words"),
    [
        (3.0, 6.0, ""),
        (3.05, 5.95, ""),
        (3.5, 6.0, "it begins 0.50 s before the last message"),
        (3.0, 5.5, "it ends 0.50 s after it was told"),
    ],
)
def test_a_gap_is_no_longer_than_the_silence(last: float, told: float, words: str) -> None:
    """Else it could explain everything."""
    assert odd_gap(GAP, last, told, 0.1) == words
    assert odd_gap(WsGap(0.0, 6.0, 2, ()), 3.0, 6.0, 0.1)
    assert odd_gap(WsGap(3.0, 2.0, 2, ()), 3.0, 6.0, 0.1)


@pytest.mark.parametrize(
    ("order", "prices", "delivered", "wrong"),
    [
        (Order.RISING, True, came(1, 2, 5, 5) + came(5, 6, generation=2), []),
        (Order.RISING, True, came(1, 1, 2, 2, 3), ["2 once more"]),
        (Order.RISING, True, came(1, 3, 2), ["2 behind 3"]),
        (Order.RISING, False, came(1, 2, 2), ["2 once more"]),
        (Order.RISING, False, came(1, 3, 2, 4), ["2 behind 3"]),
        (Order.RISING, False, came(3) + came(2, generation=2), ["2 behind 3 of the connection"]),
        (Order.RISING, True, came(1, generation=2) + came(2), ["connection 1 behind 2"]),
        (Order.TWICE, False, came(1, 1, 2, 2), []),
        (Order.TWICE, True, came(1, 2, 1), ["1 behind 2"]),
        (Order.PAIRS, True, came(2, 1, 4, 3, 3), []),
        (Order.PAIRS, True, came(4, 1, 2, 3), ["4 far out of place"]),
    ],
)
def test_what_comes_twice_or_in_disorder_shows(
    order: Order, prices: bool, delivered: list[Delivered], wrong: list[str]
) -> None:
    """Unless it is the fault that does so; and a snapshot may repeat a price."""
    found = disorder(delivered, order, prices=prices)
    assert len(found) == len(wrong)
    assert all(line.startswith(words) for line, words in zip(found, wrong, strict=True))
