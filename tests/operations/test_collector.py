"""The metrics that a scrape finds."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from etoro_sync import ClientState, EToroError, WsClient, WsStats
from etoro_sync.metrics import StreamCollector
from etoro_sync.operations.figures import AGES, COUNTERS, GAUGES, names
from tests.conftest import MakeClient, MakeSimulator
from tests.support.clients import API_KEY, USER_KEY

from .conftest import until


def scrape(collector: StreamCollector) -> dict[tuple[str, str, str], float]:
    """Return name, client and state -> value."""
    registry = CollectorRegistry()
    registry.register(collector)
    text = generate_latest(registry).decode()
    return {
        (sample.name, sample.labels.get("client", ""), sample.labels.get("state", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_figure_of_the_statistics_is_exposed_once() -> None:
    """A new figure has to have a name here."""
    fields = [figure.field for figure in (*COUNTERS, *GAUGES, *AGES)]
    assert sorted(fields) == sorted(field.name for field in dataclasses.fields(WsStats))


def test_names_follow_the_conventions() -> None:
    """Prefix, base units, and no unit that is spelt otherwise."""
    for name in names():
        assert re.fullmatch(r"etoro_sync_[a-z_]+", name)
    for figure in AGES:
        assert figure.name.endswith("_seconds")
    for figure in (*COUNTERS, *GAUGES, *AGES):
        assert figure.help.endswith(".")
        assert not figure.name.endswith("_total")


def test_a_scrape_has_what_the_client_counts(simulator: MakeSimulator, client: MakeClient) -> None:
    """The values are those of stats(), the state is 1 once, and every sample is declared."""
    sim = simulator(instruments={18: 4800.0})
    made = client(sim.url)
    made.connect()
    made.subscribe([18, "private"], snapshot=True)
    until(lambda: made.stats().messages)
    found = scrape(StreamCollector(made))
    stats = made.stats()
    for figure in COUNTERS:
        assert found[f"etoro_sync_{figure.name}_total", "default", ""] == getattr(
            stats, figure.field
        )
    assert found["etoro_sync_subscriptions", "default", ""] == 2
    assert found["etoro_sync_healthy", "default", ""] == 1
    states = {key[2]: value for key, value in found.items() if key[0] == "etoro_sync_state"}
    assert states == {state.value: float(state is ClientState.LIVE) for state in ClientState}
    assert {key[0] for key in found} == names()
    text = str(found)
    assert API_KEY not in text
    assert USER_KEY not in text


def test_no_series_depends_on_the_instruments(simulator: MakeSimulator, client: MakeClient) -> None:
    """A thousand instruments have as many series as one."""
    counts = []
    for number in (1, 1000):
        sim = simulator(instruments=dict.fromkeys(range(1, number + 1), 10.0))
        made = client(sim.url)
        made.connect()
        made.subscribe(range(1, number + 1), snapshot=True)
        until(lambda made=made, number=number: made.stats().messages >= number)
        counts.append(len(scrape(StreamCollector(made))))
    assert counts[0] == counts[1]


def test_ages_are_absent_without_a_connection(simulator: MakeSimulator, client: MakeClient) -> None:
    """An age of 0 would say that all is well."""
    ages = {f"etoro_sync_{figure.name}" for figure in AGES}
    sim = simulator()
    made = client(sim.url)
    collector = StreamCollector(made)
    assert ages.isdisjoint(key[0] for key in scrape(collector))
    made.connect()
    assert ages - {key[0] for key in scrape(collector)} == {"etoro_sync_last_message_age_seconds"}
    made.disconnect()
    found = scrape(collector)
    assert ages.isdisjoint(key[0] for key in found)
    assert found["etoro_sync_state", "default", "closed"] == 1
    assert found["etoro_sync_connections_total", "default", ""] == 1


def test_counters_go_on_through_outages_and_sessions(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """A counter that went back would look like a restart of the program."""
    sim = simulator(instruments={18: 4800.0})
    made = client(sim.url)
    collector = StreamCollector(made)
    seen = []
    for _ in range(2):
        made.connect()
        made.subscribe([18], snapshot=True)
        until(lambda: made.stats().messages > len(seen))
        sim.drop()
        until(lambda: made.stats().reconnects > len(seen) // 2)
        seen.append(scrape(collector))
        made.disconnect()
        seen.append(scrape(collector))
    for before, after in itertools.pairwise(seen):
        for key, value in before.items():
            if key[0].endswith("_total"):
                assert after[key] >= value


def test_several_clients_are_told_apart(simulator: MakeSimulator, client: MakeClient) -> None:
    """By the label client, in one scrape, whatever is in their names."""
    sim = simulator()
    odd = 'o"d\\d\nü'
    collector = StreamCollector({"prices": client(sim.url), odd: client(sim.url)})
    collector.watched[1].stream.connect()  # type: ignore[union-attr]
    found = scrape(collector)
    assert found["etoro_sync_state", "prices", "disconnected"] == 1
    assert found["etoro_sync_state", odd, "live"] == 1


def test_a_client_that_is_gone_is_unhealthy_and_has_no_figures(simulator: MakeSimulator) -> None:
    """The collector does not keep it alive, and does not fail."""
    from tests.support.clients import make_client

    collector = StreamCollector(make_client(simulator().url))
    found = scrape(collector)
    assert {key[0] for key in found} == {"etoro_sync_build_info", "etoro_sync_healthy"}
    assert found["etoro_sync_healthy", "default", ""] == 0


def test_registering_reads_no_client(client: MakeClient, simulator: MakeSimulator) -> None:
    """And another collector of the same names is refused by the registry."""
    registry = CollectorRegistry()
    registry.register(StreamCollector(client(simulator().url)))
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(StreamCollector(client(simulator().url)))


def test_a_client_without_its_parts_is_refused_at_once() -> None:
    """Not at the first scrape, where nobody sees it."""

    class Forgetful(WsClient):
        def __init__(self) -> None:
            pass

    with pytest.raises(EToroError, match="super"):
        StreamCollector(Forgetful())
