"""The commands and their options."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer import Typer  # a module of the same name without it gives an ImportError

from .._version import __version__
from ..demo import DEMO_PRICES
from ..instruments import Instruments
from ..ws import WsClientOptions
from .ending import CommandError, carry_out, prepare_output, print_error, report_failure
from .finding import find
from .keeping import add_commands as add_commands_of_recordings
from .keeping import serve
from .names import instruments_of
from .operating import add_commands
from .options import Demo, Json, Private, Seconds, Speed, Verbose, positive
from .publishing import add_commands as add_command_of_publishers
from .showing import Wanted, of_simulator, show, show_feed, show_simulated
from .simulating import make_simulator, play, simulate

__all__ = ["app", "run"]

_NAME = "etoro-sync"

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


Sparks = Annotated[
    bool, typer.Option("--spark", help="A small picture of each price, on a terminal.")
]
FeedName = Annotated[str, typer.Option("--feed", help="The feed in Redis.")]
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
        "--orders", callback=positive, metavar="N", help="An order event every N seconds."
    ),
]
CutEvery = Annotated[
    float | None,
    typer.Option(
        callback=positive,
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
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="INSTRUMENT", help="Symbols or ids, such as BTC 1001."),
    ] = None,
    private: Private = False,
    demo: Demo = False,
    as_json: Json = False,
    seconds: Seconds = None,
    verbose: Verbose = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, metavar="N", help="Serve /metrics and /healthz; 9464 is usual."
        ),
    ] = None,
    sparks: Sparks = False,
    url: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="URL",
            help="What a publisher has written to this Redis: redis://, rediss:// or unix://.",
        ),
    ] = None,
    feed: FeedName = "main",
) -> int:
    """Stream from eToro: a live table on a terminal, lines in a pipe.

    The keys are read from ETORO_API_KEY and ETORO_USER_KEY, the addresses from ETORO_WS_URL and,
    for symbols and names, from ETORO_REST_URL. From Redis no keys are needed, and without
    instruments all are shown.
    """

    def work() -> None:
        if url is not None:
            if demo:
                raise CommandError("--demo is for simulated data; leave it out beside --from.")
            show_feed(
                Wanted(list(words or ()), private, as_json, seconds, verbose, metrics_port, sparks),
                url,
                feed,
            )
            return
        if not words and not private:
            raise CommandError("Name at least one instrument, such as BTC, or use --private.")
        wanted = Wanted(list(words or ()), private, as_json, seconds, verbose, metrics_port, sparks)
        if demo:
            show_simulated(wanted, rate=20.0, mix="liquid", order_interval=1.0)
        else:
            options = WsClientOptions.from_env()
            show(wanted, options, instruments_of(options), options.ws_url)

    return carry_out(work)


@app.command("find")
def find_command(
    words: Annotated[
        list[str], typer.Argument(metavar="WORD", help="Exact symbols or ids, such as BTC 1001.")
    ],
    similar: Annotated[
        bool, typer.Option("--search", help="Whatever has the words in its symbol or its name.")
    ] = False,
    demo: Demo = False,
    as_json: Json = False,
) -> int:
    """Find the ids, symbols and names of instruments, by exact symbol or by id.

    The keys are read from ETORO_API_KEY and ETORO_USER_KEY, the address from ETORO_REST_URL.
    """

    def work() -> None:
        if not demo:
            find(words, Instruments(), similar, as_json)
            return
        with make_simulator(rest=True, rate=0) as simulator:
            find(words, of_simulator(simulator)[1], similar, as_json)

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
    sparks: Sparks = False,
) -> int:
    """Watch a client and a simulated feed: prices, and an order event now and then."""

    def work() -> None:
        wanted = Wanted([*map(str, DEMO_PRICES)], True, as_json, seconds, verbose, None, sparks)
        show_simulated(wanted, cut_every, rate=rate, mix=mix, seed=seed, order_interval=orders)

    return carry_out(work)


@app.command("plot")
def plot_command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A recording: a file or a folder.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Instruments; else those with the most prices."),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Its ending decides the format: png, svg, pdf.")
    ] = Path("prices.png"),
) -> int:
    """Draw the prices of a recording: bid and ask, gaps, and when markets were closed."""

    def work() -> None:
        from .plotting import draw

        draw(path, list(words or ()), out)

    return carry_out(work)


@app.command("doctor")
def doctor_command(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]", help="Look at this Redis instead: redis://, rediss:// or unix://."
        ),
    ] = None,
    feed: FeedName = "main",
    instruments: Annotated[
        list[int] | None,
        typer.Option("--instrument", metavar="ID", help="Instead of 100000, bitcoin; repeatable."),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private/--no-private", help="The topic of order events, too.")
    ] = True,
    traffic: Annotated[float, typer.Option(help="Seconds of traffic to count.")] = 5.0,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the first price.")] = 20.0,
    minutes: Annotated[
        float, typer.Option(help="Observe connections for N minutes afterwards; Ctrl-C ends it.")
    ] = 0.0,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report that can be posted.")
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="A simulated service; no credentials are needed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end.")] = False,
) -> int:
    """Find out why nothing comes: each step from this machine to the first price.

    It stops at the first step that fails, and says what to do. It also lists all that the service
    does and nobody has publicly reported. The keys are read from ETORO_API_KEY and ETORO_USER_KEY,
    the address from ETORO_WS_URL. With the URL of a Redis it says whether that can carry a feed,
    and whether the feed is well. Exit codes: 0 all is well, 1 the network or the service, 2 keys or
    usage.
    """

    def work() -> None:
        from ..doctor.plan import Plan
        from .doctoring import Visit, examine, examine_redis

        plan = Plan(tuple(instruments or [100000]), private, traffic, wait, minutes)
        visit = Visit(plan, as_json, report)
        if url is not None:
            if demo or minutes or instruments:
                raise CommandError(
                    "With the URL of a Redis, leave out --demo, --minutes and --instrument: they "
                    "are for eToro's service."
                )
            if "://" not in url:
                raise CommandError(
                    "An instrument is given as --instrument ID, with the id that etoro-sync find "
                    "shows; what stands alone must be the URL of a Redis, such as redis://localhost."
                )
            examine_redis(visit, url, feed)
        else:
            examine(visit, demo)

    return carry_out(work)


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
    recording: Annotated[
        Path | None,
        typer.Option("--from", metavar="PATH", help="Send what this recording has, nothing else."),
    ] = None,
    speed: Speed = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Begin again at the end of the recording.")
    ] = False,
    seconds: Seconds = None,
) -> int:
    """Run a server that speaks eToro's protocol, for clients in any language."""

    def work() -> None:
        if ca_file is not None and not tls:
            raise CommandError("Without --tls there is no certificate to write; add --tls.")
        if recording is None and (loop or speed is not None):
            raise CommandError("--speed and --loop are for a recording: add --from PATH.")
        if recording is not None and rate is not None:
            raise CommandError("A recording has its own pace: leave out --rate, or use --speed.")
        own = recording is None
        simulator = make_simulator(
            None if own else (),
            catalogue=own,
            port=port,
            host=host,
            rate=rate if own else 0,
            mix=mix,
            seed=seed,
            order_interval=orders if own else None,
            tls=tls,
            rest=own,
            api_key=api_key,
            user_key=user_key,
        )
        playing = None if script is None else play(simulator, script)
        keys = _keys(api_key, user_key)
        with serve(simulator, recording, speed, loop) as ended:
            simulate(simulator, ca_file, seconds, cut_every, keys, playing, own, ended)

    return carry_out(work)


add_commands_of_recordings(app)
add_command_of_publishers(app)
add_commands(app)


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
