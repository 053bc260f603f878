"""The command ``replay``: a recording on the screen of ``stream``."""

import math
import queue
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import ClientState, Replay, WsStats
from ..errors import EToroClosedError, EToroError
from ..ws import EventQueue
from .log_collector import LogCollector
from .names import Names, instruments_with_keys
from .screens import Screen, TableScreen
from .streaming import StreamSettings, choose_screen

__all__ = ["replay"]

_EVENTS = ["instrument:rate", "private:event", "close", "reconnecting", "reconnected"]
#: Seconds after which the screen is refreshed even without an event.
_PERIOD = 0.1


def replay(
    path: Path,
    speed: float | None,
    start: float | None,
    until: float | None,
    settings: StreamSettings,
) -> None:
    """Show a recording until its end, until the time is over, or until a signal ends it.

    A table has names where there are keys to ask for them. Lines have none, for they would depend
    on how fast the answers are.

    :param speed: how many times as fast as recorded; None: as recorded for a table, and as fast as
        they can be written for lines.
    :param start: leave out what was received before, in seconds since the epoch.
    :param until: leave out what was received then or later.
    :param settings: how to show it.
    :raises EToroError: when there is no recording, or it is damaged.
    """
    screen = choose_screen(settings, path.name)
    names = Names(None, [])
    if isinstance(screen, TableScreen):
        speed = speed or 1.0
        names = Names(instruments_with_keys(), [])
        screen.contents.name_of = names.get
    stream = Replay(path, speed, start=start, until=until)
    with names, LogCollector(settings.verbose) as log, stream.queue(_EVENTS) as waiting:
        screen.start()
        try:
            with stream:
                _show(_Shown(stream, path), waiting, settings.seconds, screen, log)
        except EToroError as exc:
            for line in log.take(without=str(exc)):
                screen.note(line)
            raise
        finally:
            screen.stop()


class _Shown:
    """What a screen asks a client for.

    :param stream: the replay.
    :param path: what is played.
    """

    def __init__(self, stream: Replay, path: Path) -> None:
        self._stream = stream
        self._name = path.name
        self.generation = 0
        self._at = 0.0

    @property
    def state(self) -> ClientState:
        return self._stream.state

    def stats(self) -> WsStats:
        return self._stream.stats()

    def add(self, event: str, item: Any) -> None:
        """Note the time and the connection of an event."""
        shown = item[1] if event == "instrument:rate" else item
        self.generation = getattr(shown, "generation", self.generation)
        self._at = getattr(shown, "received_at", self._at)

    @property
    def source(self) -> str:
        """Describe what is played, with the time of then."""
        if not self._at:
            return self._name
        then = datetime.fromtimestamp(self._at, timezone.utc)
        return f"{self._name} at {then:%Y-%m-%d %H:%M:%S} UTC"


def _show(
    shown: _Shown,
    waiting: EventQueue[Any],
    seconds: float | None,
    screen: Screen,
    log: LogCollector,
) -> None:
    deadline = time.monotonic() + (math.inf if seconds is None else seconds)
    going = True
    while going and (left := deadline - time.monotonic()) > 0:
        going = False
        for event, item in _take(waiting, min(left, _PERIOD)):
            going = True
            if event:
                screen.show(event, item)
                shown.add(event, item)
        for line in log.take():
            screen.note(line)
        if isinstance(screen, TableScreen):
            screen.contents.source = shown.source
        screen.refresh(shown)


def _take(waiting: EventQueue[Any], timeout: float) -> Iterator[tuple[str, Any]]:
    """Yield what comes within the time, and an empty event at its end, unless the stream ended.

    :raises EToroError: the error that ended the stream.
    """
    deadline = time.monotonic() + timeout
    try:
        while (left := deadline - time.monotonic()) > 0:
            event, *arguments = waiting.get(timeout=left)
            yield event, arguments[0] if len(arguments) == 1 else tuple(arguments)
    except queue.Empty:
        pass
    except EToroClosedError:
        return
    yield "", None
