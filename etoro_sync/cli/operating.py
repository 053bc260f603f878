"""Commands for those who run a program as a service: ``unit``, ``dashboard``, ``alert-rules``."""

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from .ending import carry_out

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("unit", context_settings={"allow_interspersed_args": False})(_unit)
    app.command("dashboard")(_dashboard)
    app.command("alert-rules")(_alert_rules)


def _unit(
    program: Annotated[Path, typer.Argument(metavar="PROGRAM", help="Your program's file.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENT", help="What it is called with.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The service's name; else made from the program's.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Whose rights it has; else yours, or none of root's.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="The file with the keys; else /etc/NAME.env.")
    ] = None,
) -> int:
    """Print a systemd unit that runs your program with this Python.

    The program calls etoro_sync.systemd.notify(client). Options come before PROGRAM.
    """

    def work() -> None:
        from ..systemd import make_unit

        _write(make_unit(program, arguments or (), name=name, user=user, keys=keys))

    return carry_out(work)


def _dashboard() -> int:
    """Print a Grafana dashboard of etoro_sync's metrics, as JSON to import."""

    def work() -> None:
        from ..operations.dashboard import make_dashboard

        _write(json.dumps(make_dashboard(), indent=2) + "\n")

    return carry_out(work)


def _alert_rules() -> int:
    """Print alerting rules for Prometheus, as YAML."""

    def work() -> None:
        rules = files("etoro_sync.operations") / "alerts.yml"
        _write(rules.read_text(encoding="utf-8"))

    return carry_out(work)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
