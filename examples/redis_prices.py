"""Prices out of Redis, as any number of programs on any machines read one connection to eToro.

The address of Redis is read from ETORO_REDIS_URL. A publisher has to write there, such as
`etoro-sync publish`; with --demo this program has one of its own.
"""

import contextlib
import sys
from collections.abc import Generator

from etoro_sync import WsClient, WsGap, WsInstrumentRate
from etoro_sync.demo import redis_url, run
from etoro_sync.redis import Publisher, RedisClient


@contextlib.contextmanager
def publishing(url: str) -> Generator[None, None, None]:
    """Publish in this program, for the demonstration; in yours, another process does."""
    with WsClient() as client, Publisher(client, url) as publisher:
        client.subscribe([100000, 1001], snapshot=True)
        while publisher.stats().role != "active":
            publisher.run_forever(timeout=0.01)
        yield


def main() -> None:
    with redis_url() as url:
        stream = RedisClient(url)

        @stream.on("instrument:rate")
        def show(instrument_id: int, rate: WsInstrumentRate) -> None:
            print(f"{instrument_id}: bid {rate.bid} ask {rate.ask}", flush=True)

        @stream.on("close")
        def warn(code: int | None, reason: str | None) -> None:
            print(f"prices are old: {reason}", flush=True)

        @stream.on("reconnected")
        def resume(gap: WsGap) -> None:
            print(f"fresh again after {gap.seconds:.1f} s", flush=True)

        needs_publisher = "--demo" in sys.argv
        with publishing(url) if needs_publisher else contextlib.nullcontext(), stream:
            stream.run_forever()


if __name__ == "__main__":
    run(main)
