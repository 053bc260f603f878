"""The command ``publish``: one connection to eToro for many programs, through Redis."""

import contextlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ..demo import DEMO_PRICES
from ..errors import EToroError
from ..fleet import WsFleet
from ..instruments import Instruments
from ..ws import WsClient, WsClientOptions
from .ending import CommandError, carry_out
from .log_collector import LogCollector
from .names import instruments_of, resolve
from .options import Demo, Private, Seconds, Verbose, positive
from .progress import Progress
from .watching import watching

if TYPE_CHECKING:
    from ..redis import Publisher, PublisherStats

__all__ = ["Wanted", "add_commands", "describe", "publish"]

#: Seconds between two looks at the counters.
_PERIOD = 0.2


@dataclass(frozen=True)
class Wanted:
    """What to publish, and where.

    :param url: of Redis.
    :param words: instruments, by symbol or id.
    :param all: all instruments that eToro has.
    :param private: order events, too.
    :param feed: the name of the feed.
    :param lease: seconds after which another publisher takes over.
    :param cold: connect only with the lease.
    :param seconds: for how long; None is until Ctrl-C.
    :param verbose: the log, too.
    :param metrics_port: where to serve metrics of the connection; None is nowhere.
    """

    url: str
    words: list[str]
    all: bool
    private: bool
    feed: str
    lease: float
    cold: bool
    seconds: float | None
    verbose: bool
    metrics_port: int | None = None


def publish(wanted: Wanted, options: WsClientOptions, instruments: Instruments | None) -> None:
    """Publish until the time is over, the stream fails, or a signal ends it.

    :raises EToroError: the error that ended the stream, or why Redis refuses.
    """
    try:
        from ..redis import Publisher
    except ImportError as exc:
        raise CommandError(f"{exc}.") from exc

    topics: list[int | str] = [*_ids(wanted, instruments), *["private"] * wanted.private]
    progress = Progress()
    publisher = None
    with LogCollector(wanted.verbose) as log:
        try:
            # A fleet opens as many connections as the topics need.
            client = (WsFleet if wanted.all else WsClient)(options)
            client.subscribe(topics, snapshot=True)
            with contextlib.closing(client):
                publisher = Publisher(
                    client, wanted.url, feed=wanted.feed, lease=wanted.lease, cold=wanted.cold
                )
                if not wanted.cold:
                    client.connect()
                # Not as a context: a Ctrl-C while it starts would leave it running.
                with watching(client, wanted.metrics_port), contextlib.closing(publisher):
                    publisher.start()
                    _watch(publisher, wanted, progress, log)
        except EToroError as exc:
            for line in log.take(without=str(exc)):
                progress.note(line)
            raise
        finally:
            for line in log.take():
                progress.note(line)
            if publisher is not None:
                progress.end(f"published {describe(publisher.stats())}")


def _ids(wanted: Wanted, instruments: Instruments | None) -> list[int]:
    if not wanted.all:
        return list(dict.fromkeys(each.id for each in resolve(wanted.words, instruments)))
    if instruments is None:
        raise CommandError(
            "--all asks eToro's REST API, and the stream is of this machine. Set ETORO_REST_URL to "
            "the address of the simulator's REST API, which it shows at its start."
        )
    return [each.id for each in instruments.all()]


def _watch(publisher: "Publisher", wanted: Wanted, progress: Progress, log: LogCollector) -> None:
    """Show how far the publisher is, until its time is over or its stream ends."""
    deadline = time.monotonic() + (math.inf if wanted.seconds is None else wanted.seconds)
    while (left := deadline - time.monotonic()) > 0:
        if publisher.run_forever(min(left, _PERIOD)):
            break
        for line in log.take():
            progress.note(line)
        stats = publisher.stats()
        progress.show(f"{stats.role}: {describe(stats)}")


def describe(stats: "PublisherStats") -> str:
    """Return the counters of a publisher in one line."""
    words = [f"{stats.rates:,} rates, {stats.orders:,} orders"]
    if stats.epoch:
        words.append(f"epoch {stats.epoch}")
    for number, word in (
        (stats.conflated, "conflated"),
        (stats.waiting, "waiting"),
        (stats.held, "orders held"),
        (stats.refused, "refused"),
        (stats.lost, "lost"),
    ):
        if number:
            words.append(f"{number:,} {word}")
    if stats.failure is not None:
        words.append(f"paused: {stats.failure}")
    return ", ".join(words)


def add_commands(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("publish")(_publish)


def _publish(
    url: Annotated[str, typer.Argument(metavar="URL", help="redis://, rediss:// or unix://.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="INSTRUMENT", help="Symbols or ids, such as BTC 1001."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All of eToro's instruments, over several connections.")
    ] = False,
    private: Private = False,
    feed: Annotated[str, typer.Option(help="The name of the feed in Redis.")] = "main",
    lease: Annotated[
        float,
        typer.Option(
            callback=positive, metavar="N", help="Seconds until another publisher takes over."
        ),
    ] = 2.0,
    cold: Annotated[
        bool, typer.Option("--cold", help="Connect to eToro only while no other one publishes.")
    ] = False,
    seconds: Seconds = None,
    demo: Demo = False,
    verbose: Verbose = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, metavar="N", help="Serve /metrics and /healthz; 9464 is usual."
        ),
    ] = None,
) -> int:
    """Publish through Redis, for any number of readers; start it twice for fail-over.

    It goes on over lost connections of eToro and of Redis, and ends with Ctrl-C or after --seconds.
    The keys are read from ETORO_API_KEY and ETORO_USER_KEY, the addresses from ETORO_WS_URL and,
    for symbols and --all, from ETORO_REST_URL.
    """

    def work() -> None:
        from .showing import of_simulator
        from .simulating import make_simulator

        named = list(words or ())
        if everything and named:
            raise CommandError("--all has every instrument: name none, or leave it out.")
        if not (everything or named or private):
            raise CommandError(
                "Name at least one instrument, such as BTC, or use --all or --private."
            )
        wanted = Wanted(
            *(url, named, everything, private, feed, lease, cold, seconds, verbose), metrics_port
        )
        if not demo:
            options = WsClientOptions.from_env()
            publish(wanted, options, instruments_of(options))
            return
        ids = tuple(int(word) for word in named if word.isascii() and word.isdigit())
        with make_simulator(
            (*DEMO_PRICES, *ids), rest=True, rate=50.0, order_interval=1.0
        ) as simulator:
            publish(wanted, *of_simulator(simulator))

    return carry_out(work)
