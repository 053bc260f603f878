"""Builds the Grafana dashboard, which is also kept as ``docs/operations/dashboard.json``."""

from typing import Any

__all__ = ["make_dashboard"]

_BY = '{instance=~"$instance", client=~"$client"}'
_WIDTH, _HEIGHT = 24, 8
_NAME = "{{instance}} {{client}}"


def _rate(name: str) -> str:
    return f"rate(etoro_sync_{name}_total{_BY}[$__rate_interval])"


def _increase(name: str) -> str:
    return f"increase(etoro_sync_{name}_total{_BY}[$__range])"


def _gauge(name: str) -> str:
    return f"etoro_sync_{name}{_BY}"


#: Rows of panels: title, kind, unit, and legend -> expression.
_ROWS: list[list[tuple[str, str, str, dict[str, str]]]] = [
    [
        ("Healthy", "stat", "bool_yes_no", {_NAME: _gauge("healthy")}),
        (
            "State",
            "stat",
            "none",
            {
                f"{_NAME} {{{{state}}}}": f"{_gauge('state')} == 1",
            },
        ),
        ("Connected for", "stat", "s", {_NAME: _gauge("connection_age_seconds")}),
        ("Topics", "stat", "none", {_NAME: _gauge("subscriptions")}),
    ],
    [
        (
            "Ages",
            "timeseries",
            "s",
            {
                f"{_NAME} last data": _gauge("last_message_age_seconds"),
                f"{_NAME} last byte": _gauge("last_byte_age_seconds"),
                f"{_NAME} reader late by": _gauge("reader_delay_seconds"),
            },
        ),
        (
            "Messages a second",
            "timeseries",
            "ops",
            {
                f"{_NAME} all": _rate("messages"),
                f"{_NAME} rates": _rate("rates"),
                f"{_NAME} heartbeats": _rate("heartbeats"),
                f"{_NAME} order events": _rate("private_events"),
            },
        ),
        ("Bytes a second", "timeseries", "Bps", {_NAME: _rate("received_bytes")}),
    ],
    [
        (
            "Connections in the range",
            "timeseries",
            "none",
            {
                f"{_NAME} attempts": _increase("connect_attempts"),
                f"{_NAME} opened": _increase("connections"),
                f"{_NAME} restored": _increase("reconnects"),
            },
        ),
        (
            "Odd messages in the range",
            "timeseries",
            "none",
            {
                f"{_NAME} bad": _increase("bad_messages"),
                f"{_NAME} odd": _increase("odd_messages"),
                f"{_NAME} unknown": _increase("unknown_messages"),
            },
        ),
        (
            "Versions",
            "table",
            "none",
            {"{{version}}": 'etoro_sync_build_info{instance=~"$instance"}'},
        ),
    ],
    [
        (
            "Callbacks",
            "timeseries",
            "ops",
            {f"{_NAME} calls": _rate("callbacks"), f"{_NAME} errors": _rate("callback_errors")},
        ),
        ("Lag of callbacks", "timeseries", "s", {_NAME: _gauge("callbacks_lag_seconds")}),
        (
            "Events that wait or did not arrive",
            "timeseries",
            "none",
            {
                f"{_NAME} waiting": _gauge("callbacks_waiting"),
                f"{_NAME} conflated": _increase("callbacks_conflated"),
                f"{_NAME} dropped": _increase("callbacks_dropped"),
                f"{_NAME} lost": _increase("callbacks_lost"),
            },
        ),
    ],
]


def make_dashboard() -> dict[str, Any]:
    """Return the dashboard, as Grafana imports it: it asks for the data source then."""
    panels: list[dict[str, Any]] = []
    for row, contents in enumerate(_ROWS):
        width = _WIDTH // len(contents)
        for column, (title, kind, unit, targets) in enumerate(contents):
            panels.append(
                {
                    "id": len(panels) + 1,
                    "title": title,
                    "type": kind,
                    "datasource": _SOURCE,
                    "gridPos": {"x": column * width, "y": row * _HEIGHT, "w": width, "h": _HEIGHT},
                    "fieldConfig": {"defaults": {"unit": unit, **_colors(title)}, "overrides": []},
                    # Of a single client, Grafana would show the value alone, which is 1.
                    "options": {"textMode": "name"} if title == "State" else {},
                    "targets": [
                        {
                            "refId": chr(ord("A") + number),
                            "datasource": _SOURCE,
                            "expr": expression,
                            "legendFormat": legend,
                            "instant": kind != "timeseries",
                            "format": "table" if kind == "table" else "time_series",
                        }
                        for number, (legend, expression) in enumerate(targets.items())
                    ],
                }
            )
    return {
        "uid": "etoro-sync",
        "title": "etoro_sync",
        "tags": ["etoro"],
        "schemaVersion": 38,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_DATASOURCE, *map(_variable, ("instance", "client"))]},
        "panels": panels,
    }


def _colors(title: str) -> dict[str, Any]:
    """Return the colors of a panel, of which Grafana's own are red from 80 on."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if title == "Healthy":
        steps = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
    return {"thresholds": {"mode": "absolute", "steps": steps}}


_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_DATASOURCE = {"name": "datasource", "label": "Data source", "type": "datasource"} | {
    "query": "prometheus"
}


def _variable(label: str) -> dict[str, Any]:
    """Return a choice of all values of a label; all of them at first."""
    return {
        "name": label,
        "label": label.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "query": f"label_values(etoro_sync_healthy, {label})",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
