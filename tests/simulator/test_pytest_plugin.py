"""The fixtures that users have in their own tests, in runs of pytest of their own.

To start pytest takes longer than such a test, so most of them share one run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.simulator.page import of_kind

pytest_plugins = ["pytester"]
# Its work is done in other processes, and what users run is not the business of coverage.
pytestmark = pytest.mark.heavy

_USES = """
    from etoro_sync import WsClient, WsClientOptions

    def test_it(etoro_simulator):
        options = WsClientOptions("api", "user", etoro_simulator.url, proxy="")
        with WsClient(options) as client:
            client.subscribe([18], snapshot=True)
            rates = client.queue("instrument:rate")
            etoro_simulator.publish(18, Ask="4801.5", Bid="4800.5")
            while rates.get(timeout=10)[1].ask != 4801.5:
                pass
"""
_FROZEN = """
    from freezegun import freeze_time
    import pytest
    import queue
    from etoro_sync import WsClient, WsClientOptions

    @freeze_time('2026-01-01')
    def test_it(etoro_simulator):
        options = WsClientOptions("api", "user", etoro_simulator.url, proxy="")
        with WsClient(options) as client:
            client.subscribe([18], snapshot=True)
            rates = client.queue("instrument:rate")
            etoro_simulator.publish(18, Ask="4801.5", Bid="4800.5")
            while rates.get(timeout=10)[1].ask != 4801.5:
                pass

    @pytest.fixture
    def frozen():
        with freeze_time("2026-01-01"):
            yield

    @pytest.mark.etoro_simulator(rate=200)
    def test_first(frozen, etoro_simulator):
        options = WsClientOptions("api", "user", etoro_simulator.url, proxy="")
        with WsClient(options) as client:
            orders = client.queue("private:event")
            with pytest.raises(queue.Empty):
                orders.get(timeout=0.05)
            assert [rate for rate, _ in zip(client.stream([18]), range(5))]
"""
_MARKED = """
    import pytest

    pytestmark = pytest.mark.etoro_simulator(api_key="right", nul_interval=0)

    @pytest.mark.etoro_simulator({18: 4800.0}, seed=5)
    def test_instruments(etoro_simulator):
        assert etoro_simulator.last(18)["Ask"].startswith("480")
        with pytest.raises(ValueError):
            etoro_simulator.last(19)

    @pytest.mark.etoro_simulator(tls=True)
    def test_tls(etoro_simulator):
        assert etoro_simulator.url.startswith("wss://")
        assert etoro_simulator.last(19)

    @pytest.mark.etoro_simulator(speed=5)
    def test_mistake(etoro_simulator):
        pass
"""
_FAILING = """
    import threading

    def test_fails(etoro_simulator):
        etoro_simulator.fault("mute")
        assert any("simulator" in t.name for t in threading.enumerate())
        assert False, "on purpose"

    def test_is_alone():
        assert not [t for t in threading.enumerate() if "simulator" in t.name]
"""
_SHARED_CONFTEST = """
    import pytest
    from etoro_sync import WsClient, WsClientOptions

    @pytest.fixture(scope="session")
    def etoro_simulator_options():
        return {"instruments": {18: 4800.0}, "api_key": "right"}

    @pytest.fixture(scope="session")
    def client(etoro_simulator_session):
        url = etoro_simulator_session.url
        with WsClient(WsClientOptions("right", "user", url, proxy="")) as client:
            client.subscribe([18], snapshot=True)
            yield client
"""
_SHARED = """
    import threading

    def test_first(client, etoro_simulator_session):
        etoro_simulator_session.publish(18, Ask="4801.5", Bid="4800.5")

    def test_second(client, etoro_simulator_session, etoro_simulator):
        assert etoro_simulator is not etoro_simulator_session
        assert etoro_simulator_session.last(18)["Ask"] == "4801.5"
        assert etoro_simulator_session.connections == 1
"""
#: What needs an interpreter in which the library was not imported before.
_WITHOUT = """
    import sys
    import pytest

    def test_nothing():
        assert "pytest_etoro_sync" in sys.modules
        ours = ("etoro_sync", "websocket", "trustme")
        assert not [name for name in sys.modules if name.startswith(ours)]

    @pytest.fixture
    def no_extra(monkeypatch):
        monkeypatch.setitem(sys.modules, "websockets", None)

    def test_with(no_extra, etoro_simulator):
        pass

    def test_other():
        pass
