"""What one writes first with the same two dependencies: ``recv()`` and ``from_dict``."""

import json
import queue
import threading
import uuid
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field

import websocket
from dataclasses_json import DataClassJsonMixin, config

from benchmarks.meter import Meter, arguments, topics


@dataclass
class Message(DataClassJsonMixin):
    topic: str
    content: str
    id: str
    type: str


@dataclass
class Envelope(DataClassJsonMixin):
    messages: list[Message]


@dataclass
class Rate(DataClassJsonMixin):
    ask: float | None = field(default=None, metadata=config(field_name="Ask"))
    bid: float | None = field(default=None, metadata=config(field_name="Bid"))
    last: float | None = field(default=None, metadata=config(field_name="LastExecution"))
    date: str | None = field(default=None, metadata=config(field_name="Date"))
    price_rate_id: int | None = field(default=None, metadata=config(field_name="PriceRateID"))


def _request(operation: str, **data: object) -> str:
    return json.dumps({"id": str(uuid.uuid4()), "operation": operation, "data": data})


def _read(args: Namespace, handler: Callable[[int, Rate], object], over: threading.Event) -> None:
    ws = websocket.create_connection(f"ws://127.0.0.1:{args.port}/ws")
    ws.send(_request("Authenticate", userKey="key", apiKey="key"))
    wanted = topics(args)
    for start in range(0, len(wanted), 500):
        ws.send(_request("Subscribe", topics=wanted[start : start + 500], snapshot=True))
    while not over.is_set():
        data = json.loads(ws.recv())
        for message in Envelope.from_dict(data).messages if "messages" in data else ():
            rate = Rate.from_dict(json.loads(message.content))
            if (rate.ask, rate.bid, rate.last) != (None, None, None):
                handler(int(message.topic.partition(":")[2]), rate)
    ws.close()


def main() -> None:
    args = arguments(__doc__)
    over = threading.Event()
    meter = Meter(args.mode, over.set)
    if args.sink == "callback":
        _read(args, meter.handler, over)
    else:
        rates: queue.Queue[tuple[int, Rate]] = queue.Queue()
        put = lambda instrument_id, rate: rates.put((instrument_id, rate))  # noqa: E731
        threading.Thread(target=_read, args=(args, put, over), daemon=True).start()
        while not over.is_set():
            meter.handler(*rates.get(timeout=60))
    meter.print()


if __name__ == "__main__":
    main()
