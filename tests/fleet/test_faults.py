"""The fault matrix's live phase with three connections, of which the fault strikes one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.faults.pool import FLEET, Result, start, submit
from tests.faults.scenario import Scenario
from tests.faults.scenarios import SCENARIOS
from tests.support.amounts import amount

pytestmark = [pytest.mark.heavy, pytest.mark.long_form]

#: In the short form without variants, such as each close code or the same over TLS.
LIVE = [
    scenario
    for scenario in SCENARIOS.values()
    if scenario.phase == "live" and scenario.fast and not (scenario.variant and amount(True, False))
]
#: Whether other processes of this run play scenarios at the same time.
_SHARED = "PYTEST_XDIST_WORKER" in os.environ
#: They wait more than they work.
_JOBS = 1 if _SHARED else 4


@pytest.fixture(scope="module")
def result_of(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Result]]:
    """Play a scenario, or wait for it; all that were collected are played at once."""
    params = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = [spec.params["scenario"] for spec in params if spec and "scenario" in spec.params]
    names = [] if _SHARED else [FLEET + each.id for each in chosen if each in LIVE]
    pool, futures = start(names, _JOBS)
    yield lambda name: (futures.get(name) or submit(pool, name)).result()
    pool.shutdown(cancel_futures=True)


# The first ones wait for their turn among all that are played; their own bounds are judged apart.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", LIVE, ids=lambda scenario: scenario.id)
def test_every_promise_is_kept_and_the_others_lose_nothing(
    scenario: Scenario, result_of: Callable[[str], Result]
) -> None:
    """As of one connection; gaps name its topics only, and the others bring each message."""
    measured, broken = result_of(FLEET + scenario.id)
    assert not broken, "\n".join([*broken, str(measured)])
