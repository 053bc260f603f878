"""
The pytest fixtures ``etoro_simulator`` and ``etoro_simulator_session``: a simulator of eToro's feed
that runs during a test, or during all of them.

It stands outside the package, because pytest loads it in every run: whoever doesn't use the fixture
should not pay for importing the library, nor lose its import from a coverage report.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from etoro_sync.simulator import EToroSimulator

_MARKER = """\
etoro_simulator(instruments=None, **options): the arguments of the EToroSimulator that the fixture \
etoro_simulator starts; without rate=..., it sends no rates but those of the test."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, for runs with --strict-markers."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def etoro_simulator(request: pytest.FixtureRequest) -> Iterator[EToroSimulator]:
    """
    A running simulator of eToro's feed, stopped at the end of the test.

    Clients connect to ``etoro_simulator.url`` with any keys. It sends no rates of its own, so that
    a test knows what comes; the marker ``etoro_simulator`` gives it other arguments.
    """
    from etoro_sync.simulator import EToroSimulator

    # The closest marker decides; those farther away fill in what it leaves open.
    instruments: tuple[object, ...] = ()
    options: dict[str, object] = {"rate": 0}
    for marker in reversed(list(request.node.iter_markers("etoro_simulator"))):
        instruments = marker.args or instruments
        options.update(marker.kwargs)
    with EToroSimulator(*instruments, **options) as simulator:  # type: ignore[arg-type]
        yield simulator


@pytest.fixture(scope="session")
def etoro_simulator_options() -> dict[str, object]:
    """
    The arguments of the simulator that ``etoro_simulator_session`` starts; none as it stands.

    To give it some, define a fixture of this name and scope in your ``conftest.py``.
    """
    return {}


@pytest.fixture(scope="session")
def etoro_simulator_session(
    etoro_simulator_options: dict[str, object],
) -> Iterator[EToroSimulator]:
    """
    A running simulator of eToro's feed that all tests share, for fixtures of more than one test.

    Like ``etoro_simulator``, it sends no rates of its own, unless ``etoro_simulator_options`` says
    so. What a test does to it stays: ``heal()`` ends faults.
    """
    from etoro_sync.simulator import EToroSimulator

    options: dict[str, object] = {"rate": 0, **etoro_simulator_options}
    with EToroSimulator(**options) as simulator:  # type: ignore[arg-type]
        yield simulator
