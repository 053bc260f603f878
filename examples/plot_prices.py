"""Record some seconds of prices, and draw them: prices.png in the present folder.

The lines of bid and ask break where the connection was lost, and the background is grey while a
market is closed.
"""

import tempfile
from pathlib import Path

from etoro_sync import WsClient
from etoro_sync.demo import run
from etoro_sync.plotting import plot

OUT = Path("prices.png")
SECONDS = 1.0


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        with WsClient() as client, client.record(folder):
            client.subscribe([100000, 1001], snapshot=True)
            print(f"recording prices for {SECONDS:g} s", flush=True)
            client.run_forever(timeout=SECONDS)
        plot(folder, [100000, 1001], out=OUT)
    print(f"they are shown in {OUT.resolve()}", flush=True)


if __name__ == "__main__":
    run(main)
