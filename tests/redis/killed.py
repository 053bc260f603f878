"""Consumers that are killed: each prints which order it gets, and when it has handled it.

For each line of its input this program makes a copy of itself, which consumes until it is killed.
To copy takes a hundredth of the time that it takes to start.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

from etoro_sync.redis import OrderGroup


def say(*words: object) -> None:
    """Write one line at once, and whole, with the number of this process."""
    os.write(1, (" ".join(map(str, (os.getpid(), *words))) + "\n").encode())


def run(url: str, redeliver_after: float) -> None:
    """Handle orders until this process is killed."""
    chance = random.Random(os.getpid())
    with OrderGroup(url, "booking", redeliver_after=redeliver_after, attempts=1000) as group:
        say("ready")
        for order in group:
            say("got", order.event.order_id)
            # So that some are killed between reading and handling.
            time.sleep(chance.choice([0.0, 0.0, 0.001, 0.003]))
            say("done", order.event.order_id)


def main(url: str, redeliver_after: str) -> None:
    """Make a copy for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for _ in sys.stdin:
        if os.fork() == 0:
            run(url, float(redeliver_after))
            os._exit(1)  # nobody else ends it


if __name__ == "__main__":
    main(*sys.argv[1:])
