"""The clocks of client and simulator: which of them stand still in frozen time, and which not."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from types import ModuleType

import pytest
from freezegun import freeze_time

from etoro_sync.simulator import clocks as simulators
from etoro_sync.ws import clocks as clients


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
    """It tells how long no data came."""
    with freeze_time("2026-01-01"):
        before = clients.uptime()
        while clients.uptime() == before:
            pass


@pytest.mark.parametrize("module", [clients, simulators], ids=["client", "simulator"])
def test_no_other_module_reads_the_clock_that_can_be_frozen(module: ModuleType) -> None:
    """One that does would hang in a test that freezes the time, and in no other."""
    assert module.__file__ is not None
    here = Path(module.__file__)
    others = [path for path in here.parent.rglob("*.py") if path != here]
    assert [p.name for p in others if "time.monotonic" in p.read_text(encoding="utf-8")] == []
