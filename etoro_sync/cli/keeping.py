"""The commands for recordings: ``record``, ``replay``, ``recover``, ``convert``."""

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..demo import DEMO_PRICES
from ..errors import EToroError
from ..ws import WsClientOptions
from .ending import CommandError, carry_out
from .options import Demo, Json, Private, Seconds, Speed, Verbose

if TYPE_CHECKING:
    from ..simulator import EToroSimulator

__all__ = ["add_commands", "moment", "serve"]

Source = Annotated[
    Path, typer.Argument(metavar="PATH", help="A recording: its folder, or one of its segments.")
]
Start = Annotated[
    str | None, typer.Option(metavar="T", help="From this time on, such as 2026-03-16T14:30 (UTC).")
]
Until = Annotated[str | None, typer.Option(metavar="T", help="Up to this time.")]
What = Annotated[str, typer.Option(help="The table: rates, orders, gaps or texts.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (_record, _replay, _recover, _convert):
        app.command(command.__name__[1:])(command)


def moment(text: str | None, option: str) -> float | None:
    """Return a time of the command line in seconds since the epoch; without a zone it is UTC.

    :raises CommandError: when it is none.
    """
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    # Python 3.10 knows neither the Z nor fractions of another length than 3 and 6.
    plain = re.sub(r"(\.\d{1,6})\d*", lambda part: part[1].ljust(7, "0"), text.strip())
    try:
        when = datetime.fromisoformat(plain.removesuffix("Z") + "+00:00" * plain.endswith("Z"))
    except ValueError:
        raise CommandError(
            f"{option} must be a time such as 2026-03-16T14:30:00 (UTC), not {text!r:.60}."
        ) from None
    return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()


@contextlib.contextmanager
def serve(
    simulator: "EToroSimulator", path: Path | None, speed: float | None, loop: bool
) -> Iterator[Callable[[], bool]]:
    """Let a simulator send a recording in the block, if there is one.

    :returns: what says whether it has ended.
    :raises EToroError: when there is no recording.
    """
    if path is None:
        yield lambda: False
        return
    from .serving import Tape

    with Tape(simulator, path, speed or 1.0, loop) as tape:
        yield tape.check
        if tape.check():
            sys.stdout.write("The recording has ended.\n")


def _bytes(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,15})\s*([kMGT]?)B?", text.strip())
    if found is None:
        raise CommandError(
            f"{option} must be a number of bytes such as 500000000, 500M or 2G, not {text!r:.60}."
        )
    return int(found[1]) * int(1000 ** " kMGT".index(found[2] or " "))


def _record(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="INSTRUMENT", help="Symbols or ids, such as BTC 1001."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Where the files go.")
    ] = None,
    private: Private = False,
    keep: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Keep the newest N closed files only.")
    ] = None,
    disk_budget: Annotated[
        str | None,
        typer.Option(metavar="BYTES", help="Remove the oldest files beyond this, such as 2G."),
    ] = None,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Also make a Parquet file of each closed file.")
    ] = False,
    seconds: Seconds = None,
    demo: Demo = False,
    verbose: Verbose = False,
) -> int:
    """Record the stream into files, which replay, pandas, polars and DuckDB read.

    It goes on over lost connections, and ends with Ctrl-C or after --seconds. The keys are read
    from ETORO_API_KEY and ETORO_USER_KEY, the addresses from ETORO_WS_URL and, for symbols, from
    ETORO_REST_URL.
    """

    def work() -> None:
        from .names import instruments_of
        from .recording import Limits, record
        from .showing import of_simulator
        from .simulating import make_simulator

        if out is None:
            raise CommandError("Say where to record to: --out FOLDER.")
        if not words and not private:
            raise CommandError("Name at least one instrument, such as BTC, or use --private.")
        limits = Limits(out, keep, _bytes(disk_budget, "--disk-budget"), seconds, parquet)
        named = list(words or ())
        if not demo:
            options = WsClientOptions.from_env()
            record(named, private, limits, options, instruments_of(options), verbose)
            return
        ids = tuple(int(word) for word in named if word.isascii() and word.isdigit())
        with make_simulator(
            (*DEMO_PRICES, *ids), rest=True, rate=50.0, order_interval=1.0
        ) as simulator:
            record(named, private, limits, *of_simulator(simulator), verbose)

    return carry_out(work)


def _replay(
    path: Source,
    speed: Speed = None,
    start: Start = None,
    until: Until = None,
    as_json: Json = False,
    seconds: Seconds = None,
    verbose: Verbose = False,
) -> int:
    """Play a recording: a live table on a terminal, lines in a pipe.

    The table shows it at the pace of then, lines come as fast as they are read; --speed says
    otherwise.
    """

    def work() -> None:
        from .replaying import replay
        from .streaming import StreamSettings

        settings = StreamSettings(("private",), as_json, seconds, verbose)
        begin, end = moment(start, "--start"), moment(until, "--until")
        replay(path, speed, begin, end, settings)

    return carry_out(work)


def _recover(path: Source) -> int:
    """Repair a recording that was torn by a kill, or damaged on the disk."""

    def work() -> None:
        from .. import recover

        results = recover(path)
        for each in results:
            sys.stdout.write(f"{each}\n")
        sys.stdout.flush()
        lost = [each.path.name for each in results if each.failure]
        if lost:
            raise EToroError(f"Not repaired: {', '.join(lost)}.")

    return carry_out(work)


def _convert(
    path: Source,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A .parquet, .csv or .jsonl file.")
    ] = None,
    what: What = "rates",
    start: Start = None,
    until: Until = None,
) -> int:
    """Write a recording as a table: Parquet, CSV or JSON lines."""

    def work() -> None:
        from .. import Recording
        from .progress import Progress

        if to is None:
            raise CommandError("Say where to write to: --to FILE, such as prices.parquet.")
        begin, end = moment(start, "--start"), moment(until, "--until")
        progress = Progress()

        def show(rows: int, last: Any) -> None:
            at = getattr(last, "received_at", 0.0) or getattr(last, "at", 0.0)
            then = datetime.fromtimestamp(at, timezone.utc)
            progress.show(f"{rows:,} {what}, up to {then:%Y-%m-%d %H:%M:%S} UTC")

        try:
            recording = Recording(path, start=begin, until=end)
            rows = recording.convert(to, what=what, progress=show)
        finally:
            progress.end()
        progress.end(f"{rows:,} {what if rows > 1 else what[:-1]} in {to}")

    return carry_out(work)
