"""What one Redis carries: what each part costs, and where the next limit is.

Starts a redis-server of its own, on a unix socket. It measures Redis's processor time for rates
that are written, for subscribers that read them, and for order events in groups; the bytes that a
subscriber is sent; what a subscriber's and a consumer's processes cost; and the memory. Costs are
processor time, so that they depend little on what else the machine does; its load is reported::

    python -m benchmarks.redis_scale --seconds 10
"""

import argparse
import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from etoro_sync.models import WsPrivateEvent
from etoro_sync.redis import OrderGroup, Publisher, RedisClient
from etoro_sync.redis.connection import Address
from etoro_sync.redis.layout.keys import Keys
from etoro_sync.redis.subscribing.line import Line
from etoro_sync.stream.live import LiveFeed

from .machine import machine
from .processes import child_environment
from .redis_publisher import Played, _paced, _rate, _server

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parents[1]
_KEYS = Keys("main")
_INSTRUMENTS = 12_684
#: Rates a second: two fifths of eToro's messages of all instruments, and all of them in a rush.
_USUAL, _RUSH = 1_127, 12_000
_READERS = (10, 40)
_ORDERS = 5_000


def _redis_time(client: Any) -> float:
    found = client.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def _sent(client: Any) -> int:
    return int(client.info("stats")["total_net_output_bytes"])


