"""Recordings for tests: made by the library's own parts, without a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from etoro_sync import Feed, MarketStream
from etoro_sync.recording.lines import encode_line
from etoro_sync.recording.segment import FORMAT, SegmentFile

__all__ = ["BEGIN", "NAME", "end", "hole_free", "price", "recorded", "text_line", "write_segment"]

#: When the recordings begin, in seconds since the epoch: 2023-11-14 22:13:20 UTC.
BEGIN = 1_700_000_000.0
NAME = "20231114T221320.000Z-000001.jsonl.zst"


def price(instrument_id: int, **content: Any) -> str:
    """Return a rate message as eToro sends it; both sides, unless fields are given."""
    content = content or {"Bid": "1.5", "Ask": "1.75"}
    content = {"Date": "2023-11-14T22:13:20.1234567Z", "PriceRateID": "7", **content}
    message = {
        "topic": f"instrument:{instrument_id}",
        "content": json.dumps(content),
        "id": "1",
        "type": "Trading.Instrument.Rate",
    }
    return json.dumps({"messages": [message]})


def recorded(folder: Path, play: Callable[[Feed], None], **options: Any) -> Path:
    """Record what a function plays, and return the folder."""
    stream = MarketStream(play)
    with stream.record(folder, **options), stream:
        stream.run_forever()
    return folder


def text_line(at: float, text: str, generation: int = 1) -> str:
    """Return the line of a text frame."""
    line = {"at": at, "generation": generation, "kind": "text", "text": text}
    return json.dumps(line) + "\n"


def hole_free(lines: Iterable[str], number: int = 1) -> list[list[str]]:
    """Return the lines of a segment's beginning, as a recorder writes them, and one frame each."""
    header = {
        "format": FORMAT,
        "library": "0",
        "recording": "tests",
        "segment": number,
        "wall": BEGIN,
        "uptime": 1.0,
    }
    state = {"awaited": [], "unsubscribed": [], "instruments": 0, "latest": 0}
    first = [encode_line("header", BEGIN, 0, header)]
    return [first, [encode_line("keyframe", BEGIN, 1, state)], *([line] for line in lines)]


def end(at: float) -> str:
    """Return the last line of a segment that was closed."""
    return encode_line("end", at, 0, {"recording": "tests", "segment": 1, "lines": 1})


def write_segment(path: Path, frames: Iterable[list[str]]) -> list[int]:
    """Write a segment, and return where each frame ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = SegmentFile(path)
    ends = []
    for lines in frames:
        file.append(file.frame(lines))
        ends.append(file.size)
    file.close()
    return ends
