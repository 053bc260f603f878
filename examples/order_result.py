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
        for event in orders:
            if event.order_id is None:
                continue
            # In a program that places orders: client.wait_for_order(request_guid=guid, timeout=30)
            try:
                final = client.wait_for_order(event.order_id, timeout=2.0)
                print(f"order {final.order_id}: {final.status}, {final.executed_units:g} units")
            except EToroOrderError as error:
                print(f"{error.event.order_id}: {error}")
            except EToroTimeoutError as error:
                print(f"still open: {error}")


if __name__ == "__main__":
    run(main)
