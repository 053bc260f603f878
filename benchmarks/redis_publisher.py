"""What a publisher costs: processor time for each rate, what it can sustain, and Redis's memory.

Starts a redis-server of its own, on a unix socket. First 12,000 rates a second of 12,684
instruments for ten seconds: processor time of the publisher's thread and of Redis for each rate,
how many rates waited at most, and whether all are in Redis. Then the messages of all of eToro's
instruments, 2,817 a second, of which two fifths are rates: what Redis holds at most, besides an
empty one. The stream of rates is full after two or three minutes, so a figure of memory for good
needs ten::

    python -m benchmarks.redis_publisher --seconds 600
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from etoro_sync import MarketStream
from etoro_sync.delivery.registry import Registry
from etoro_sync.events import EVENTS
from etoro_sync.models import WsInstrumentRate
from etoro_sync.redis import Publisher
from etoro_sync.stats import Counters
from etoro_sync.stream.core import StreamCore, equip
from etoro_sync.stream.live import LiveFeed, LiveSource
from etoro_sync.ws.transport.frames import FrameParser

from . import feeds

__all__ = ["main"]

_INSTRUMENTS = 12_684
_RATES, _RATE_SECONDS = 12_000, 10
_MESSAGES = 2_817
#: Seconds between two reads of the source.
_STEP = 0.01


class Played(MarketStream):
    """A stream of what a function plays, which waits for nobody."""

    def __init__(self, play: Callable[[LiveFeed], None]) -> None:
        registry, counters = Registry(EVENTS), Counters()
        equip(self, StreamCore(registry, counters, LiveSource(play, registry, counters, "bench")))


@contextmanager
def _server() -> Iterator[str]:
    """Start a redis-server with an append-only file; yield its address."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is not installed: apt-get install redis-server")
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "socket"
        process = subprocess.Popen(
            [
                *(program, "--port", "0", "--unixsocket", str(socket), "--dir", folder),
                *("--save", "", "--appendonly", "yes", "--appendfsync", "everysec"),
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            while not socket.exists():
                time.sleep(0.01)
            yield f"unix://{socket}"
        finally:
            process.kill()
            process.wait()


def _paced(
    feed: LiveFeed, per_second: int, seconds: float, write: Callable[[int, int], None]
) -> None:
    """Call *write* with the bounds of what is due, until all of it was written."""
    feed.live()
    begun, done, total = time.perf_counter(), 0, int(per_second * seconds)
    while done < total:
        due = min(int((time.perf_counter() - begun) * per_second), total)
        if due > done:
            write(done, due)
            done = due
        feed.wait(_STEP)


def _processor_time(thread: Any) -> float:
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


def _redis_time(client: Any) -> float:
    found = client.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def _rates(url: str) -> None:
    """Publish rates, and print what each costs."""
    states = [vars(_rate(number)) for number in range(_INSTRUMENTS)]

    def play(feed: LiveFeed) -> None:
        def write(start: int, stop: int) -> None:
            feed.states(
                (1000 + n % _INSTRUMENTS, states[n % _INSTRUMENTS]) for n in range(start, stop)
            )

        _paced(feed, _RATES, _RATE_SECONDS, write)
        feed.wait(1.0)
        before.append(_processor_time(publisher._thread))

    before: list[float] = []
    waiting = 0
    total = _RATES * _RATE_SECONDS
    with redis.Redis.from_url(url, decode_responses=True) as client:
        stream = Played(play)
        with Publisher(stream, url) as publisher:
            redis_before = _redis_time(client)
            begun = time.perf_counter()
            with stream:
                while not before:
                    time.sleep(0.05)
                    waiting = max(waiting, publisher.stats().waiting)
                seconds = time.perf_counter() - begun - 1.0
            used = before[0]
            redis_used = _redis_time(client) - redis_before
        stats = publisher.stats()
        number = int(client.xrevrange("etoro-sync:{main}:rates", count=1)[0][1]["n"])
        states_written = client.hlen("etoro-sync:{main}:last")
    print(
        f"rates        {stats.rates:,} of {total:,} written in {seconds:.1f} s, {stats.conflated} "
        f"conflated, {stats.batches} batches, {waiting:,} waited at most"
    )
    print(f"             {states_written:,} last states, number of the last entry {number:,}")
    print(f"publisher    {used / stats.rates * 1e6:.1f} us of processor time a rate")
    print(f"redis        {redis_used / stats.rates * 1e6:.1f} us of processor time a rate")


def _rate(number: int) -> WsInstrumentRate:
    bid = 4000 + number / 100
    return WsInstrumentRate(
        ask=bid + 1.45, bid=bid, last_execution=bid, date="2026-03-16T14:30:00.1234567Z",
        price_rate_id=139_117_992_279, bid_discounted=bid, ask_discounted=bid + 0.61,
        conversion_rate_ask=1.0, conversion_rate_bid=1.0, is_instrument_active=True,
        is_market_open=True, is_exchange_open=True, allow_buy=True, allow_sell=True,
        availability_reason=2, changed=("ask", "bid", "date", "price_rate_id"), generation=1,
        received_at=1_795_991_375.633_439, instrument_id=1000 + number, closes=(bid, bid, bid),
    )  # fmt: skip


def _memory(url: str, seconds: float) -> None:
    """Publish the messages of all instruments, and print what Redis holds at most."""
    parser = FrameParser(1 << 30)
    ids = range(feeds.FIRST_INSTRUMENT, feeds.FIRST_INSTRUMENT + _INSTRUMENTS)
    snapshots = [text for key in ids for text in parser.feed(feeds.snapshot(key))]
    frames = feeds.build("universe", 10 * _INSTRUMENTS, _INSTRUMENTS).frames
    texts = [text for frame in frames for text in parser.feed(frame)]

    def play(feed: LiveFeed) -> None:
        def write(start: int, stop: int) -> None:
            feed.texts([texts[n % len(texts)] for n in range(start, stop)])

        feed.texts(snapshots)
        _paced(feed, _MESSAGES, seconds, write)
        over.append(True)
        feed.wait(2.0)

    over: list[bool] = []
    most = length = 0
    with redis.Redis.from_url(url) as client:
        client.flushall()
        empty = client.info("memory")["used_memory"]
        stream = Played(play)
        with Publisher(stream, url) as publisher, stream:
            while not over:
                time.sleep(0.5)
                most = max(most, client.info("memory")["used_memory"] - empty)
                length = client.xlen("etoro-sync:{main}:rates")
            stats = publisher.stats()
            now = client.info("memory")["used_memory"] - empty
            parts = [
                f"{name} {_memory_of(client, name) / 1e6:.1f} MB" for name in ("rates", "last")
            ]
    print(
        f"memory       {seconds:g} s of {_MESSAGES} messages a second: {stats.rates:,} rates, "
        f"{stats.conflated} conflated"
    )
    print(
        f"             {most / 1e6:.1f} MB at most, {now / 1e6:.1f} MB at the end "
        f"({', '.join(parts)}, {length:,} entries)"
    )


def _memory_of(client: Any, name: str) -> int:
    """Return the bytes of a key, counted and not estimated: entries differ in size."""
    return client.memory_usage(f"etoro-sync:{{main}}:{name}", samples=0) or 0


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the universe's messages")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with _server() as url:
        _rates(url)
        _memory(url, arguments.seconds)
    print(f"load of the machine: {load:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
