"""Order events through Redis: kill this program at any moment, and start it again.

One process publishes what it receives of eToro; any number of others share the work. Here both are
in one program, to be seen at once: in yours, publish in one process, and handle in others.
"""

from etoro_sync import WsClient
from etoro_sync.demo import redis_url, run
from etoro_sync.redis import GroupOrder, OrderGroup, Publisher


def handle(order: GroupOrder) -> None:
    """Do what is to be done once for each event, such as booking it.

    A kill in the middle of this, or just behind it, brings the order again, also to another
    process: keep its digest with what you do, where doing it twice would hurt.
    """
    again = f", attempt {order.attempt}" if order.attempt > 1 else ""
    print(f"{order.id} {order.event}{again}", flush=True)


def main() -> None:
    with redis_url() as url, WsClient(reconnect_attempts=None) as client:
        client.subscribe("private")
        with Publisher(client, url), OrderGroup(url, "booking", redeliver_after=10.0) as group:
            for order in group.set_aside():
                print(f"handle by hand: {order.event}", flush=True)
            group.run(handle)  # until Ctrl-C; what handle() raises is logged, and tried again


if __name__ == "__main__":
    run(main)
