"""The same program with etoropy, on asyncio, and with etoro_sync, on threads.

With etoropy::

    import asyncio
    from etoropy import WsClient, WsClientOptions

    async def main():
        client = WsClient(WsClientOptions(api_key="...", user_key="..."))

        def show(instrument_id: int, rate: WsInstrumentRate) -> None:
            print(instrument_id, rate.bid, rate.ask)

        client.on("instrument:rate", show)
        client.on("private:event", lambda event: print(event.order_id, event.status_id))
        client.on("error", lambda error: print(error))

        try:
            await client.connect()
            client.subscribe(["instrument:100000", "private"], snapshot=True)
            await asyncio.Event().wait()
        finally:
            await client.disconnect()

    asyncio.run(main())

The changes: another import, no ``async`` and ``await``, and ``run_forever()`` instead of the loop.
Handlers run on a thread of the client, one at a time.
"""

from etoro_sync import WsClient, WsClientOptions, WsInstrumentRate
from etoro_sync.demo import run


def main() -> None:
    client = WsClient(WsClientOptions.from_env())  # or api_key="...", user_key="..."

    def show(instrument_id: int, rate: WsInstrumentRate) -> None:
        print(instrument_id, rate.bid, rate.ask, flush=True)

    client.on("instrument:rate", show)
    client.on("private:event", lambda event: print(event.order_id, event.status_id, flush=True))
    client.on("error", lambda error: print(error, flush=True))

    try:
        client.connect()
        client.subscribe(["instrument:100000", "private"], snapshot=True)
        client.run_forever()
    finally:
        client.disconnect()


if __name__ == "__main__":
    run(main)
