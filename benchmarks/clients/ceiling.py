"""picows with orjson: frames cut in C, both levels of JSON parsed, no object made."""

import asyncio
import json
from argparse import Namespace

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.meter import Meter, arguments, topics

_PRICES = {"Ask", "Bid", "LastExecution"}


class _Stamp:
    """Stands for a rate, where its time of sending is asked for."""

    __slots__ = ("price_rate_id",)

    def __init__(self, price_rate_id: int) -> None:
        self.price_rate_id = price_rate_id


class _Listener(WSListener):
    def __init__(self, args: Namespace, meter: Meter) -> None:
        self._wanted = topics(args)
        self._handler = meter.handler
        self._timed = args.mode == "latency"

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._request(transport, "Authenticate", userKey="key", apiKey="key")
        for start in range(0, len(self._wanted), 500):
            part = self._wanted[start : start + 500]
            self._request(transport, "Subscribe", topics=part, snapshot=True)

    def _request(self, transport: WSTransport, operation: str, **data: object) -> None:
        text = json.dumps({"id": "1", "operation": operation, "data": data})
        transport.send(WSMsgType.TEXT, text.encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        for message in orjson.loads(frame.get_payload_as_memoryview()).get("messages", ()):
            content = orjson.loads(message["content"])
            if _PRICES.isdisjoint(content):
                continue
            stamp = _Stamp(int(content["PriceRateID"])) if self._timed else None
            self._handler(int(message["topic"][11:]), stamp)


async def _measure(args: Namespace) -> None:
    ended = asyncio.Event()
    meter = Meter(args.mode, ended.set)
    url = f"ws://127.0.0.1:{args.port}/ws"
    transport, _ = await ws_connect(lambda: _Listener(args, meter), url)
    await asyncio.wait_for(ended.wait(), 120)
    transport.disconnect()
    meter.print()


if __name__ == "__main__":
    asyncio.run(_measure(arguments(__doc__)))
