"""Order events in a file: kill this program at any moment, and start it again.

What was stored and not handled is handled by the next run; what was handled is not handled again.
The gaps say when nobody received, for which eToro's REST API has to be asked.
"""

import sys
from datetime import datetime, timezone

from etoro_sync import WsClient
from etoro_sync.demo import run
from etoro_sync.store import OrderStore, StoredEvent

# Simulated orders are not to be found among real ones.
FILE = "demo-orders.db" if "--demo" in sys.argv else "orders.db"


def handle(item: StoredEvent) -> None:
    """Do what is to be done once for each event, such as booking it, or placing the next order.

    A kill in the middle of this, or just behind it, brings the event again, with the same number.
    """
    print(f"event {item.number}: {item.event}", flush=True)


def when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(" ", "seconds")


def main() -> None:
    with WsClient(reconnect_attempts=None) as client, OrderStore(FILE) as store:
        print(f"{store.stats().pending} events are left from earlier runs", flush=True)
        store.attach(client)
        client.subscribe("private")
        for gap in store.gaps():
            print(f"events may be missing from {when(gap.from_)} until {when(gap.until)}")
        store.process(handle)  # until the client is disconnected, or Ctrl-C


if __name__ == "__main__":
    run(main)
