"""Callbacks in a script: the shortest program that shows prices and order events."""

from etoro_sync import WsClient, WsGap, WsInstrumentRate, WsPrivateEvent
from etoro_sync.demo import run


def main() -> None:
    with WsClient() as client:  # keys from ETORO_API_KEY and ETORO_USER_KEY

        @client.on("instrument:rate")
        def show(instrument_id: int, rate: WsInstrumentRate) -> None:
            print(f"instrument {instrument_id}: bid {rate.bid}, ask {rate.ask}", flush=True)

        @client.on("private:event")
        def show_order(event: WsPrivateEvent) -> None:
            print(f"order {event.order_id}: {event.status}", flush=True)

        @client.on("reconnected")
        def restored(gap: WsGap) -> None:
            print(f"nothing was received for {gap.seconds:.1f} s", flush=True)

        client.subscribe([100000, 1001, "private"], snapshot=True)
        client.run_forever()  # until Ctrl-C, or until an error that cannot be recovered from


if __name__ == "__main__":
    run(main)
