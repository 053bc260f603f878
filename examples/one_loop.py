"""One loop for prices, orders and gaps, in the order in which they happened.

Before it, the program waits for what its own action brings, and listens before it acts: an answer
that comes at once is not missed.
"""

from etoro_sync import WsClient
from etoro_sync.demo import run


def main() -> None:
    with WsClient() as client:
        events = client.queue(["instrument:rate", "private:event", "reconnected"])
        # An order is placed and waited for in the same way, by expect("private:event").
        with client.expect("instrument:rate", timeout=30) as first:
            client.subscribe([100000, 1001, "private"], snapshot=True)
        instrument_id, rate = first.value
        print(f"the first price: {instrument_id}: mid {rate.mid}", flush=True)
        for item in events.iterate(timeout=5.0):
            match item:
                case "instrument:rate", instrument_id, rate:
                    print(f"{instrument_id}: mid {rate.mid}", flush=True)
                case "private:event", order:
                    print(order, flush=True)
                case "reconnected", gap:
                    print(f"prices may be missing: {gap}", flush=True)
                case _:
                    print("quiet for 5 s; the market may be closed", flush=True)


if __name__ == "__main__":
    run(main)
