"""Serves ``/metrics`` and ``/healthz`` on a port, from threads of its own."""

import atexit
import contextlib
import errno
import json
import os
import threading
import weakref
from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from ..closeable import Closeable
from ..errors import EToroError, EToroValidationError
from ..numbers import whole
from ..stream import MarketStream
from ..synchronization import ProcessGuard, join_thread
from ..text import no_thread, shorten, show
from .collector import StreamCollector
from .health import Health, Limits
from .listener import Listener, Page, Source

__all__ = ["MetricsServer", "serve"]

_TEXT = "text/plain; charset=utf-8"
#: Seconds between two looks of the listening thread at whether it is to end.
_PERIOD = 0.1


def serve(
    streams: MarketStream | Mapping[str, MarketStream],
    port: int = 9464,
    host: str = "127.0.0.1",
    *,
    max_age: float = Limits.max_age,
    max_silence: float | None = Limits.max_silence,
    registry: CollectorRegistry | None = None,
) -> "MetricsServer":
    """Serve ``/metrics`` for Prometheus and ``/healthz``, until the result is closed.

    ``/healthz`` answers 200 only while every client is live, the thread that reads works, some byte
    has come within *max_silence*, and some data within *max_age*; else 503. Missing data is no
    fault while eToro says that all markets that are subscribed to are closed, nor on a stream of
    ``"private"`` alone. The body says why, as JSON.

    It keeps no client alive. It may be called before :meth:`~etoro_sync.WsClient.connect`.

    :param streams: a client, which gets the label ``client="default"``, or several by name, as in
        ``{"prices": client, "orders": other}``.
    :param port: 0 takes a free one; see :attr:`MetricsServer.port`.
    :param host: the address to listen on. ``"0.0.0.0"`` lets other machines see the metrics, which
        have no keys and no prices, but tell how much you trade.
    :param max_age: seconds. Heartbeats count as data: an open market sends about one message a
        second for each of its liquid instruments.
    :param max_silence: seconds; None is a little more than ``heartbeat_interval`` and
        ``heartbeat_timeout`` together, after which the client itself replaces the connection.
    :param registry: to add the metrics to; None is one of its own, without metrics of the process.
    :raises EToroError: when the port cannot be listened on.
    :raises EToroValidationError: naming the argument.
    """
    collector = StreamCollector(streams, max_age=max_age, max_silence=max_silence)
    number = whole(port)
    if number is None or not 0 <= number <= 65535:
        raise EToroValidationError(
            f"port must be a whole number from 0 to 65535, not {show(port, 60)}.", "port"
        )
    # Sockets take an empty one, as of a variable that is set to nothing, for all addresses.
    if not isinstance(host, str) or not host or not host.isprintable():
        raise EToroValidationError(
            f'host must be an address or a name, such as "127.0.0.1", not {show(host, 60)}.', "host"
        )
    if registry is None:
        registry = CollectorRegistry()
    elif not isinstance(registry, CollectorRegistry):
        raise EToroValidationError(
            f"registry must be a CollectorRegistry, not {show(registry, 60)}.", "registry"
        )
    return MetricsServer(collector, number, host, registry)


class MetricsServer(Closeable):
    """What :func:`serve` returns. A context manager; it also ends with the program.

    :param collector: the clients.
    :param port: to listen on.
    :param host: to listen on.
    :param registry: what ``/metrics`` shows.
    """

    _no_copies = "A MetricsServer cannot be copied or pickled: its port belongs to this process."

    def __init__(
        self, collector: StreamCollector, port: int, host: str, registry: CollectorRegistry
    ) -> None:
        #: Add metrics of your own to it; ``/metrics`` shows them, too.
        self.registry = registry
        self._collector = collector
        self._guard = ProcessGuard()
        pages: dict[str, Source] = {"/metrics": registry, "/healthz": self._healthz}
        try:
            self._listener = Listener(host, port, pages)
        except (OSError, UnicodeError, OverflowError) as exc:
            why = getattr(exc, "strerror", None) or str(exc)
            advice = "Pass a host that is an address of this machine."
            if getattr(exc, "errno", None) in (errno.EADDRINUSE, errno.EACCES):
                advice = "Choose another port, or 0 for a free one."
            raise EToroError(
                f"Cannot serve metrics on {shorten(host)} port {port}: {why}. {advice}"
            ) from exc
        try:
            registry.register(collector)
        except ValueError as exc:
            self._listener.server_close()
            raise EToroValidationError(
                "registry has metrics of etoro_sync already. Pass all clients to one serve(), by "
                "name, or let each have a registry of its own.",
                "registry",
            ) from exc
        self._thread = threading.Thread(
            target=self._listener.serve_forever,
            args=(_PERIOD,),
            name=f"etoro-sync-metrics-{self.port}",
            daemon=True,
        )
        try:
            self._thread.start()
        except RuntimeError as exc:
            self._listener.server_close()
            registry.unregister(collector)
            raise EToroError(f"Cannot serve metrics: {no_thread(exc)}") from exc
        _servers.add(self)

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return self._listener.port

    @property
    def url(self) -> str:
        """Where it is found from this machine, without a path."""
        return self._listener.url

    def health(self) -> dict[str, Health]:
        """Return what ``/healthz`` tells: name of a client -> whether it works, and why not."""
        limits = self._collector.limits
        return {each.name: each.health(limits) for each in self._collector.watched}

    def close(self) -> None:
        """Stop listening, and end all threads. May be called several times, and by any thread."""
        if self._guard.foreign:
            return
        _servers.discard(self)
        try:
            if self._thread.ident is not None:
                self._listener.shutdown()
                join_thread(self._thread, 1.0)
        finally:
            # Also when Ctrl-C interrupts the waits.
            self._listener.server_close()
        with contextlib.suppress(KeyError):
            self.registry.unregister(self._collector)

    def __repr__(self) -> str:
        return f"<MetricsServer {self.url}>"

    def _healthz(self) -> Page:
        found = self.health()
        healthy = all(each.healthy for each in found.values())
        body = {
            "healthy": healthy,
            "clients": {name: vars(each) for name, each in found.items()},
        }
        text = json.dumps(body, indent=1) + "\n"
        return Page(200 if healthy else 503, "application/json", text.encode())

    def _leave(self) -> None:
        """Free the port in a forked child, which has no thread that would answer."""
        self._listener.socket.close()


_servers: "weakref.WeakSet[MetricsServer]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Close all servers when the program ends: daemon threads may crash the interpreter then."""
    for server in list(_servers):
        with contextlib.suppress(Exception):
            server.close()


def _leave_all() -> None:
    for server in list(_servers):
        server._leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
