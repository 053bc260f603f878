"""Candles of live prices: a line for each bar of a second and of a minute, once it is closed."""

from etoro_sync import Candles, WsClient
from etoro_sync.demo import run

INSTRUMENTS = [100000, 1001, 18, 1]


def main() -> None:
    with WsClient() as client:
        # Bars of a second are for seeing something soon, and so is the short grace.
        candles = Candles(client, ["1s", "1m"], price="bid", grace=0.2)
        # Before the subscription, so that it has the first prices.
        bars = candles.queue()
        client.subscribe(INSTRUMENTS, snapshot=True)
        for bar in bars:
            print(bar, flush=True)  # of the first, marked as such, the beginning is missing


if __name__ == "__main__":
    run(main)
