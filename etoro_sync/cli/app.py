"""The commands and their options."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer import Typer  # a module of the same name without it gives an ImportError

from .._version import __version__
from ..demo import DEMO_PRICES
from ..events import SYMBOLS
from ..ws import WsClientOptions
from .ending import CommandError, carry_out, prepare_output, print_error, report_failure
from .simulating import Cuts, make_simulator, play, simulate
from .streaming import StreamSettings, choose_screen, stream

__all__ = ["app", "run"]

_NAME = "etoro-sync"
_DEMO_KEYS = ("demo-api-key", "demo-user-key")

app = Typer(
    help="eToro's prices and order events in the terminal. Unofficial.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{_NAME} {__version__}")
        raise typer.Exit


def _positive(value: float | None) -> float | None:
    # Not typer's range, which accepts "nan".
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter("it must be a number greater than 0.")
    return value


Seconds = Annotated[
    float | None,
    typer.Option(callback=_positive, metavar="N", help="End after N seconds; else by Ctrl-C."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the library's log.")]
Rate = Annotated[float, typer.Option(help="Rate messages per second, all instruments together.")]
OwnRate = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        help="Rate messages per second, all instruments together; else about one for each.",
    ),
]
Mix = Annotated[
    str,
    typer.Option(help="Kinds of messages: own (of each instrument), liquid, universe or full."),
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same prices.")]
Orders = Annotated[
    float | None,
    typer.Option(
        "--orders", callback=_positive, metavar="N", help="An order event every N seconds."
    ),
]
CutEvery = Annotated[
    float | None,
    typer.Option(
        callback=_positive,
        metavar="N",
        help="Cut the connections every N seconds, as a network may.",
    ),
]


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """The options that come before a command."""


@app.command("stream")
def stream_command(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Instruments, such as 100000.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Order events of the account.")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Simulated data; no credentials are needed.")
    ] = False,
    as_json: Json = False,
    seconds: Seconds = None,
    verbose: Verbose = False,
) -> int:
    """Stream from eToro: a live table on a terminal, lines in a pipe.

    The keys are read from ETORO_API_KEY and ETORO_USER_KEY, the address from ETORO_WS_URL.
    """

    def work() -> None:
        instrument_ids = dict.fromkeys(_instrument_id(word) for word in ids or ())
        if not instrument_ids and not private:
            raise CommandError("Name at least one instrument, such as 100000, or use --private.")
        topics: tuple[int | str, ...] = (*instrument_ids, *["private"] * private)
        settings = StreamSettings(topics, as_json, seconds, verbose)
        if demo:
            _stream_simulated(settings, order_interval=1.0)
        else:
            options = WsClientOptions.from_env()
            stream(options, settings, choose_screen(settings, options.ws_url))

    return carry_out(work)


@app.command("demo")
def demo_command(
    seconds: Seconds = None,
    rate: Rate = 50.0,
    mix: Mix = "liquid",
    seed: Seed = 0,
    orders: Orders = 1.0,
    cut_every: CutEvery = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Watch a client and a simulated feed: prices, and an order event now and then."""

    def work() -> None:
        settings = StreamSettings((*DEMO_PRICES, "private"), as_json, seconds, verbose)
        _stream_simulated(settings, cut_every, rate=rate, mix=mix, seed=seed, order_interval=orders)

    return carry_out(work)


def _instrument_id(word: str) -> int:
    """Parse an id here and not by its type, to explain why a symbol does not work."""
    if not (word.isascii() and word.isdigit() and len(word) <= 18 and int(word) > 0):
        raise CommandError(
            "An instrument is a whole number greater than 0, such as 100000, not "
            f"{word!r:.60}. {SYMBOLS}"
        )
    return int(word)


def _stream_simulated(
    settings: StreamSettings, cut_every: float | None = None, **options: object
) -> None:
    """Stream from a simulator that runs in this process."""
    with make_simulator(settings.instrument_ids, **options) as simulator:
        # The simulator is in this process, which a proxy from the environment may not reach.
        client_options = WsClientOptions(*_DEMO_KEYS, simulator.url, proxy="")
        screen = choose_screen(settings, "simulated data")
        stream(client_options, settings, screen, Cuts(simulator, cut_every).tick)


@app.command("simulate")
def simulate_command(
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8765,
    host: Annotated[str, typer.Option(help="A loopback address.")] = "127.0.0.1",
    rate: OwnRate = None,
    mix: Mix = "own",
    seed: Seed = 0,
    orders: Orders = 5.0,
    tls: Annotated[bool, typer.Option("--tls", help="wss:// with a certificate made now.")] = False,
    ca_file: Annotated[
        Path | None, typer.Option(help="Where to put the certificate to trust; else it is printed.")
    ] = None,
    api_key: Annotated[str | None, typer.Option(help="Accept only this one.")] = None,
    user_key: Annotated[str | None, typer.Option(help="Accept only this one.")] = None,
    cut_every: CutEvery = None,
    script: Annotated[
        Path | None, typer.Option(help="A JSON file of faults to play: see docs/simulator.md.")
    ] = None,
    seconds: Seconds = None,
) -> int:
    """Run a server that speaks eToro's protocol, for clients in any language."""

    def work() -> None:
        if ca_file is not None and not tls:
            raise CommandError("Without --tls there is no certificate to write; add --tls.")
        simulator = make_simulator(
            port=port,
            host=host,
            rate=rate,
            mix=mix,
            seed=seed,
            order_interval=orders,
            tls=tls,
            api_key=api_key,
            user_key=user_key,
        )
        playing = None if script is None else play(simulator, script)
        simulate(simulator, ca_file, seconds, cut_every, _keys(api_key, user_key), playing)

    return carry_out(work)


def _keys(api_key: str | None, user_key: str | None) -> str:
    """Describe the accepted keys, without showing them."""
    if api_key is None and user_key is None:
        return "any that are not empty"
    words = ["any API key" if api_key is None else "the given API key"]
    words.append("any user key" if user_key is None else "the given user key")
    return ", ".join(words)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    :param arguments: None takes them from ``sys.argv``.
    :returns: the exit code.
    """
    prepare_output()
    given = list(sys.argv[1:] if arguments is None else arguments)
    streams = sys.stdout, sys.stderr
    try:
        code = app(given or ["--help"], prog_name=_NAME, standalone_mode=False)
    except typer.Abort:  # Ctrl-C before the command has begun
        return 130
    except OSError as exc:  # the help could not be written
        return report_failure(exc)
    except SystemExit as exc:
        # The reader of the help has gone: click exits and replaces the streams.
        if not isinstance(exc.__context__, BrokenPipeError):
            raise
        sys.stdout, sys.stderr = streams
        return report_failure(exc.__context__)
    except Exception as exc:
        # Wrong usage. Its class depends on typer's version: since 0.26, typer has its own copy of
        # click.
        message = getattr(exc, "format_message", None)
        if message is None:
            raise
        words = message().rstrip(".")
        print_error(f"{words}{'' if words.endswith('?') else '.'} See {_NAME} --help.")
        return 2
    return code if isinstance(code, int) else 0