@contextmanager
def _helper(url: str, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """Run a part of this program in a process of its own, and kill it at the end."""
    command = [sys.executable, "-m", "benchmarks.redis_scale", "--url", url, *arguments]
    process = subprocess.Popen(
        command, cwd=_ROOT, env=child_environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _first_line(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a part of this program prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _read(url: str, number: int) -> None:
    """Read with so many connections, which look at nothing that comes, until killed."""

    def read() -> None:
        line = Line(Address(url), 60.0)
        line.open()
        streams = (_KEYS.rates, _KEYS.orders, _KEYS.events)
        while True:
            # What comes next only: one that is behind must not read twice as much.
            line.call("XREAD", "BLOCK", 1000, "COUNT", 64, "STREAMS", *streams, "$", "$", "$")

    threads = [threading.Thread(target=read, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    print("begun", flush=True)
    threads[0].join()


def _publish(
    url: str, per_second: int, seconds: float, to: str | None = None
) -> tuple[float, int, int]:
    """Publish; return Redis's processor time, the rates, and the bytes that it has sent.

    :param to: the publisher's address of Redis, if it is another one.
    """
    states = [vars(_rate(number)) for number in range(_INSTRUMENTS)]
    used: list[float] = []

    def play(feed: LiveFeed) -> None:
        def write(start: int, stop: int) -> None:
            feed.states(
                (1000 + n % _INSTRUMENTS, states[n % _INSTRUMENTS]) for n in range(start, stop)
            )

        feed.wait(0.5)
        before, sent = _redis_time(client), _sent(client)
        _paced(feed, per_second, seconds, write)
        feed.wait(0.5)
        used.extend((_redis_time(client) - before, _sent(client) - sent))

    with redis.Redis.from_url(url) as client:
        stream = Played(play)
        with Publisher(stream, to or url) as publisher, stream:
            publisher.run_forever(seconds + 60)
        return used[0], publisher.stats().rates, int(used[1])


def _rates(url: str, seconds: float) -> None:
    """Print what rates cost Redis: written, and for each subscriber."""
    for per_second in (_USUAL, _RUSH):
        alone, rates, _ = _publish(url, per_second, seconds)
        print(
            f"{per_second:,} rates a second, written: {alone / rates * 1e6:.1f} us of Redis a rate"
        )
        for number in _READERS:
            with _helper(url, "--readers", str(number)) as helper:
                _first_line(helper)
                used, rates, sent = _publish(url, per_second, seconds)
            each, size = (used - alone) / number / seconds, sent / number
            print(
                f"    {number} subscribers: {each:.3%} of a core of Redis each, "
                f"{size / rates:.0f} bytes a rate, {size / seconds / 1e3:.0f} KB/s"
            )


def _subscribers(url: str, seconds: float) -> None:
    """Print what a subscriber's process costs, with a callback that does nothing."""
    for per_second in (_USUAL, _RUSH):
        with _helper(url, "--subscriber") as helper:
            _first_line(helper)
            _publish(url, per_second, seconds)
            used, rates = map(float, _first_line(helper).split())
        print(
            f"a subscriber of {per_second:,} rates a second: {used / rates * 1e6:.0f} us a rate, "
            f"{used / rates * per_second:.1%} of a core"
        )


def _subscribe(url: str) -> None:
    """Read until the publisher has gone; print the processor time, and how many rates came."""
    rates = 0
    with RedisClient(url) as client, client.queue("close") as closed:

        @client.on("instrument:rate")
        def note(instrument_id: int, rate: Any) -> None:
            nonlocal rates
            rates += 1

        print("begun", flush=True)
        client.wait_for("instrument:rate")
        before, known = time.process_time(), rates
        closed.get()
        print(time.process_time() - before, rates - known, flush=True)


def _orders(url: str) -> None:
    """Print what order events cost: written, and handled by one consumer."""
    brought = threading.Event()

    def play(feed: LiveFeed) -> None:
        feed.live()
        for number in range(_ORDERS):
            feed.emit("private:event", _order(number))
        feed.states(())
        brought.wait()

    with redis.Redis.from_url(url) as client:
        before = _redis_time(client)
        stream = Played(play)
        with Publisher(stream, url) as publisher, stream:
            while publisher.stats().orders < _ORDERS:
                time.sleep(0.01)
            brought.set()
        written = _redis_time(client) - before
        size = sum(client.memory_usage(key, samples=0) or 0 for key in (_KEYS.orders, _KEYS.seen))
        with OrderGroup(url, "bench") as group:
            before = _redis_time(client)
            own, begun = time.process_time(), time.perf_counter()
            for _ in group.orders(0.0):
                pass
            seconds = time.perf_counter() - begun
            own, used = time.process_time() - own, _redis_time(client) - before
    print(
        f"order events: {written / _ORDERS * 1e6:.0f} us of Redis to write one, "
        f"{used / _ORDERS * 1e6:.0f} us for one consumer to handle it"
    )
    print(
        f"    one consumer: {_ORDERS / seconds:,.0f} a second, {own / _ORDERS * 1e6:.0f} us of its "
        f"own; {size / _ORDERS:.0f} bytes of memory an order, with its digest"
    )


def _order(number: int) -> WsPrivateEvent:
    return WsPrivateEvent(
        order_id=981_286_176 + number, order_type=19, status_id=3, instrument_id=100_000,
        cid=12_345_678, requested_units=12.5, executed_units=12.5, open_date_time="2026-03-16T14:3",
        request_occurred="2026-03-16T14:30:00.1234567Z", error_code=0, units_to_deduct=0.0,
        end_rate=66_500.25, pending_close_position_ids=[2_150_896_131], request_guid="9f" * 16,
        request_token="9f" * 16, type="Trading.OrderForCloseMultiple.Update", generation=1,
        received_at=1_795_991_375.633_439, message_id=f"{number:032x}",
    )  # fmt: skip


async def _far(url: str, seconds: float) -> None:
    """Hand bytes on so late, there and back, as to another region; print the address."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 20):
            asyncio.get_running_loop().call_later(seconds / 2, writer.write, data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(url.removeprefix("unix://"))
        await asyncio.gather(pump(reader, back), pump(there, writer), return_exceptions=True)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def _regions(url: str, seconds: float) -> None:
    """Print what a publisher and a consumer do with a Redis that is far away."""
    for trip in (0.01, 0.04):
        with redis.Redis.from_url(url) as client:
            client.flushall()
        with _helper(url, "--far", str(trip)) as helper:
            _, rates, _ = _publish(url, _RUSH, seconds, _first_line(helper))
        print(
            f"Redis {trip * 1000:g} ms away: {rates / seconds:,.0f} of {_RUSH:,} rates a second "
            "are written; others are conflated"
        )


def _memory(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        states = client.memory_usage(_KEYS.last, samples=0) or 0
        print(f"last states: {states / _INSTRUMENTS:.0f} bytes of memory an instrument")


def main(seconds: float) -> None:
    """Measure, and print."""
    about, load = machine(), os.getloadavg()[0]
    print(f"{about['CPU']}, {about['cores']} cores")
    with _server() as url:
        _rates(url, seconds)
        _memory(url)
        _subscribers(url, seconds)
        _orders(url)
        _regions(url, seconds)
    print(f"load of the machine: {load:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--readers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--subscriber", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--far", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.far:
        asyncio.run(_far(arguments.url, arguments.far))
    elif arguments.subscriber:
        _subscribe(arguments.url)
    elif arguments.url:
        _read(arguments.url, arguments.readers)
    else:
        main(arguments.seconds)
