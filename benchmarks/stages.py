"""Where the microseconds go: the stages of the hot path, one added after the other, no sockets.

Prints a list of rows as JSON. Each stage is timed together with those before it, over the same
frames; what it costs is the difference.
"""

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from . import feeds

if os.environ.get("BENCHMARK_HIDES"):
    sys.modules[os.environ["BENCHMARK_HIDES"]] = None  # type: ignore[assignment]

from etoro_sync import codec
from etoro_sync.delivery.dispatcher import Dispatcher
from etoro_sync.delivery.publisher import Publisher
from etoro_sync.delivery.registry import Handler, Registry
from etoro_sync.events import EVENTS
from etoro_sync.market.feed_handler import FeedHandler
from etoro_sync.market.merging import make_rate
from etoro_sync.market.rate_book import RateBook
from etoro_sync.stats import Counters
from etoro_sync.ws.transport.frames import FrameParser

__all__ = ["STAGES", "main"]

_READ = 65536
_MESSAGES = 20_000
_REPEATS = 7
_PLENTY = 1 << 20

Reads = list[bytes]


class _Nobody:
    """Takes what is meant for the callbacks, and forgets it."""

    def extend(self, *_: object) -> None:
        pass


_NOBODY: Any = _Nobody()


class _Caller:
    """Calls the handler at once, on the same thread."""

    def __init__(self, handler: Callable[..., None]) -> None:
        self._handler = handler

    def extend(self, session: int, entries: Sequence[tuple[Any, ...]], *_: object) -> None:
        handler = self._handler
        for entry in entries:
            handler(*entry)


def _texts(reads: Reads) -> Iterator[list[str]]:
    parser = FrameParser(_PLENTY)
    for data in reads:
        yield parser.feed(data)


def _frames(reads: Reads) -> None:
    for _ in _texts(reads):
        pass


def _envelopes(reads: Reads) -> None:
    for texts in _texts(reads):
        for text in texts:
            codec.loads(text)


def _contents(reads: Reads) -> None:
    loads = codec.loads
    for texts in _texts(reads):
        for text in texts:
            for message in loads(text)["messages"]:
                loads(message["content"])


def _feed(registry: Registry, dispatcher: Any, counters: Counters) -> FeedHandler:
    return FeedHandler(
        RateBook(), registry, Publisher(registry, dispatcher, make_rate, 1), counters, str
    )


def _no_reply(reply: object) -> None:
    raise AssertionError("the feed has no control messages")


def _drive(feed: FeedHandler, reads: Reads) -> None:
    """Do what the reader thread does between two reads."""
    for texts in _texts(reads):
        feed.begin_read()
        feed.on_texts(texts, _no_reply)
        feed.out.flush()


def _merged(reads: Reads) -> None:
    _drive(_feed(Registry(EVENTS), _NOBODY, Counters()), reads)


def _objects(reads: Reads, dispatcher: Any = _NOBODY) -> None:
    registry = Registry(EVENTS)
    registry.add("instrument:rate", Handler(_handler(), None, False))
    _drive(_feed(registry, dispatcher, Counters()), reads)


def _handled(reads: Reads) -> None:
    _objects(reads, _Caller(_handler()))


def _handler() -> Callable[[int, Any], None]:
    sums: dict[int, float] = {}

    def handler(instrument_id: int, rate: Any) -> None:
        sums[instrument_id] = rate.bid + rate.ask

    return handler


def _with_dispatcher(reads: Reads, handler: Callable[..., Any]) -> None:
    """Go all the way to *handler*, on the thread that runs callbacks."""
    ended = threading.Event()
    registry = Registry(EVENTS)
    counters = Counters()
    dispatcher = Dispatcher("benchmark", registry, counters, _PLENTY, conflate_after=1.0)
    registry.add("instrument:rate", Handler(handler, None, False))
    registry.add("close", Handler(lambda *_: ended.set(), None, False))
    feed = _feed(registry, dispatcher, counters)
    dispatcher.open(1, _no_reply)
    dispatcher.start(1)
    _drive(feed, reads)
    feed.out.emit("close", 1000, "")
    ended.wait(60)
    dispatcher.stop(1)
    dispatcher.join(1, 10)


def _handed_over(reads: Reads) -> None:
    _with_dispatcher(reads, _handler())


STAGES: dict[str, Callable[[Reads], None]] = {
    "frame": _frames,
    "JSON of the envelope": _envelopes,
    "JSON of the content": _contents,
    "decode and merge": _merged,
    "rate object": _objects,
    "a handler that reads two fields": _handled,
    "hand-over to the callback thread": _handed_over,
}


def measure(mix: str, instruments: int = 1000) -> list[dict[str, Any]]:
    """Return what each stage adds, in microseconds per message."""
    messages = max(_MESSAGES, 3 * instruments)
    block = feeds.build(mix, messages, instruments)
    data = b"".join(block.frames)
    # As in a session, the snapshots came before.
    known = b"".join(map(feeds.snapshot, range(1001, 1001 + instruments)))
    reads = [known] + [data[at : at + _READ] for at in range(0, len(data), _READ)]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in STAGES}
    for _ in range(_REPEATS):
        for name, stage in STAGES.items():
            times[name].append((_time(stage, reads), _time(stage, reads[:1])))
    rows, before = [], 0.0
    for name, pairs in times.items():
        whole, start = map(min, zip(*pairs, strict=True))
        total = (whole - start) * 1e6 / messages
        row = {"mix": mix, "instruments": instruments, "stage": name}
        rows.append({**row, "us": total - before, "total_us": total})
        before = total
    return rows


def _time(stage: Callable[[Reads], None], reads: Reads) -> float:
    gc.collect()
    # Of both threads together, which is what a user pays for.
    began = time.process_time()
    stage(reads)
    return time.process_time() - began


def main() -> None:
    cases = [("universe", 1000), ("full", 1000), ("universe", 12_000)]
    json.dump([row for case in cases for row in measure(*case)], sys.stdout)


if __name__ == "__main__":
    main()
