"""The fast part of the fault matrix: each scenario keeps all promises."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from etoro_sync.simulator import FAULTS

from .expectations import EXPECTED
from .pool import Result, start
from .scenario import PHASES, Scenario
from .scenarios import SCENARIOS

pytestmark = pytest.mark.heavy

FAST = [scenario for scenario in SCENARIOS.values() if scenario.fast]
#: They wait more than they work.
_JOBS = 4


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Result]]]:
    """Play what was collected, several at a time, while the tests look at one after the other."""
    params = [getattr(item, "callspec", None) for item in request.session.items]
    scenarios = [spec.params["scenario"] for spec in params if spec and "scenario" in spec.params]
    pool, futures = start([scenario.id for scenario in scenarios], _JOBS)
    yield futures
    pool.shutdown(cancel_futures=True)


# The first ones wait for their turn among all that are played; their own bounds are judged apart.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", FAST, ids=lambda scenario: scenario.id)
def test_every_promise_is_kept(scenario: Scenario, results: dict[str, Future[Result]]) -> None:
    """Told in order and in time, recovered in time, nothing lost outside the gap, nothing left."""
    measured, broken = results[scenario.id].result()
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
