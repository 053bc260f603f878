"""A loop over a queue: one thread, no callbacks, and the loop may take its time.

A slow loop never slows the stream: when a queue is full, its overflow policy decides. This one
keeps the newest rate of each instrument.
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
