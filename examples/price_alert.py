"""A line when a price crosses a threshold, once for each crossing, without a loop of one's own.

The thresholds lie close around the first price, so that there is something to see soon.
"""

from etoro_sync import Crossing, WsClient
from etoro_sync.demo import run

INSTRUMENTS = [100000, 1001, 18, 1]


def show(crossing: Crossing) -> None:
    note = " (while there was no connection)" if crossing.across_gap else ""
    print(
        f"{crossing.instrument_id}: {crossing.price} is {crossing.direction} "
        f"{crossing.threshold:.4f}{note}",
        flush=True,
    )


def main() -> None:
    with WsClient() as client:
        rates = client.queue("instrument:rate")
        client.subscribe(INSTRUMENTS, snapshot=True)
        first: dict[int, float] = {}
        while len(first) < len(INSTRUMENTS):
            instrument_id, rate = rates.get(timeout=10.0)
            first.setdefault(instrument_id, rate.bid)
        rates.close()
        for instrument_id, bid in first.items():
            step = bid / 1_000_000
            client.alert(instrument_id, show, above=bid + step, below=bid - step, hysteresis=step)
        client.run_forever()


if __name__ == "__main__":
    run(main)
