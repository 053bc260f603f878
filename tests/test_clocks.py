"""The clocks of client and simulator: which of them stand still in frozen time, and which not."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from freezegun import freeze_time

from etoro_sync import clocks as clients
from etoro_sync.simulator import clocks as simulators


def loaded_anew(module: ModuleType) -> ModuleType:
    """Import a module a second time, as if it were the first."""
    assert module.__file__ is not None
    spec = importlib.util.spec_from_file_location("clocks_again", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    return again


@pytest.mark.parametrize("module", [clients, simulators], ids=["client", "simulator"])
def test_timers_run_on_in_frozen_time(module: ModuleType) -> None:
    """Also where the library is imported while it is frozen, as in a test's own function."""
    started = module.monotonic()
    assert abs(started - time.monotonic()) < 60
    with freeze_time("2026-01-01"):
        again = loaded_anew(module)
        for clocks in (module, again):
            before = clocks.monotonic()
            assert before >= started
            while clocks.monotonic() == before:
                pass  # until the system's clock has ticked
            assert before - started < 60


def test_the_wall_clock_is_what_a_test_has_frozen() -> None:
    """It stamps what users see, who compare it with their own."""
    with freeze_time("2026-01-01"):
        assert clients.wall_clock() == time.time()
    assert abs(clients.wall_clock() - time.time()) < 60


def test_the_clock_that_counts_sleep_runs_on() -> None:
    """It measures how long no data came."""
    with freeze_time("2026-01-01"):
        before = clients.uptime()
        while clients.uptime() == before:
            pass


@pytest.mark.parametrize("module", [clients, simulators], ids=["client", "simulator"])
def test_no_other_module_reads_the_clock_that_can_be_frozen(module: ModuleType) -> None:
    """One that does would hang in a test that freezes the time, and in no other."""
    assert module.__file__ is not None
    here = Path(module.__file__)
    elsewhere = [here.parent / name for name in ("cli", "simulator")]
    paths = [p for p in here.parent.rglob("*.py") if not any(e in p.parents for e in elsewhere)]
    others = [path for path in paths if path != here]
    assert [p.name for p in others if "time.monotonic" in p.read_text(encoding="utf-8")] == []


def test_time_in_which_the_process_stood_still_puts_a_deadline_off() -> None:
    """By as much, and so that some time is left; a wait that is a little late changes nothing."""
    put_off = clients.put_off
    assert put_off(20.0, due=11.0, now=10.5) == 20.0
    assert put_off(20.0, due=11.0, now=11.05) == 20.0
    assert put_off(20.0, due=11.0, now=15.0) == 24.0
    assert put_off(11.0, due=11.0, now=15.0) == 16.0
    assert put_off(11.0, due=11.0, now=11.5) == 12.0


def test_the_two_clocks_run_equally_fast() -> None:
    """Else their difference would look like a sleep after some hours."""
    apart = clients.uptime() - clients.monotonic()
    until = time.monotonic() + 0.2
    while time.monotonic() < until:
        pass
    assert abs(clients.uptime() - clients.monotonic() - apart) < 0.01


def test_a_system_without_a_clock_that_counts_sleep_has_one_that_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A kernel may be older than the C library, and not every system has such a clock."""

    def refused(number: int) -> float:
        raise OSError("no such clock")

    monkeypatch.setattr(time, "clock_gettime", refused)
    again = loaded_anew(clients)
    assert again.uptime is again.monotonic


@pytest.mark.parametrize(
    ("platform", "name"), [("linux", "CLOCK_BOOTTIME"), ("darwin", "CLOCK_MONOTONIC_RAW")]
)
def test_each_system_has_its_own_clock_that_counts_sleep(
    monkeypatch: pytest.MonkeyPatch, platform: str, name: str
) -> None:
    """The standard library's monotonic clock is none, on either of them."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(time, name, 4711, raising=False)
    monkeypatch.setattr(time, "clock_gettime", lambda number: {4711: 5.0}[number])
    assert loaded_anew(clients).uptime() == 5.0
