"""Records in many processes that are killed at random moments; a program of test_kills.py.

    python victims.py FOLDER KILLS

Each process notes in a file what it has written to its stream, and when; FOLDER/kills has the
moments of the kills. All that is imported here is copied by fork(), which takes no time.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from etoro_sync import Feed, MarketStream
from tests.recording.tools import quote

#: So many record at once, each into a folder of its own.
WIDTH = 8


def live(folder: Path, first: int) -> NoReturn:
    """Record 2,000 messages a second, with segments of a few frames, until it is killed."""
    diary = os.open(folder / "diary", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(feed: Feed) -> None:
        number = first
        while True:
            feed.texts([quote(1 + n % 300, n) for n in range(number, number + 20)])
            number += 20
            os.write(diary, f"{number - 1} {time.monotonic()}\n".encode())
            feed.wait(0.01)

    stream = MarketStream(write)
    stream.record(folder / "recording", segment_bytes=20_000, segment_seconds=1)
    stream.queue("open")
    stream.connect()
    while True:
        time.sleep(1)


def kill_all(folder: Path, number: int, chance: random.Random) -> None:
    """Let some processes begin, and kill each at a moment of its own."""
    due = []
    for place in range(WIDTH):
        mine = folder / str(place)
        mine.mkdir(exist_ok=True)
        child = os.fork()
        if not child:
            live(mine, number * 1_000_000)
        due.append((time.monotonic() + chance.uniform(0.0, 1.8), child, mine))
    for moment, child, mine in sorted(due):
        time.sleep(max(moment - time.monotonic(), 0))
        now = time.monotonic()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with (mine / "kills").open("a") as file:
            file.write(f"{number} {now}\n")


def main() -> None:
    chance = random.Random(14)
    for number in range(1, 1 + int(sys.argv[2]) // WIDTH):
        kill_all(Path(sys.argv[1]), number, chance)


if __name__ == "__main__":
    main()
