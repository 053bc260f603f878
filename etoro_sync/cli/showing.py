"""From what a user has asked for to a stream on a screen: symbols, ids and names."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..instruments import Instrument, Instruments
from ..ws import WsClientOptions
from .ending import CommandError
from .names import Names, instruments_with_keys, resolve
from .simulating import Cuts, make_simulator
from .streaming import StreamSettings, choose_screen, follow, stream

if TYPE_CHECKING:
    from ..simulator import EToroSimulator

__all__ = ["Wanted", "of_simulator", "show", "show_feed", "show_simulated"]

_DEMO_KEYS = ("demo-api-key", "demo-user-key")


@dataclass(frozen=True)
class Wanted:
    """What a user wants to see.

    :param words: instruments, by symbol or id.
    :param private: order events, too.
    :param as_json: as one JSON object per line.
    :param seconds: for how long; None is until Ctrl-C.
    :param verbose: the log, too.
    :param metrics_port: where to serve metrics; None is nowhere.
    :param sparks: a small picture of each price, too.
    """

    words: list[str]
    private: bool
    as_json: bool
    seconds: float | None
    verbose: bool
    metrics_port: int | None = None
    sparks: bool = False


def show(
    wanted: Wanted,
    options: WsClientOptions,
    instruments: Instruments | None,
    source: str,
    tick: Callable[[], object] = lambda: None,
    known: Iterable[Instrument] = (),
) -> None:
    """Find the instruments, and stream them.

    :param instruments: where to ask for symbols and names.
    :param source: describes where the data comes from.
    :param tick: called several times a second.
    :param known: instruments whose names need not be asked for.
    """
    found = resolve(wanted.words, instruments)
    topics: tuple[int | str, ...] = (
        *dict.fromkeys(each.id for each in found),
        *["private"] * wanted.private,
    )
    settings = StreamSettings(
        topics,
        wanted.as_json,
        wanted.seconds,
        wanted.verbose,
        wanted.metrics_port,
        wanted.sparks,
    )
    with Names(instruments, [*found, *known]) as names:
        stream(options, settings, choose_screen(settings, source, names.get), tick)


def show_feed(wanted: Wanted, url: str, feed: str) -> None:
    """Stream what a publisher has written to Redis: the instruments that were named, or all.

    Names and symbols need keys; without them, there are ids.
    """
    try:
        from ..redis import RedisClient
    except ImportError as exc:
        raise CommandError(f"{exc}.") from exc
    instruments = instruments_with_keys()
    symbols = [word for word in wanted.words if any(letter.isalpha() for letter in word)]
    if symbols and instruments is None:
        raise CommandError(
            f"{symbols[0]!r:.60} is a symbol. Set ETORO_API_KEY and ETORO_USER_KEY, with which it "
            "is looked up, or give its id."
        )
    found = resolve(wanted.words, instruments)
    ids = tuple(dict.fromkeys(each.id for each in found))
    # Checked here, before the screen begins.
    client = RedisClient(url, feed, ids or None)
    topics: tuple[int | str, ...] = (*ids, *["private"] * wanted.private)
    settings = StreamSettings(
        topics,
        wanted.as_json,
        wanted.seconds,
        wanted.verbose,
        wanted.metrics_port,
        wanted.sparks,
    )
    with Names(instruments, found) as names:
        follow(lambda: client, settings, choose_screen(settings, f"feed {feed}", names.get))


def show_simulated(wanted: Wanted, cut_every: float | None = None, **options: Any) -> None:
    """Stream from a simulator that runs in this process."""
    ids = tuple(int(word) for word in wanted.words if word.isascii() and word.isdigit())
    with make_simulator(ids, rest=True, **options) as simulator:
        client_options, instruments = of_simulator(simulator)
        tick = Cuts(simulator, cut_every).tick
        # Asked for before, because that takes no time here: so the first lines have names, too.
        known = instruments.lookup(ids).values()
        show(wanted, client_options, instruments, "simulated data", tick, known)


def of_simulator(simulator: "EToroSimulator") -> tuple[WsClientOptions, Instruments]:
    """Return what leads a client to a simulator of this process, and where to ask for names."""
    # A simulator of this process, which a proxy from the environment may not reach.
    options = WsClientOptions(*_DEMO_KEYS, simulator.url, proxy="")
    return options, Instruments(options, rest_url=simulator.rest_url)
