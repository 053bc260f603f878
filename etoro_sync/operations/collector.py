"""Turns the statistics of streams into Prometheus' metrics, each time that somebody asks."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from .._version import __version__
from ..errors import EToroClosedError
from ..state import ClientState
from ..stream import MarketStream
from .figures import AGES, COUNTERS, GAUGES, PREFIX
from .health import Limits, watched

__all__ = ["StreamCollector"]

_LABEL = "client"
_BUILD, _BUILD_HELP = f"{PREFIX}build", "The version of the library."

Family = CounterMetricFamily | GaugeMetricFamily


class StreamCollector(Collector):
    """Exposes the statistics of one or several clients; ``registry.register()`` takes it.

    It keeps no client alive, and a client that is closed, failed, or used in a forked child does
    not disturb a scrape.

    :param streams: a client, which gets the label ``client="default"``, or several by name.
    :param max_age: as for :func:`~etoro_sync.metrics.serve`; of the metric ``etoro_sync_healthy``.
    :param max_silence: likewise.
    :raises EToroValidationError: naming the argument.
    """

    def __init__(
        self,
        streams: MarketStream | Mapping[str, MarketStream],
        *,
        max_age: float = Limits.max_age,
        max_silence: float | None = Limits.max_silence,
    ) -> None:
        self.watched = watched(streams)
        self.limits = Limits(max_age, max_silence)

    def describe(self) -> Iterable[Metric]:
        """Return all metrics without samples, so that registering them reads no client."""
        return [InfoMetricFamily(_BUILD, _BUILD_HELP), *_families().values()]

    def collect(self) -> Iterator[Metric]:
        """Return all metrics as they are now. Any thread; never waits."""
        yield InfoMetricFamily(_BUILD, _BUILD_HELP, value={"version": __version__})
        families = _families()
        for each in self.watched:
            healthy = each.health(self.limits).healthy
            families["healthy"].add_metric([each.name], float(healthy))
            stream = each.stream
            if stream is not None:
                self._add(families, each.name, stream)
        yield from families.values()

    def _add(self, families: dict[str, Family], name: str, stream: MarketStream) -> None:
        present = stream.state
        for state in ClientState:
            families["state"].add_metric([name, state.value], float(state is present))
        try:
            stats = stream.stats()
            topics = getattr(stream, "subscriptions", None)
        except EToroClosedError:  # in a forked child, to which no figure belongs
            return
        if topics is not None:
            families["subscriptions"].add_metric([name], len(topics))
        for figure in (*COUNTERS, *GAUGES, *AGES):
            value: float | None = getattr(stats, figure.field)
            if value is not None:
                families[figure.name].add_metric([name], value)


def _families() -> dict[str, Family]:
    """Return all metrics but the version's, without samples, by name or what they are made of."""
    families: dict[str, Family] = {
        "healthy": GaugeMetricFamily(
            f"{PREFIX}healthy", "1 if /healthz finds nothing wrong.", labels=[_LABEL]
        ),
        "state": GaugeMetricFamily(
            f"{PREFIX}state", "1 for the state of the client.", labels=[_LABEL, "state"]
        ),
        "subscriptions": GaugeMetricFamily(
            f"{PREFIX}subscriptions", "Topics that are subscribed to.", labels=[_LABEL]
        ),
    }
    for figure in COUNTERS:
        families[figure.name] = CounterMetricFamily(
            f"{PREFIX}{figure.name}", figure.help, labels=[_LABEL]
        )
    for figure in (*GAUGES, *AGES):
        families[figure.name] = GaugeMetricFamily(
            f"{PREFIX}{figure.name}", figure.help, labels=[_LABEL]
        )
    return families
