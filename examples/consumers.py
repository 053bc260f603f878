"""Several threads that consume: each rate goes to one of the workers, each order to one thread.

All of them end by themselves when the client is closed: iterating over a queue then stops.
"""

import threading

from etoro_sync import EventQueue, WsClient
from etoro_sync.demo import run


def work(name: str, rates: EventQueue) -> None:
    for instrument_id, rate in rates:
        print(f"{name}: instrument {instrument_id} at {rate.mid}", flush=True)


def keep_books(orders: EventQueue) -> None:
    profit = 0.0
    for order in orders:
        profit += order.net_profit
        print(f"books: order {order.order_id}, profit so far {profit:+.2f}", flush=True)


def main() -> None:
    threads = []
    try:
        with WsClient() as client:
            rates = client.queue("instrument:rate")
            orders = client.queue("private:event")
            for name in ("worker 1", "worker 2"):
                threads.append(threading.Thread(target=work, args=(name, rates)))
            threads.append(threading.Thread(target=keep_books, args=(orders,)))
            for thread in threads:
                thread.start()
            client.subscribe([100000, 1001, "private"], snapshot=True)
            client.run_forever()
    finally:
        for thread in threads:
            thread.join()
        print("all threads have ended", flush=True)


if __name__ == "__main__":
    run(main)
