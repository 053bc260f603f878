"""Live prices in a browser, of eToro, or of Redis if ETORO_REDIS_URL is set; on this machine only.

Each browser has a thread and a bounded queue: a slow one harms nobody. dashboard.html is the page.
"""

import contextlib
import json
import os
import queue
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from etoro_sync import EToroError, EventQueue, MarketStream, WsClient, WsInstrumentRate
from etoro_sync.demo import run


class _Handler(BaseHTTPRequestHandler):
    stream: MarketStream
    browsers = threading.BoundedSemaphore(20)  # more of them wait
    timeout = 10.0  # seconds for a browser to take what it was sent; else it has to come again

    def handle(self) -> None:
        with contextlib.suppress(EToroError, OSError):  # the stream has ended, the browser has gone
            super().handle()

    def do_GET(self) -> None:
        port = self.connection.getsockname()[1]
        if self.headers["Host"] not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            return self.send_error(403)  # another site's page, whose name leads to this machine
        if self.path not in ("/", "/prices"):
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path == "/" else "text/event-stream")
        self.end_headers()
        if self.path == "/":
            self.wfile.write(Path(__file__).with_suffix(".html").read_bytes())
        else:
            with self.browsers, self.stream.queue("instrument:rate", maxsize=1000) as items:
                self.send_prices(items)

    def send_prices(self, items: EventQueue[tuple[int, WsInstrumentRate]]) -> None:
        rates = dict(self.stream.rates.items())  # and then what comes
        while True:
            prices = [[key, r.bid, r.ask, r.spread, r.date] for key, r in rates.items()]
            data = json.dumps([self.stream.state.value, prices])
            self.wfile.write(f"data: {data}\n\n".encode())
            time.sleep(0.1)  # ten times a second is enough for eyes
            rates.clear()
            with contextlib.suppress(queue.Empty):
                rates.update([items.get(timeout=1.0)])
                rates.update(items.get_nowait() for _ in range(items.qsize()))

    def log_message(self, format: str, *values: object) -> None: ...  # no line for each request


def make_server(stream: MarketStream, port: int = 0) -> ThreadingHTTPServer:
    return ThreadingHTTPServer(("127.0.0.1", port), type("Of", (_Handler,), {"stream": stream}))


def main() -> None:
    if not (page := Path(__file__).with_suffix(".html")).exists():
        sys.exit(f"{page.name} is missing: copy it into the same folder, too.")
    if "ETORO_REDIS_URL" in os.environ and "--demo" not in sys.argv:
        from etoro_sync.redis import RedisClient

        stream: MarketStream = RedisClient(os.environ["ETORO_REDIS_URL"])
    else:
        stream = client = WsClient(reconnect_attempts=None)
        client.subscribe([100000, 1001, 18, 1], snapshot=True)
    with stream, make_server(stream, int(os.environ.get("PORT", "0"))) as server:
        print(f"prices at http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    run(main)
