"""Record what comes, and run the same program on it again: replay, table, repair.

The strategy is a function that takes any stream, so that it does not know whether its prices come
from eToro or from a recording.
"""

import tempfile
from pathlib import Path

from etoro_sync import MarketStream, Recording, Replay, WsClient, WsInstrumentRate, recover
from etoro_sync.demo import run


def highest(stream: MarketStream, seconds: float | None = None) -> dict[int, float]:
    """Return the highest bid of each instrument."""
    found: dict[int, float] = {}

    def update(instrument_id: int, rate: WsInstrumentRate) -> None:
        found[instrument_id] = max(rate.bid, found.get(instrument_id, 0.0))

    stream.on("instrument:rate", update)
    stream.run_forever(seconds)
    stream.off("instrument:rate", update)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "recordings")
        with WsClient() as client, client.record(folder) as recorder:
            client.subscribe([100000, 1001, "private"], snapshot=True)
            print("recording for 0.8 s", flush=True)
            live = highest(client, seconds=0.8)
        stats = recorder.stats()
        print(f"recorded {stats.written} messages, {stats.bytes_written} bytes", flush=True)

        for each in recover(folder):  # only after a kill there would be something to repair
            print(each)

        with Replay(folder, speed=1.0) as replay:  # without a speed: as fast as it can
            again = highest(replay)
        for instrument_id in sorted(live):
            print(f"instrument {instrument_id}: highest bid {again[instrument_id]}", flush=True)

        rows = Recording(folder).convert(Path(name, "prices.csv"))
        print(f"prices.csv has {rows} rows")
        gaps = list(Recording(folder).items("gaps"))
        print(f"gaps: {len(gaps)}")


if __name__ == "__main__":
    run(main)
