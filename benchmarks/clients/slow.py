"""etoro_sync with a consumer that works on each price, or stands still now and then."""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.feeds import FIRST_INSTRUMENT, MARKER_START
from benchmarks.server import STAMP_WRAP
from etoro_sync import EToroError, WsClient, WsClientOptions

#: Seconds between two standstills.
_PERIOD = 2.5


class _Work:
    """What the consumer does with each price, and how old the prices are that it gets.

    :param work: seconds, for each of them.
    :param stall: seconds of standing still, every now and then.
    """

    def __init__(self, work: float, stall: float) -> None:
        self._work = work
        self._stall = stall
        self._stall_at = time.monotonic() + _PERIOD
        self.ages: list[float] = []

    def __call__(self, instrument_id: int, rate: Any) -> None:
        if instrument_id >= MARKER_START:
            self.ages.clear()
            return
        age = time.perf_counter_ns() - rate.price_rate_id
        self.ages.append(age % STAMP_WRAP / 1e9)
        if self._work:
            time.sleep(self._work)
        if self._stall and time.monotonic() >= self._stall_at:
            time.sleep(self._stall)
            self._stall_at += _PERIOD


def _consume(client: WsClient, args: argparse.Namespace, work: _Work) -> Callable[[], Any]:
    """Let *work* consume prices; return what tells how many it was spared."""
    if args.consumer == "callback":
        client.on("instrument:rate", work)
        return lambda: client.stats().callbacks_conflated + client.stats().callbacks_dropped
    if args.consumer == "queue":
        options = {} if args.after is None else {"conflate_after": args.after}
        rates = client.queue("instrument:rate", **options)
        source, spared = iter(rates), lambda: rates.conflated + rates.dropped
    else:
        source = client.stream([*_ids(args), MARKER_START])
        spared = lambda: None  # noqa: E731  # it has no counters
    threading.Thread(target=_loop, args=(source, work), daemon=True).start()
    return spared


def _ids(args: argparse.Namespace) -> list[int]:
    return [FIRST_INSTRUMENT + number for number in range(args.instruments)]


def _loop(source: Any, work: _Work) -> None:
    try:
        for instrument_id, rate in source:
            work(instrument_id, rate)
    except EToroError:
        pass  # the end of the measurement


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--instruments", type=int, required=True)
    parser.add_argument("--consumer", choices=["callback", "queue", "stream"], required=True)
    parser.add_argument("--work", type=float, default=0.0, help="ms for each price")
    parser.add_argument("--stall", type=float, default=0.0, help="s, every now and then")
    parser.add_argument("--after", type=float, default=None, help="conflate_after, if not default")
    parser.add_argument("--never", action="store_true", help="conflate_after=None")
    args = parser.parse_args()
    changed: dict[str, Any] = {}
    if args.consumer != "queue" and (args.never or args.after is not None):
        changed["conflate_after"] = None if args.never else args.after
    url = f"ws://127.0.0.1:{args.port}/ws"
    client = WsClient(WsClientOptions("key", "key", url, proxy="", **changed))
    work = _Work(args.work / 1000, args.stall)
    orders: list[float] = []
    closed = threading.Event()
    report: dict[str, Any] = {}

    def on_close(code: int, reason: str) -> None:
        report["closed_at"] = time.perf_counter_ns()
        closed.set()

    client.on("private:event", lambda event: orders.append(time.perf_counter_ns() - event.order_id))
    client.on("close", on_close)
    client.connect()
    client.subscribe("private")
    spared = _consume(client, args, work)
    if args.consumer != "stream":
        client.subscribe(_ids(args), snapshot=True)
    closed.wait(150)
    report |= {"rates": client.stats().rates, "spared": spared()}
    ages = sorted(work.ages)
    report |= {"seen": len(ages), "age_p50": ages[len(ages) // 2], "age_max": ages[-1]}
    report |= {"age_end": work.ages[-1], "orders": len(orders)}
    report["order_max"] = max(orders, default=0) / 1e9
    client.disconnect(0.1)
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
