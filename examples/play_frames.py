"""A source of your own: recorded frames in a file, read in the same way as the live stream.

The program records some frames, and then runs a strategy on them as it would run on a WsClient.
Nothing is lost or skipped, however slow the strategy is, and every run has the same events.
"""

import gzip
import json
import tempfile
from pathlib import Path

from etoro_sync import Feed, MarketStream, WsClient, WsInstrumentRate
from etoro_sync.demo import run


class FramesFile(MarketStream):
    """Plays a file of text frames as eToro sends them, one on each line.

    :param path: the file; ``*.gz`` is unpacked.
    :param pause: seconds between two frames; 0 plays as fast as they are read.
    """

    def __init__(self, path: Path, pause: float = 0.0) -> None:
        def play(feed: Feed) -> None:
            with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
                for line in lines:
                    feed.texts([line])
                    if pause:
                        feed.wait(pause)

        super().__init__(play)


def record(path: Path, frames: int) -> None:
    with WsClient() as client, client.queue("message") as messages, path.open("w") as file:
        client.subscribe([100000, 1001], snapshot=True)
        for _ in range(frames):
            file.write(json.dumps(messages.get().to_dict()) + "\n")


def strategy(stream: MarketStream) -> None:
    @stream.on("instrument:rate")
    def show(instrument_id: int, rate: WsInstrumentRate) -> None:
        print(f"instrument {instrument_id}: mid {rate.mid}", flush=True)

    with stream:
        stream.run_forever()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frames.jsonl")
        record(path, 20)
        print("recorded 20 frames", flush=True)
        strategy(FramesFile(path, pause=0.1))


if __name__ == "__main__":
    run(main)
