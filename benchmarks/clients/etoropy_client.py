"""etoropy, by callback or by an asyncio queue that its callback fills."""

import asyncio
from argparse import Namespace

from etoropy.ws.client import WsClient, WsClientOptions

from benchmarks.meter import Meter, arguments, topics


async def _drain(rates: asyncio.Queue, meter: Meter, ended: asyncio.Event) -> None:
    while not ended.is_set():
        instrument_id, rate = await rates.get()
        meter.handler(instrument_id, rate)


async def _measure(args: Namespace) -> None:
    ended = asyncio.Event()
    meter = Meter(args.mode, ended.set)
    url = f"ws://127.0.0.1:{args.port}/ws"
    client = WsClient(WsClientOptions("key", "key", url, reconnect_delay=0.001))
    rates: asyncio.Queue = asyncio.Queue()
    if args.sink == "queue":
        client.on("instrument:rate", lambda *item: rates.put_nowait(item))
    else:
        client.on("instrument:rate", meter.handler)
    await client.connect()
    client.subscribe(topics(args), snapshot=True)
    if args.sink == "queue":
        await asyncio.wait_for(_drain(rates, meter, ended), 120)
    else:
        await asyncio.wait_for(ended.wait(), 120)
    await client.disconnect()
    meter.print()


if __name__ == "__main__":
    asyncio.run(_measure(arguments(__doc__)))
