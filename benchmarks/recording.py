"""What a recording costs, in bytes and in time, and how fast it is replayed."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import feeds
from .processes import child_environment
from .session import Row, Session

__all__ = ["recordings"]

_ROOT = Path(__file__).resolve().parents[1]
#: Messages per second of all instruments of eToro, on average.
_RATE = 2817
#: How often the feed writes what is due.
_TICK = 0.01


def recordings(session: Session) -> list[Row]:
    """The universe mix at its average rate, with and without a recording; then its replay."""
    seconds = 5.0 * session.plan.seconds
    print(f"  recording: {2 * seconds:.0f} s", file=sys.stderr, flush=True)
    command = [
        sys.executable,
        "-m",
        "benchmarks.recording",
        str(seconds),
        str(session.plan.messages),
    ]
    output = subprocess.check_output(command, cwd=_ROOT, env=child_environment(), text=True)
    rows: list[Row] = json.loads(output)
    return rows


def _texts(count: int) -> list[str]:
    from etoro_sync.ws.transport.frames import FrameParser

    frames = feeds.build("universe", count, min(count, 4000)).frames
    return FrameParser(1 << 20).feed(b"".join(frames))


def _paced(texts: list[str], folder: Path | None) -> dict[str, Any]:
    """Play *texts* at the average rate; return the CPU time, and the counters of the recording."""
    from etoro_sync import Feed, MarketStream

    def write(feed: Feed) -> None:
        began = time.monotonic()
        for number, text in enumerate(texts):
            late = began + number / _RATE - time.monotonic()
            if late > 0:
                feed.wait(max(late, _TICK))
            feed.texts([text])

    stream = MarketStream(write)
    recorder = None if folder is None else stream.record(folder)
    began = time.process_time()
    with stream:
        stream.run_forever()
    if recorder is None:
        return {"cpu": time.process_time() - began}
    recorder.close()
    cpu, stats = time.process_time() - began, recorder.stats()
    return {"cpu": cpu, "bytes": stats.bytes_written, "refused": stats.refused}


def _replay_speed(folder: Path, count: int) -> float:
    """Record *count* messages at once, and return how many are replayed per second."""
    from etoro_sync import MarketStream, Replay

    texts = _texts(count)
    source = MarketStream(lambda feed: [feed.texts([text]) for text in texts])
    with source.record(folder), source:
        source.run_forever()
    stream, seen = Replay(folder), [0]

    @stream.on("instrument:rate")
    def count_rates(instrument_id: int, rate: Any) -> None:
        seen[0] += 1

    began = time.perf_counter()
    with stream:
        stream.run_forever()
    assert seen[0]
    return count / (time.perf_counter() - began)


def main() -> None:
    """Print the figures as JSON; the arguments are seconds, and messages to replay."""
    seconds, count = float(sys.argv[1]), int(sys.argv[2])
    texts = _texts(int(_RATE * seconds))
    with tempfile.TemporaryDirectory() as folder:
        without = _paced(texts, None)
        found = _paced(texts, Path(folder) / "paced")
        # The best of three, because whatever else runs can only slow it down.
        speed = max(_replay_speed(Path(folder) / str(turn), count) for turn in range(3))
    share = (found["cpu"] - without["cpu"]) / seconds
    rows = [
        {"what": "bytes per message", "value": found["bytes"] / len(texts), "unit": "bytes"},
        {"what": f"share of a core at {_RATE:,}/s", "value": 100 * share, "unit": "%"},
        {"what": "messages that were refused", "value": found["refused"], "unit": ""},
        {"what": "messages replayed per second", "value": speed, "unit": ""},
    ]
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
