"""Metrics and health over HTTP: ``serve(client)``. Needs the extra ``prometheus``.

::

    from etoro_sync import WsClient
    from etoro_sync.metrics import serve

    with WsClient() as client, serve(client, port=9464):
        ...

``/metrics`` is for Prometheus, ``/healthz`` answers 200 or 503.
"""

from .extras import advice

try:
    import prometheus_client  # noqa: F401  # checked here, for one clear message
except ImportError as exc:
    raise ImportError(
        f"Metrics need an extra: {advice('prometheus_client', 'prometheus')}", name=exc.name
    ) from exc

from .operations.collector import StreamCollector
from .operations.health import Health
from .operations.server import MetricsServer, serve

__all__ = ["Health", "MetricsServer", "StreamCollector", "serve"]
