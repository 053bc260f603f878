"""An examination for tests: quick, of a server of the test, and what it says of one step."""

from __future__ import annotations

from typing import Any

from etoro_sync.doctor import Outcome, Report, Step, examine
from tests.support.clients import quick_options
from tests.support.timing import MS

__all__ = ["API_KEY", "QUICK", "USER_KEY", "examined", "failed", "step"]

#: As long as eToro's keys are, and recognisable in whatever shows them.
API_KEY = "planted-api-key-4711-0123456789"
USER_KEY = "eyJ-planted-user-key-0815-0123456789"
QUICK = {
    "api_key": API_KEY,
    "user_key": USER_KEY,
    "connect_timeout": 5_000 * MS,
    "auth_timeout": 5_000 * MS,
    "request_timeout": 5_000 * MS,
}


def examined(url: str, plan: dict[str, Any] | None = None, **options: Any) -> Report:
    """Examine the server at *url*.

    :param plan: arguments of :func:`examine`.
    :param options: of the client.
    """
    quick = {"seconds": 50 * MS, "rate_timeout": 200 * MS, **(plan or {})}
    return examine(quick_options(url, **{**QUICK, **options}), **quick)


def failed(report: Report, name: str) -> Step:
    """Return the step of this name, which has failed, as the last one."""
    assert report.failure is not None, [str(each) for each in report.steps]
    assert (report.steps[-1].name, report.steps[-1].outcome) == (name, Outcome.FAILED), str(
        report.failure
    )
    assert not report.ok
    assert report.failure.remedy
    return report.failure


def step(report: Report, name: str) -> Step:
    """Return the step of this name."""
    return next(each for each in report.steps if each.name == name)
