"""The commands ``stream`` and ``demo``: a client, its queues, and a screen."""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..clocks import uptime
from ..errors import EToroError
from ..ws import WsClient, WsClientOptions
from .inbox import Inbox, Streamed
from .log_collector import LogCollector
from .screens import LineScreen, Screen, TableScreen
from .table_contents import TableContents
from .watching import watching

__all__ = ["StreamSettings", "choose_screen", "follow", "stream"]

#: Seconds after which the screen is refreshed even without an event.
_PERIOD = 0.1


@dataclass(frozen=True)
class StreamSettings:
    """What to stream, and how to show it.

    :param topics: what to subscribe to: instrument ids, ``"private"``.
    :param as_json: write one JSON object per line.
    :param seconds: how long to stream after connecting; None is until Ctrl-C.
    :param verbose: show the log.
    :param metrics_port: where to serve metrics; None is nowhere.
    :param sparks: show a small picture of each price, on a terminal.
    """

    topics: tuple[int | str, ...]
    as_json: bool = False
    seconds: float | None = None
    verbose: bool = False
    metrics_port: int | None = None
    sparks: bool = False

    @property
    def private(self) -> bool:
        """Whether to stream order events."""
        return "private" in self.topics

    @property
    def instrument_ids(self) -> tuple[int, ...]:
        """The instruments among the topics."""
        return tuple(topic for topic in self.topics if isinstance(topic, int))


def choose_screen(
    settings: StreamSettings, source: str, name_of: Callable[[int | None], str] = lambda _: ""
) -> Screen:
    """Return a table for terminals that can draw one, and lines for pipes and files.

    :param settings: what to show.
    :param source: describes where the data comes from.
    :param name_of: returns the name of an instrument, or ``""``.
    """
    from rich.console import Console

    if settings.as_json or not sys.stdout.isatty() or Console().is_dumb_terminal:
        return LineScreen(settings.as_json, name_of)
    ids = settings.instrument_ids
    contents = TableContents(ids, source, settings.private, uptime(), name_of, settings.sparks)
    return TableScreen(contents, settings.verbose)


def stream(
    options: WsClientOptions,
    settings: StreamSettings,
    screen: Screen,
    tick: Callable[[], Any] = lambda: None,
) -> None:
    """Show a stream until its time is over, it fails, or a signal ends it.

    :param options: the client's options.
    :param settings: what to stream.
    :param screen: where to show it.
    :param tick: called several times a second.
    :raises EToroError: the error that ended the client.
    """
    follow(lambda: WsClient(options), settings, screen, tick)


def follow(
    make: Callable[[], Streamed],
    settings: StreamSettings,
    screen: Screen,
    tick: Callable[[], Any] = lambda: None,
) -> None:
    """Do what :func:`stream` does, with any stream.

    :param make: returns it.
    """
    with LogCollector(settings.verbose) as log:
        screen.start()
        try:
            client = make()
            # Before it is connected: some streams begin with all that they know.
            inbox = Inbox(client, settings.private)
            with client, watching(client, settings.metrics_port):
                _show(client, inbox, settings, screen, log, tick)
        except EToroError as exc:
            # The caller prints the error, so it is left out of the log.
            for line in log.take(without=str(exc)):
                screen.note(line)
            raise
        finally:
            screen.stop()


def _show(
    client: Streamed,
    inbox: Inbox,
    settings: StreamSettings,
    screen: Screen,
    log: LogCollector,
    tick: Callable[[], Any],
) -> None:
    if isinstance(client, WsClient):
        client.subscribe(settings.topics, snapshot=True)
    seconds = math.inf if settings.seconds is None else settings.seconds
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        for event, item in inbox.take(min(left, _PERIOD)):
            screen.show(event, item)
        for line in log.take():
            screen.note(line)
        screen.refresh(client)
        tick()
