"""A word when a price crosses a threshold, once for each crossing, without a loop of one's own.

The thresholds lie close around the first price, so that there is something to see soon.
"""

from etoro_sync import Crossing, WsClient
from etoro_sync.demo import run


def main() -> None:
    with WsClient() as client:
        rates = client.queue("instrument:rate", instrument_ids=100000)
        client.subscribe([100000], snapshot=True)
        _, first = rates.get(timeout=10.0)
        rates.close()
        step = first.mid / 1_000_000

        @client.alert(100000, above=first.mid + step, below=first.mid - step, hysteresis=step)
        def show(crossing: Crossing) -> None:
            note = " (while there was no connection)" if crossing.across_gap else ""
            print(
                f"{crossing.price:.2f} is {crossing.direction} {crossing.threshold:.2f}{note}",
                flush=True,
            )

        client.run_forever()


if __name__ == "__main__":
    run(main)
