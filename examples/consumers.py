"""Several threads that read: each rate goes to one of two workers, all orders go to a third thread.

The threads end by themselves when the client is closed, because their loops over the queues end.
"""

import threading

from etoro_sync import EventQueue, WsClient, WsInstrumentRate, WsPrivateEvent
from etoro_sync.demo import run


def work(name: str, rates: EventQueue[tuple[int, WsInstrumentRate]]) -> None:
    for instrument_id, rate in rates:
        print(f"{name}: instrument {instrument_id} at {rate.mid}", flush=True)


def sum_profit(orders: EventQueue[WsPrivateEvent]) -> None:
    profit = 0.0
    for order in orders:
        profit += order.net_profit
        print(f"books: order {order.order_id}, profit so far {profit:+.2f}", flush=True)


def main() -> None:
    threads: list[threading.Thread] = []
    try:
        with WsClient() as client:
            rates = client.queue("instrument:rate")
            orders = client.queue("private:event")
            for name in ("worker 1", "worker 2"):
                threads.append(threading.Thread(target=work, args=(name, rates)))
            threads.append(threading.Thread(target=sum_profit, args=(orders,)))
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
