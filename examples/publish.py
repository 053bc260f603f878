"""Publishes through Redis: one connection to eToro for many programs. Start it twice for fail-over.

The address of Redis is read from ETORO_REDIS_URL. What it publishes is read by RedisClient, in any
number of programs on any machines. `etoro-sync publish` does the same from the command line.
"""

from etoro_sync import WsClient
from etoro_sync.demo import redis_url, run
from etoro_sync.redis import Publisher


def main() -> None:
    with (
        redis_url() as url,
        WsClient(reconnect_attempts=None) as client,
        Publisher(client, url) as publisher,
    ):
        # Behind the publisher, which would miss the orders that come before it.
        client.subscribe([100000, 1001, "private"], snapshot=True)
        while not publisher.run_forever(timeout=0.5):
            stats = publisher.stats()
            print(f"{stats.role}: {stats.rates} rates, {stats.orders} orders", flush=True)
            if stats.failure is not None:
                print(f"paused: {stats.failure}", flush=True)


if __name__ == "__main__":
    run(main)
