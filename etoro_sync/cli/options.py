"""Options that several commands have."""

import math
from typing import Annotated

import typer

__all__ = ["Demo", "Json", "Private", "Seconds", "Speed", "Verbose", "positive"]


def positive(value: float | None) -> float | None:
    """Return a number of the command line, if it is above 0; for typer's ``callback``.

    Not typer's range, which accepts "nan".

    :raises BadParameter: when it is not.
    """
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter("it must be a number greater than 0.")
    return value


Seconds = Annotated[
    float | None,
    typer.Option(callback=positive, metavar="N", help="End after N seconds; else by Ctrl-C."),
]
Speed = Annotated[
    float | None,
    typer.Option(callback=positive, metavar="N", help="N times as fast as it was recorded."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the library's log.")]
Private = Annotated[bool, typer.Option("--private", help="Order events of the account.")]
Demo = Annotated[bool, typer.Option("--demo", help="Simulated data; no credentials are needed.")]
