"""What became of an order: filled, or an error that says why not; and all its events on the way.

An order is placed by eToro's REST API, which this library has not. Here orders come by themselves,
from the simulator or from the account's other programs; for each, the program waits for the end.
"""

from etoro_sync import EToroOrderError, EToroTimeoutError, WsClient
from etoro_sync.demo import run


def main() -> None:
    with WsClient() as client:
        orders = client.queue("private:event")
        client.subscribe("private")
        seen: set[int] = set()
        for event in orders:
            print(event, flush=True)
            if event.order_id is None or event.order_id in seen:
                continue
            seen.add(event.order_id)
            # In a program that places orders: client.wait_for_order(request_guid=guid, timeout=30)
            try:
                final = client.wait_for_order(event.order_id, timeout=5.0)
                print(f"-> {final.status}, {final.executed_units:g} units", flush=True)
            except EToroOrderError as error:
                print(f"-> {error}", flush=True)
            except EToroTimeoutError as error:
                print(f"-> still open: {error}", flush=True)


if __name__ == "__main__":
    run(main)
