"""A program that is killed: it prints each event that its store brings, and acknowledges it.

For each line of its input it makes a copy of itself, which connects and runs until it is killed.
To copy takes a hundredth of the time that it takes to start.
"""

from __future__ import annotations

import os
import sys

from etoro_sync import store, ws  # noqa: F401  # loaded before the copies are made
from etoro_sync.store import OrderStore
from tests.support.clients import make_client


def say(text: str) -> None:
    """Write one line at once, and whole."""
    os.write(1, f"{text}\n".encode())


def run(url: str, path: str) -> None:
    """Handle events until this process is killed."""
    with make_client(url) as client, OrderStore(path, durable=False) as orders:
        orders.attach(client)
        client.subscribe("private")
        say("ready")
        for item in orders.pending(None):
            say(f"got {item.number} {item.event.order_id}")
            orders.acknowledge(item)
            say(f"done {item.number}")


def main(url: str, path: str) -> None:
    """Make a copy for each line, and say when it is dead."""
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(url, path)
            os._exit(1)  # nobody else ends it
        say(f"pid {pid}")
        os.waitpid(pid, 0)
        say("dead")


if __name__ == "__main__":
    main(*sys.argv[1:])
