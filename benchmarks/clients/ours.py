"""etoro_sync, by callback or by queue, with more handlers and queues if asked for."""

import queue
import sys
import threading
import time
from argparse import Namespace
from typing import Any

from benchmarks.feeds import FIRST_INSTRUMENT
from benchmarks.meter import Meter, arguments, topics
from etoro_sync import EventQueue, WsClient, WsClientOptions

_OTHERS = 5_000_000


def _client(args: Namespace) -> WsClient:
    room = {} if args.room is None else {"callback_queue_size": args.room}
    url = f"ws://127.0.0.1:{args.port}/ws"
    return WsClient(WsClientOptions("key", "key", url, reconnect_delay=0.001, proxy="", **room))


def _add_listeners(client: WsClient, args: Namespace) -> list[EventQueue]:
    """Add what slows a client down that looks for its listeners one by one.

    :returns: the queues, which collect for as long as they are kept.
    """
    for number in range(args.handlers):
        one = _OTHERS + number if args.others else FIRST_INSTRUMENT
        client.on("instrument:rate", lambda instrument_id, rate: None, instrument_id=one)
    queues = []
    for number in range(args.queues):
        ids = [_OTHERS + number] if args.others else None
        queues.append(client.queue("instrument:rate", instrument_ids=ids, maxsize=0))
    return queues


def _compute(milliseconds: float) -> None:
    """Do what a CPU-bound callback does: hold the interpreter for all of the time."""
    until = time.perf_counter() + milliseconds / 1000
    while time.perf_counter() < until:
        pass


def _drain(rates: EventQueue, meter: Meter, ended: threading.Event) -> None:
    """Read the queue in this thread, as a user's loop does."""
    handler = meter.handler
    while not ended.is_set():
        try:
            instrument_id, rate = rates.get(timeout=60)
        except queue.Empty:
            return
        handler(instrument_id, rate)


def _time_disconnect(client: WsClient, meter: Meter) -> None:
    began = time.perf_counter()
    client.disconnect()
    meter.report["disconnect_ms"] = (time.perf_counter() - began) * 1000


def main() -> None:
    args = arguments(__doc__)
    if args.switch:
        sys.setswitchinterval(args.switch / 1000)
    ended = threading.Event()
    meter = Meter(args.mode, ended.set)
    with _client(args) as client:
        _kept = _add_listeners(client, args)
        if args.busy:
            client.on("instrument:rate", lambda instrument_id, rate: _compute(args.busy))
        rates = None
        if args.sink == "queue":
            rates = client.queue("instrument:rate", maxsize=args.room)
        else:
            client.on("instrument:rate", meter.handler)
        client.subscribe(topics(args), snapshot=True, timeout=60)
        if rates is not None:
            _drain(rates, meter, ended)
        elif args.mode == "end":
            _time_disconnect(client, meter)
        else:
            ended.wait(120)
        stats = client.stats()
    lost = rates.dropped + rates.conflated if rates else stats.callbacks_conflated
    details: dict[str, Any] = {"conflated": lost + stats.callbacks_dropped}
    meter.print(**details, bad=stats.bad_messages, callbacks=stats.callbacks)


if __name__ == "__main__":
    main()
