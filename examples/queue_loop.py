"""A loop over a queue: one thread, and no callbacks.

A slow loop does not slow down the stream. When this queue is full, a new rate replaces the waiting
one of its instrument, so the loop always gets the newest rate of each.
"""

import queue

from etoro_sync import WsClient
from etoro_sync.demo import run


def main() -> None:
    with WsClient() as client:
        rates = client.queue("instrument:rate", maxsize=1000, overflow="conflate")
        client.subscribe([100000, 1001], snapshot=True)
        while True:
            try:
                instrument_id, rate = rates.get(timeout=5.0)
            except queue.Empty:
                print("quiet for 5 s; the market may be closed", flush=True)
                continue
            print(
                f"instrument {instrument_id}: mid {rate.mid}, {rates.qsize()} waiting, "
                f"{rates.conflated} replaced by newer ones",
                flush=True,
            )


if __name__ == "__main__":
    run(main)
