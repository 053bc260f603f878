"""A service: it may start before the network does, and it tells Prometheus and systemd how it is.

SIGTERM ends it with exit code 0. It exits with 2 when eToro refuses the keys, because another start
would change nothing, and with 1 after any other error. `etoro-sync unit service.py` prints a unit
for systemd, and the Dockerfile of the repository runs this file.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from etoro_sync import EToroAuthError, WsClient, WsPrivateEvent
from etoro_sync.demo import run
from etoro_sync.metrics import serve
from etoro_sync.systemd import notify

INSTRUMENTS = [100000, 1001]


def key(name: str) -> str | Callable[[], str]:
    """Take a key from the file that NAME_FILE names, or from the environment.

    Docker and systemd hand over secrets in files. The file is read for each connection, so that a
    key may be changed while the service runs.
    """
    file = os.environ.get(f"{name}_FILE")
    if file is None:
        return os.environ.get(name, "")
    return lambda: Path(file).read_text().strip()


def on_order(event: WsPrivateEvent) -> None:
    print(f"order {event.order_id}: {event.status}", flush=True)


def watch(client: WsClient) -> None:
    """Connect, however long that takes, and work until the client is disconnected."""
    client.on("private:event", on_order)
    client.subscribe([*INSTRUMENTS, "private"], snapshot=True)
    client.connect(retry=True)
    while not client.run_forever(timeout=1.0):
        prices = {number: rate.mid for number, rate in client.rates.items()}
        print(f"{client.state.value}: {prices}", flush=True)


def main() -> None:
    client = WsClient(
        api_key=key("ETORO_API_KEY"), user_key=key("ETORO_USER_KEY"), reconnect_attempts=None
    )
    # As Ctrl-C, it ends whatever waits, and leaves the blocks below in order.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    host = os.environ.get("METRICS_HOST", "127.0.0.1")
    port = int(os.environ.get("METRICS_PORT", "0"))  # 0 takes a free one
    try:
        with contextlib.closing(client), serve(client, port, host) as server, notify(client):
            print(f"metrics at {server.url}/metrics, health at /healthz", flush=True)
            watch(client)
    except EToroAuthError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    run(main)
