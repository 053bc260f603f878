"""Streams to record, what a stream has brought, and recordings to read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from etoro_sync import EVENTS, EToroClosedError, EToroValidationError, Feed, MarketStream, Replay
from etoro_sync.recording.lines import Line
from etoro_sync.recording.segments import entries_of, find_segments, lines_of
from tests.support.clients import envelope

__all__ = [
    "Tape",
    "all_lines",
    "details_of",
    "kinds_of",
    "plainly",
    "play",
    "quote",
    "record_texts",
    "replayed",
    "texts_of",
]


class Tape:
    """All events of a stream in order, with all that they carry.

    :param stream: what to listen to.
    """

    def __init__(self, stream: MarketStream) -> None:
        self._stream = stream
        self._items = stream.queue(list(EVENTS), maxsize=0)

    def read(self) -> list[tuple[Any, ...]]:
        """Return what has come, once the stream has ended."""
        found = []
        with contextlib.suppress(EToroClosedError):
            while True:
                found.append(self._items.get(timeout=20))
        return found


def plainly(items: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return events without errors of the connection, which a replay does not repeat."""
    found = []
    for event, *arguments in items:
        if event == "error":
            if isinstance(arguments[0], EToroValidationError):
                found.append((event, str(arguments[0])))
        else:
            found.append((event, *(vars(a) if hasattr(a, "__dict__") else a for a in arguments)))
    return found


def play(function: Callable[[Feed], None]) -> MarketStream:
    """Return a stream that plays *function*."""
    return MarketStream(function)


def quote(instrument_id: int, number: int, **fields: Any) -> str:
    """Return the text of a rate; its number makes it unlike all others."""
    content = {"Ask": f"{number}.5", "Bid": f"{number}.25", "PriceRateID": str(number), **fields}
    return envelope(f"instrument:{instrument_id}", content)


def record_texts(
    folder: Path, texts: list[str], at: float = 1_790_000_000.0, **limits: Any
) -> None:
    """Record texts of one read each, a second apart."""

    def write(feed: Feed) -> None:
        for number, text in enumerate(texts):
            feed.texts([text], at + number)

    stream = MarketStream(write)
    with stream.record(folder, **limits), stream:
        stream.run_forever()


def replayed(path: Path, **options: Any) -> tuple[list[tuple[Any, ...]], dict[int, Any]]:
    """Return all events of a recording, and the rates at its end."""
    stream = Replay(path, **options)
    tape = Tape(stream)
    with stream:
        stream.run_forever()
        return plainly(tape.read()), {key: vars(rate) for key, rate in stream.rates.items()}


def all_lines(folder: Path) -> list[Line]:
    """Return all lines of a recording."""
    return [line for header in find_segments(folder) for line in lines_of(header.path)]


def texts_of(folder: Path) -> list[str]:
    """Return the texts of a recording."""
    return [line.text for line in all_lines(folder) if line.kind == "text"]


def kinds_of(folder: Path) -> list[str]:
    """Return the kinds of the entries of a recording, as a replay gets them."""
    return [entry.kind for entry in entries_of(find_segments(folder))]


def details_of(line: Line) -> Any:
    """Return the details of a line."""
    return json.loads(line.text)
