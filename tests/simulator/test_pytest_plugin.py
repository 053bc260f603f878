"""The fixture that users have in their own tests, in runs of pytest of their own."""

from __future__ import annotations

import sys
import textwrap
import threading

import pytest

pytest_plugins = ["pytester"]

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


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A directory to run pytest in, with the plugin that every installation brings."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return pytester


def test_the_fixture_is_a_running_simulator(run: pytest.Pytester) -> None:
    """Whoever has installed the library has it, and needs no conftest."""
    run.makepyfile(_USES)
    run.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_fixture_works_in_frozen_time(run: pytest.Pytester) -> None:
    """Whichever comes first: prices flow, timeouts end, and so does the test."""
    uses = _USES.replace("def test_it", "@freeze_time('2026-01-01')\n    def test_it")
    run.makepyfile(
        "from freezegun import freeze_time\nimport pytest\nimport queue\n"
        + textwrap.dedent(uses)
        + textwrap.dedent(
            """
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
        )
    )
    result = run.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)


def test_a_marker_gives_the_simulator_its_arguments(run: pytest.Pytester) -> None:
    """The closest one decides, and the marker is a known one."""
    run.makepyfile(
        """
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
    )
    result = run.runpytest_subprocess("--strict-markers", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*TypeError*speed*"])


def test_the_simulator_is_stopped_also_when_the_test_fails(run: pytest.Pytester) -> None:
    """No thread of it is left."""
    run.makepyfile(
        """
        import threading

        def test_fails(etoro_simulator):
            etoro_simulator.fault("mute")
            assert any("simulator" in t.name for t in threading.enumerate())
            assert False, "on purpose"

        def test_is_alone():
            assert not [t for t in threading.enumerate() if "simulator" in t.name]
        """
    )
    result = run.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*on purpose*"])


def test_one_simulator_serves_all_tests_where_that_is_wanted(run: pytest.Pytester) -> None:
    """For fixtures that live longer than a test; its arguments come from a fixture, too."""
    run.makeconftest(
        """
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
    )
    run.makepyfile(
        """
        import threading

        def test_first(client, etoro_simulator_session):
            etoro_simulator_session.publish(18, Ask="4801.5", Bid="4800.5")

        def test_second(client, etoro_simulator_session, etoro_simulator):
            assert etoro_simulator is not etoro_simulator_session
            assert etoro_simulator_session.last(18)["Ask"] == "4801.5"
            assert etoro_simulator_session.connections == 1
        """
    )
    run.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_a_run_that_does_not_use_it_imports_nothing_of_the_library(run: pytest.Pytester) -> None:
    """It costs them nothing, and can be switched off altogether."""
    run.makepyfile(
        """
        import sys

        def test_nothing():
            assert "pytest_etoro_sync" in sys.modules
            ours = ("etoro_sync", "websocket", "trustme")
            assert not [name for name in sys.modules if name.startswith(ours)]
        """
    )
    run.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    run.makepyfile("def test_it(etoro_simulator): pass")
    result = run.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:etoro_sync")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'etoro_simulator' not found*"])


def test_without_the_extra_the_fixture_says_what_to_install(run: pytest.Pytester) -> None:
    """And only who uses it hears of it."""
    run.makeconftest("import sys; sys.modules['websockets'] = None")
    run.makepyfile("def test_with(etoro_simulator): pass\ndef test_without(): pass")
    result = run.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(['*pip install "etoro-sync?simulator?"*'])


def test_this_run_has_the_plugin_as_well(request: pytest.FixtureRequest) -> None:
    """As an installed distribution's entry point, by its name."""
    assert request.config.pluginmanager.has_plugin("etoro_sync")
    before = set(threading.enumerate())
    simulator = request.getfixturevalue("etoro_simulator")
    assert simulator is not None
    assert set(threading.enumerate()) > before
    assert "etoro_sync.simulator" in sys.modules
