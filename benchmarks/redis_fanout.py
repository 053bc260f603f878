"""How late a price is that many processes read through Redis, and how soon one that joins has all.

Starts a redis-server of its own, on a unix socket, a publisher of 12,684 instruments in this
process, and subscribers in processes of their own, which have nothing else to do than to note how
old each price is when their callback gets it. Half of the rates are of a hundred instruments. Two
more join later: one measures how long it takes until it has each last price, and one has a callback
that is too slow, to see that it harms nobody::

    python -m benchmarks.redis_fanout --subscribers 10 --seconds 20

All figures depend on what else the machine does, which is reported, too.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from etoro_sync.models import WsInstrumentRate
from etoro_sync.redis import Publisher, RedisClient
from etoro_sync.stream.live import LiveFeed

from .machine import machine
from .processes import child_environment
from .redis_publisher import Played, _paced, _server

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parents[1]
_INSTRUMENTS = 12_684
_RATES = 2_817
#: Seconds that a slow callback takes.
_SLOW = 0.002


def _rate(number: int) -> dict[str, Any]:
    key = _key(number)
    date = "2026-01-02T15:00:00.1234567Z"
    rate = WsInstrumentRate(100.25, 100.0, 100.1, date, number, 100.0, 100.25, 1.0, 1.0)
    return {**vars(rate), "instrument_id": key, "received_at": time.time(), "changed": ("ask",)}


def _key(number: int) -> int:
    return 1000 + (number % _INSTRUMENTS if number % 2 else number // 2 % 100)


def _percentile(ages: list[float], share: float) -> float:
    return ages[min(int(len(ages) * share), len(ages) - 1)]


def _subscriber(url: str, kind: str) -> None:
    """Note ages until the publisher is gone, and print them in milliseconds."""
    ages: list[float] = []
    stream = RedisClient(url)
    closed = stream.queue("close")
    count = [0]

    @stream.on("instrument:rate")
    def note(instrument_id: int, rate: WsInstrumentRate) -> None:
        count[0] += 1
        if kind == "slow":
            time.sleep(_SLOW)
        ages.append(time.time() - rate.received_at)

    begun = time.perf_counter()
    with stream:
        connected = time.perf_counter() - begun
        while kind != "slow" and count[0] < _INSTRUMENTS:
            time.sleep(0.001)
        complete = time.perf_counter() - begun
        # What stood there already is not late.
        del ages[: count[0]]
        print("begun", flush=True)
        closed.get()
        cpu = time.process_time()
        stats = stream.stats()
    ages.sort()
    print(
        json.dumps(
            {
                "kind": kind,
                "rates": len(ages),
                "p50": _percentile(ages, 0.5) * 1000,
                "p99": _percentile(ages, 0.99) * 1000,
                "most": ages[-1] * 1000,
                "connected": connected,
                "complete": complete,
                "cpu": cpu,
                "conflated": stats.callbacks_conflated,
                "gaps": stats.reconnects,
            }
        )
    )


def _start(url: str, kind: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.redis_fanout", "--url", url, "--kind", kind]
    return subprocess.Popen(
        command, cwd=_ROOT, env=child_environment(), stdout=subprocess.PIPE, text=True
    )


def main(subscribers: int, seconds: float) -> None:
    """Run all of it, and print the figures."""
    go, begun = threading.Event(), threading.Event()

    def play(feed: LiveFeed) -> None:
        feed.live()
        feed.states(
            (1000 + n, {**_rate(0), "instrument_id": 1000 + n}) for n in range(_INSTRUMENTS)
        )
        begun.set()
        go.wait()

        def write(start: int, stop: int) -> None:
            feed.states((_key(n), _rate(n)) for n in range(start, stop))

        _paced(feed, _RATES, seconds, write)
        feed.wait(1.0)

    with _server() as url:
        stream = Played(play)
        with Publisher(stream, url) as publisher, stream:
            begun.wait()
            while publisher.stats().rates < _INSTRUMENTS:
                time.sleep(0.01)
            children = [_start(url, "quick") for _ in range(subscribers)]
            _wait_until_begun(children)
            go.set()
            extra = [_start(url, "late"), _start(url, "slow")]
            _wait_until_begun(extra)
            load = os.getloadavg()[0]
            publisher.run_forever(seconds + 60)
        found = [json.loads((child.communicate()[0]).splitlines()[-1]) for child in children]
        late, slow = [json.loads(child.communicate()[0].splitlines()[-1]) for child in extra]
    _report(found, late, slow, load, seconds)


def _wait_until_begun(children: "list[subprocess.Popen[str]]") -> None:
    for child in children:
        assert child.stdout is not None
        if child.stdout.readline() != "begun\n":
            raise SystemExit("a subscriber has not begun")


def _report(found: list[Any], late: Any, slow: Any, load: float, seconds: float) -> None:
    about = machine()
    print(f"{about['CPU']}, {about['cores']} cores, load {load:.1f} of all programs")
    print(f"{len(found)} subscribers, {_RATES} rates a second for {seconds:g} s")
    for name in ("p50", "p99", "most"):
        values = [each[name] for each in found]
        print(f"  {name}: {min(values):.1f} to {max(values):.1f} ms")
    print(f"  rates of each: {sorted({each['rates'] for each in found})}")
    print(f"  gaps: {sum(each['gaps'] for each in found)}")
    share = max(each["cpu"] for each in found) / seconds
    print(f"  a core's share of each, at most: {share:.1%}")
    print(
        f"one that joined: connect() {late['connected']:.2f} s, all callbacks after "
        f"{late['complete']:.2f} s"
    )
    print(
        f"one with a callback of {_SLOW * 1000:g} ms: {slow['conflated']} rates skipped, "
        f"{slow['gaps']} gaps, p99 {slow['p99']:.0f} ms"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.url:
        _subscriber(arguments.url, arguments.kind)
    else:
        main(arguments.subscribers, arguments.seconds)
