"""More instruments than eToro allows on one connection: a fleet opens as many as they need.

Prints once a second what came, on which connections. A gap names the instruments of the connection
that was lost; those of the others have missed nothing. The simulated feed of --demo accepts all
topics, and has prices of five.
"""

import time

from etoro_sync import WsFleet, WsGap
from etoro_sync.demo import run

#: Instruments().all() has all of eToro's, some 12,700.
WANTED = range(1, 5201)


def tell_gap(gap: WsGap) -> None:
    print(f"missed {gap.seconds:.1f} s of {len(gap.topics)} topics", flush=True)


def main() -> None:
    with WsFleet() as fleet:
        fleet.on("reconnected", tell_gap)
        fleet.subscribe(WANTED, snapshot=True)
        fleet.subscribe("private")  # on one of the connections
        while not fleet.run_forever(timeout=1.0):
            stats = fleet.stats()
            for each in fleet.connections:
                print(f"connection {each.generation}: {len(each.topics)} topics", flush=True)
            newest = max(fleet.rates.values(), key=lambda rate: rate.received_at)
            print(
                f"{stats.messages} messages, {len(fleet.rates)} prices, the last one "
                f"{time.time() - newest.received_at:.1f} s ago",
                flush=True,
            )


if __name__ == "__main__":
    run(main)
