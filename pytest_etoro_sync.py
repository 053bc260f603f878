"""The pytest fixtures ``etoro_simulator`` and ``etoro_simulator_session``.

Each is a simulator of eToro's feed: one runs during a test, the other during all tests. This module
is not in the package, because pytest imports it in every run: runs without the fixtures should not
spend time on importing the library, and its import should still count in coverage reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from etoro_sync.simulator import EToroSimulator

_MARKER = """\
etoro_simulator(instruments=None, **options): the arguments of the EToroSimulator that the fixture \
etoro_simulator starts; without rate=..., it sends no automatic rates."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, for runs with --strict-markers."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def etoro_simulator(request: pytest.FixtureRequest) -> Iterator[EToroSimulator]:
    """A running simulator of eToro's feed, stopped at the end of the test.

    Clients connect to ``etoro_simulator.url`` with any keys. It sends no automatic rates, so that
    the test decides what is sent; the marker ``etoro_simulator`` sets other arguments.
    """
    from etoro_sync.simulator import EToroSimulator

    # The closest marker takes precedence; outer markers add the arguments that it does not set.
    instruments: tuple[object, ...] = ()
    options: dict[str, object] = {"rate": 0}
    for marker in reversed(list(request.node.iter_markers("etoro_simulator"))):
        instruments = marker.args or instruments
        options.update(marker.kwargs)
    with EToroSimulator(*instruments, **options) as simulator:  # type: ignore[arg-type]
        yield simulator


@pytest.fixture(scope="session")
def etoro_simulator_options() -> dict[str, object]:
    """The arguments of the simulator that ``etoro_simulator_session`` starts; none by default.

    To set some, define a fixture of this name and scope in your ``conftest.py``.
    """
    return {}


@pytest.fixture(scope="session")
def etoro_simulator_session(
    etoro_simulator_options: dict[str, object],
) -> Iterator[EToroSimulator]:
    """A running simulator of eToro's feed that all tests share, for fixtures of a wider scope.

    Like ``etoro_simulator``, it sends no automatic rates, unless ``etoro_simulator_options`` sets a
    rate. It is not reset between tests; ``heal()`` ends faults.
    """
    from etoro_sync.simulator import EToroSimulator

    options: dict[str, object] = {"rate": 0, **etoro_simulator_options}
    with EToroSimulator(**options) as simulator:  # type: ignore[arg-type]
        yield simulator
