"""When to ping, and when a silent connection is dead."""

from __future__ import annotations

import pytest

from etoro_sync.ws.keepalive import Keepalive, Verdict


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
    keepalive.heard(39.0)
    assert keepalive.silence(40.0) == 1.0
    assert keepalive.deadline == 69.0
    assert keepalive.judge(50.0) is Verdict.WAIT
    assert keepalive.judge(69.0) is Verdict.PING


def test_a_late_judgement_pings_before_it_condemns() -> None:
    """A process that was suspended finds out whether the peer is there."""
    keepalive = Keepalive(30.0, 10.0, 0.0)
    assert keepalive.judge(10_000.0) is Verdict.PING
    assert keepalive.deadline == 10_010.0


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
    keepalive.heard(1e9)
    assert keepalive.judge(1e9 + 30.0) is Verdict.PING