"""

#: Those that can share a run, by file.
_TESTS = {
    "test_uses": _USES,
    "test_frozen": _FROZEN,
    "test_marked": _MARKED,
    "test_failing": _FAILING,
    **{f"test_page_{number}": block for number, block in enumerate(of_kind("test"))},
}

#: How a test ended, and what was said about it; by the names of the file and the test.
Outcomes = dict[tuple[str, str], tuple[str, str]]


def run(folder: Path, tests: dict[str, str]) -> Outcomes:
    """Run pytest over these files, in a process of its own."""
    for name, code in tests.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(code), encoding="utf-8")
    proxies = ("http_proxy", "https_proxy", "all_proxy")
    unwanted = {"PYTEST_ADDOPTS", *proxies, *map(str.upper, proxies)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers"]
    done = subprocess.run(
        [*command, f"--rootdir={folder}", "--junit-xml=report.xml"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in unwanted},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    outcomes: Outcomes = {}
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        kind, words = "passed", ""
        for trouble in case:
            if trouble.tag in ("failure", "error"):
                kind, words = trouble.tag, trouble.text or ""
        outcomes[case.attrib["classname"], case.attrib["name"]] = kind, words
    return outcomes


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What has become of all tests that can share a run."""
    return run(tmp_path_factory.mktemp("plugin"), _TESTS)


def kinds(outcomes: Outcomes, file: str) -> dict[str, str]:
    """Return how each test of a file ended."""
    return {name: kind for (where, name), (kind, _) in outcomes.items() if where == file}


def test_the_fixture_is_a_running_simulator(outcomes: Outcomes) -> None:
    """Whoever has installed the library has it, and needs no conftest."""
    assert kinds(outcomes, "test_uses") == {"test_it": "passed"}


def test_the_fixture_works_in_frozen_time(outcomes: Outcomes) -> None:
    """Whichever comes first: prices flow, timeouts end, and so does the test."""
    assert kinds(outcomes, "test_frozen") == {"test_it": "passed", "test_first": "passed"}


def test_a_marker_gives_the_simulator_its_arguments(outcomes: Outcomes) -> None:
    """The closest one decides, and the marker is a known one."""
    assert kinds(outcomes, "test_marked") == {
        "test_instruments": "passed",
        "test_tls": "passed",
        "test_mistake": "error",
    }
    words = outcomes["test_marked", "test_mistake"][1]
    assert any("TypeError" in line and "speed" in line for line in words.splitlines())


def test_the_simulator_is_stopped_also_when_the_test_fails(outcomes: Outcomes) -> None:
    """No thread of it is left."""
    assert kinds(outcomes, "test_failing") == {"test_fails": "failure", "test_is_alone": "passed"}
    assert "on purpose" in outcomes["test_failing", "test_fails"][1]


def test_the_tests_that_the_page_shows_pass(outcomes: Outcomes) -> None:
    """With the fixture that the library brings."""
    files = [name for name in _TESTS if name.startswith("test_page_")]
    assert len(files) == 4
    for file in files:
        assert list(kinds(outcomes, file).values()) == ["passed"]


def test_one_simulator_serves_all_tests_where_that_is_wanted(pytester: pytest.Pytester) -> None:
    """For fixtures that live longer than a test; its arguments come from a fixture, too."""
    pytester.makeconftest(_SHARED_CONFTEST)
    pytester.makepyfile(_SHARED)
    # In this process, which is faster: the page's tests, too, have such a simulator in their run.
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_a_run_that_does_not_use_it_imports_nothing_of_the_library(tmp_path: Path) -> None:
    """It costs them nothing; and without the extra only those who use it are told."""
    found = run(tmp_path, {"test_without": _WITHOUT})
    assert kinds(found, "test_without") == {
        "test_nothing": "passed",
        "test_with": "error",
        "test_other": "passed",
    }
    assert 'pip install "etoro-sync[simulator]"' in found["test_without", "test_with"][1]


def test_the_plugin_can_be_switched_off(pytester: pytest.Pytester) -> None:
    """Altogether: there is no fixture then."""
    pytester.makepyfile("def test_it(etoro_simulator): pass")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:etoro_sync")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'etoro_simulator' not found*"])


def test_this_run_has_the_plugin_as_well(request: pytest.FixtureRequest) -> None:
    """As an installed distribution's entry point, by its name."""
    assert request.config.pluginmanager.has_plugin("etoro_sync")
    before = set(threading.enumerate())
    simulator = request.getfixturevalue("etoro_simulator")
    assert simulator is not None
    assert set(threading.enumerate()) > before
    assert "etoro_sync.simulator" in sys.modules
