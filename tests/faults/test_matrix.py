"""The fast part of the fault matrix: each scenario keeps all promises."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etoro_sync.simulator import FAULTS

from .expectations import EXPECTED
from .pool import Result, start, submit
from .scenario import PHASES, Scenario
from .scenarios import SCENARIOS

pytestmark = pytest.mark.heavy

FAST = [scenario for scenario in SCENARIOS.values() if scenario.fast]
#: Whether other processes of this run play scenarios at the same time.
_SHARED = "PYTEST_XDIST_WORKER" in os.environ
#: They wait more than they work.
_JOBS = 1 if _SHARED else 4


@pytest.fixture(scope="module")
def result_of(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Result]]:
    """Play a scenario, or wait for it.

    All that were collected are played at once, several at a time, unless several processes share
    them: none knows then which ones are its own.
    """
    params = [getattr(item, "callspec", None) for item in request.session.items]
    scenarios = [spec.params["scenario"] for spec in params if spec and "scenario" in spec.params]
    pool, futures = start([] if _SHARED else [scenario.id for scenario in scenarios], _JOBS)
    yield lambda name: (futures.get(name) or submit(pool, name)).result()
    pool.shutdown(cancel_futures=True)


# The first ones wait for their turn among all that are played; their own bounds are judged apart.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", FAST, ids=lambda scenario: scenario.id)
def test_every_promise_is_kept(scenario: Scenario, result_of: Callable[[str], Result]) -> None:
    """Told in order and in time, recovered in time, nothing lost outside the gap, nothing left."""
    measured, broken = result_of(scenario.id)
    assert not broken, "\n".join([*broken, str(measured)])


@pytest.mark.parametrize(
    ("fault", "phase"), [(fault, phase) for fault, cls in FAULTS.items() for phase in cls.phases]
)
def test_no_fault_of_the_simulator_is_left_out(fault: str, phase: str) -> None:
    """In any phase in which it makes sense: a new one has to say what it promises."""
    found = [s.id for s in SCENARIOS.values() if (s.fault, s.phase) == (fault, phase)]
    assert found
    if phase not in ("live", "closing"):
        assert any(name.startswith("first-") for name in found)


def test_every_expectation_is_played() -> None:
    """What is promised of a fault in a phase, and not tried, is not known to hold."""
    played = {(scenario.fault, scenario.phase) for scenario in SCENARIOS.values()}
    assert {(fault, phase) for fault, phases in EXPECTED.items() for phase in phases} <= played


def test_every_phase_has_its_scenarios() -> None:
    """Those included that the simulator knows nothing of, and the fast part leaves none out."""
    assert {scenario.phase for scenario in SCENARIOS.values()} == set(PHASES)
    assert {scenario.phase for scenario in FAST} == set(PHASES)
    assert {s.fault for s in FAST} == {s.fault for s in SCENARIOS.values()}


def test_the_page_tells_of_all_scenarios() -> None:
    """Who adds one runs ``make faults``; a page with a broken promise is not to be published."""
    page = Path(__file__).parents[2] / "docs" / "faults.md"
    words = f"{len(SCENARIOS)} scenarios, no promise was broken"
    assert words in " ".join(page.read_text(encoding="utf-8").split())
