"""When to ping, and when a silent connection is dead."""

from __future__ import annotations

import pytest

from etoro_sync.ws.transport.keepalive import Keepalive, Verdict


def test_a_ping_is_due_after_the_interval_and_death_after_the_timeout() -> None:
    """Half-open connections are found within interval and timeout together."""
    keepalive = Keepalive(30.0, 10.0, 1000.0)
    assert keepalive.deadline == 1030.0
    assert keepalive.judge(1029.9) is Verdict.WAIT
    assert keepalive.judge(1030.0) is Verdict.PING
    assert keepalive.deadline == 1040.0
    assert keepalive.judge(1039.9) is Verdict.WAIT
    assert keepalive.judge(1040.0) is Verdict.DEAD
    assert keepalive.silence(1040.0) == 40.0


def test_any_byte_is_life() -> None:
    """Not only a pong: eToro is said not to answer pings on quiet sockets."""
    keepalive = Keepalive(30.0, 10.0, 0.0)
    assert keepalive.judge(30.0) is Verdict.PING
    keepalive.received(39.0)
    assert keepalive.silence(40.0) == 1.0
    assert keepalive.deadline == 69.0
    assert keepalive.judge(50.0) is Verdict.WAIT
    assert keepalive.judge(69.0) is Verdict.PING


def test_a_late_judgement_pings_before_it_condemns() -> None:
    """A process that was suspended finds out whether the peer is there."""
    keepalive = Keepalive(30.0, 10.0, 0.0)
    assert keepalive.judge(10_000.0) is Verdict.PING
    assert keepalive.deadline == 10_010.0


def test_a_message_has_as_long_to_become_complete_as_silence_may_last() -> None:
    """Bytes that drip in are life, but what comes after the message waits for it."""
    keepalive = Keepalive(30.0, 10.0, 0.0)
    keepalive.received(5.0)
    for now in range(100, 140):
        keepalive.received(float(now), 7)
        assert keepalive.judge(float(now)) is Verdict.WAIT
    assert keepalive.deadline == 140.0
    assert keepalive.judge(139.9) is Verdict.WAIT
    assert keepalive.unfinished_for(139.9) == pytest.approx(39.9)
    assert keepalive.judge(140.0) is Verdict.STUCK


def test_a_late_judgement_pings_before_it_gives_a_message_up() -> None:
    """The rest of it may be among the bytes that a suspended process has not read."""
    keepalive = Keepalive(30.0, 10.0, 0.0)
    keepalive.received(0.0, 1)
    assert keepalive.judge(10_000.0) is Verdict.PING
    keepalive.received(10_000.0, 1)
    assert keepalive.judge(10_000.0) is Verdict.STUCK


def test_a_stream_that_always_ends_inside_a_message_is_not_stuck() -> None:
    """As long as it is another message each time, or none for a moment."""
    keepalive = Keepalive(30.0, 10.0, 0.0)
    for now in range(0, 1000, 20):
        keepalive.received(float(now), now)
        assert keepalive.judge(float(now)) is Verdict.WAIT
    keepalive.received(1000.0, 3)
    keepalive.received(1035.0)
    assert keepalive.unfinished_for(1036.0) == 0.0
    keepalive.received(1036.0, 3)
    assert keepalive.judge(1050.0) is Verdict.WAIT
    assert keepalive.deadline == 1066.0


@pytest.mark.parametrize(("interval", "timeout"), [(0.0, 10.0), (30.0, 0.0)])
def test_without_keepalive_a_message_may_take_for_ever(interval: float, timeout: float) -> None:
    """Whoever switches the verdict off has it switched off for good."""
    keepalive = Keepalive(interval, timeout, 0.0)
    keepalive.received(0.0, 1)
    keepalive.received(1e6, 1)
    assert keepalive.judge(1e6) is Verdict.WAIT


@pytest.mark.parametrize("interval", [0, 0.0])
def test_an_interval_of_zero_switches_everything_off(interval: float) -> None:
    """No ping and no death."""
    keepalive = Keepalive(interval, 10.0, 0.0)
    assert keepalive.deadline is None
    assert keepalive.judge(1e9) is Verdict.WAIT


def test_a_timeout_of_zero_pings_but_never_condemns() -> None:
    """One ping per silence."""
    keepalive = Keepalive(30.0, 0.0, 0.0)
    assert keepalive.judge(30.0) is Verdict.PING
    assert keepalive.deadline is None
    assert keepalive.judge(1e9) is Verdict.WAIT
    keepalive.received(1e9)
    assert keepalive.judge(1e9 + 30.0) is Verdict.PING


@pytest.mark.parametrize("pinged", [False, True], ids=["quiet", "asked already"])
def test_after_a_sleep_the_peer_is_asked_once(pinged: bool) -> None:
    """At once, unless a ping waits for its answer; then the time for that goes on."""
    keepalive = Keepalive(30.0, 10.0, 1000.0)
    if pinged:
        assert keepalive.judge(1030.0) is Verdict.PING
    assert keepalive.ping_soon(1031.0 if pinged else 1001.0, 3600.0)
    verdicts = [keepalive.judge(now) for now in (1031.0, 1032.0, 1040.0, 1041.0)]
    assert verdicts.count(Verdict.PING) == (0 if pinged else 1)
    assert verdicts.index(Verdict.DEAD) == (2 if pinged else 3)


def test_a_silence_counts_the_sleep_and_any_byte_ends_it() -> None:
    """What is told of a dead connection is how long no byte came, and not how long by a timer."""
    keepalive = Keepalive(30.0, 10.0, 1000.0)
    keepalive.ping_soon(1002.0, 3600.0)
    assert keepalive.silence(1003.0) == 3603.0
    keepalive.received(1004.0)
    assert keepalive.silence(1005.0) == 1.0


def test_after_a_sleep_nothing_is_asked_where_keepalive_is_off() -> None:
    """Neither then nor later."""
    keepalive = Keepalive(0.0, 10.0, 1000.0)
    assert not keepalive.ping_soon(1001.0, 3600.0)
    assert keepalive.deadline is None
    assert keepalive.judge(9999.0) is Verdict.WAIT


@pytest.mark.parametrize(("interval", "timeout"), [(2.0, 30.0), (30.0, 2.0), (2.0, 0.0)])
def test_the_ping_behind_an_answer_is_not_late(interval: float, timeout: float) -> None:
    """It may be due before the answer would have been missed, so it is looked for by then."""
    keepalive = Keepalive(interval, timeout, 100.0)
    assert keepalive.next_check(100.0) == 100.0 + interval
    now = 100.0 + interval
    assert keepalive.judge(now) is Verdict.PING
    looked_for = keepalive.next_check(now)
    assert looked_for == now + min(interval, timeout or interval)
    keepalive.received(now)
    assert keepalive.deadline == now + interval
    assert looked_for <= now + interval
