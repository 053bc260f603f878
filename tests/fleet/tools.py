"""What the tests of fleets share: small connections, and a server that cuts one of them."""

from __future__ import annotations

from typing import Any

from etoro_sync import WsFleet
from etoro_sync.simulator import EToroSimulator
from etoro_sync.simulator.peer import Peer

__all__ = ["PLACES", "allow", "bids", "cut", "generations", "held", "instruments", "publish"]

#: Topics on a connection of these tests, where the real service has 4,999.
PLACES = 3


def instruments(*numbers: int) -> list[str]:
    return [f"instrument:{number}" for number in numbers]


def held(sim: EToroSimulator) -> list[set[str]]:
    """Return the topics of each connection that the server has, in the order of connecting."""
    return [set(client.topics) for client in sim.clients]


def allow(sim: EToroSimulator, topics: int) -> None:
    """Let the server accept so many topics on a connection from now on."""
    with sim._hub.changed:
        sim._hub._subscribers._policy.max_topics = topics


def peer_of(sim: EToroSimulator, topic: str) -> Peer:
    """Return the connection that has *topic*. Requires the hub's lock."""
    sessions = sim._hub._subscribers.sessions
    (peer,) = [peer for peer, session in sessions.items() if topic in session.topics]
    return peer


def cut(sim: EToroSimulator, topic: str) -> None:
    """Reset the connection that has *topic*, and no other."""
    with sim._hub.changed:
        peer = peer_of(sim, topic)
        peer.abort()
    sim.wait_until(lambda s: peer.id not in [client.id for client in s.clients])


def publish(sim: EToroSimulator, number: int, bid: int) -> None:
    sim.publish(number, Bid=str(bid), Ask=str(bid + 1), LastExecution=str(bid))


def generations(fleet: WsFleet) -> dict[str, int]:
    """Return topic -> the number of its connection."""
    return {topic: one.generation for one in fleet.connections for topic in one.topics}


def bids(items: Any, count: int) -> list[tuple[int, int]]:
    """Return instrument and bid of the next rates of a queue."""
    return [(key, int(rate.bid)) for key, rate in (items.get(timeout=10) for _ in range(count))]
