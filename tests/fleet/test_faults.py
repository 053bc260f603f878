"""The fault matrix's live phase with three connections, of which the fault strikes one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from tests.faults.pool import FLEET, Result, start, submit
from tests.faults.scenario import Scenario
from tests.faults.scenarios import SCENARIOS

pytestmark = pytest.mark.heavy

LIVE = [scenario for scenario in SCENARIOS.values() if scenario.phase == "live" and scenario.fast]
_JOBS = 3


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Future[Result]]]:
    """Play all, several at a time: they wait more than they work."""
    pool, _ = start([], _JOBS)
    yield {scenario.id: submit(pool, FLEET + scenario.id) for scenario in LIVE}
    pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenario", LIVE, ids=lambda scenario: scenario.id)
def test_every_promise_is_kept_and_the_others_lose_nothing(
    scenario: Scenario, results: dict[str, Future[Result]]
) -> None:
    """As of one connection; gaps name its topics only, and the others bring each message."""
    measured, broken = results[scenario.id].result()
    assert not broken, "\n".join([*broken, str(measured)])
