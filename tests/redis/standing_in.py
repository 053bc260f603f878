"""A program whose copies publish one feed, and are killed and stopped.

For each line of its input it makes a copy of itself, which connects to eToro and publishes until it
is killed. To copy takes a hundredth of the time that it takes to start.
"""

from __future__ import annotations

import os
import signal
import sys

from etoro_sync import ws  # noqa: F401  # loaded before the copies are made
from etoro_sync.redis import Publisher
from tests.support.clients import make_client


def say(text: str) -> None:
    """Write one line at once, and whole."""
    os.write(1, f"{text}\n".encode())


def run(etoro: str, url: str, lease: float) -> None:
    """Publish until this process is killed."""
    client = make_client(etoro)
    publisher = Publisher(client, url, lease=lease)
    client.connect()
    client.subscribe([1001, 100000, "private"], snapshot=True)
    publisher.start()
    say(f"{os.getpid()} {publisher._work.lease.token}")
    publisher.run_forever()


def main(etoro: str, url: str, lease: str) -> None:
    """Make a copy for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the copies
    for _ in sys.stdin:
        if os.fork() == 0:
            run(etoro, url, float(lease))
            os._exit(1)  # nobody else ends it


if __name__ == "__main__":
    main(*sys.argv[1:])
