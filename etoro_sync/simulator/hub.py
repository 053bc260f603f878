"""The simulator's state, and all messages to the clients, under one lock.

So a snapshot and the deltas after it always match, and each client's messages keep their order.
"""

import itertools
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from . import wire
from .faults.active import ActiveFaults
from .market import Market
from .observable import ObservableState
from .orders import OrderEvents
from .peer import Peer, SimulatorClient
from .request_handler import Reply, RequestHandler
from .session import BINARY_REFUSED, Policy
from .subscribers import Subscribers
from .tls import Certificates


class Hub(ObservableState):
    """Clients, market and orders.

    :param market: the simulated market.
    :param policy: the rules for requests.
    :param certificates: for TLS; None without.
    :param seed: the same seed gives the same ids.
    :param max_frame_bytes: a client that sends a longer text message is cut off.
    :param nul_before_auth: send a NUL keepalive before the reply to ``Authenticate``.
    """

    def __init__(
        self,
        market: Market,
        policy: Policy,
        certificates: Certificates | None = None,
        *,
        seed: int = 0,
        max_frame_bytes: int = 25 * 1024,
        nul_before_auth: bool = False,
    ) -> None:
        super().__init__()
        self.market = market
        self.faults = ActiveFaults(self, certificates)
        self.on_faults_changed: Callable[[], None] = lambda: None
        self.connection_ids = itertools.count(1)
        self.connections = 0
        self.slow_clients = 0
        self._max_frame_bytes = max_frame_bytes
        self._orders = OrderEvents(seed)
        self._random = Random(f"{seed}/hub")
        self._subscribers = Subscribers(policy)
        self._handler = RequestHandler(self._subscribers, self.faults, nul_before_auth)
        self._live: list[int] | None = None  # a cache; None when it is out of date
        # Topic -> who wants a snapshot of it that could not be sent: nothing is known yet.
        self._owed: dict[str, set[Peer]] = {}

    # Connections and requests

    def add_client(self, peer: Peer) -> None:
        """Add a client that has just connected."""
        with self.changed:
            self.connections += 1
            self._subscribers.add(peer)
            self.faults.reached("open", peer)
            self.changed.notify_all()

    def remove_client(self, peer: Peer) -> None:
        """Remove a client whose connection has ended."""
        with self.changed:
            self.slow_clients += peer.too_slow
            self.drop_client(peer)

    def _remove(self, peer: Peer) -> None:
        """Send nothing to a client from now on. Requires the lock."""
        self._subscribers.remove(peer)
        self._live = None
        for owed in self._owed.values():
            owed.discard(peer)

    def receive(self, peer: Peer, message: str | bytes) -> None:
        """Handle a text or binary message from a client."""
        with self.changed:
            if peer not in self._subscribers:
                return
            if isinstance(message, bytes):
                self._send((peer,), BINARY_REFUSED)
            elif len(message.encode()) > self._max_frame_bytes:
                peer.abort()
                self._remove(peer)
            else:
                self._answer(peer, message)
            self.changed.notify_all()

    def _answer(self, peer: Peer, text: str) -> None:
        """Carry out a request and send its reply, now or after a delay. Requires the lock."""
        reply = self._handler.handle(peer, text)
        self._live = None
        if reply is None:
            return
        if reply.delay:
            self.call_later(reply.delay, lambda: self._reply(peer, reply))
        else:
            self._reply(peer, reply)

    def _reply(self, peer: Peer, reply: Reply) -> None:
        """Send a reply and snapshots, unless the client has gone meanwhile. Requires the lock."""
        for message in reply.messages:
            self._send((peer,), message)
        for topic in reply.snapshots:
            self._send_snapshot(peer, topic)

    def _send_snapshot(self, peer: Peer, topic: str) -> None:
        """Send the snapshot of a topic's instrument, if there is one. Requires the lock."""
        instrument_id = wire.instrument_of(topic)
        if instrument_id is None:
            return
        state = self.market.snapshot(instrument_id, time.time_ns())
        if state is None:
            self._owed.setdefault(topic, set()).add(peer)
        else:
            text = self._envelope(topic, wire.SNAPSHOT, state)
            for message in self.faults.transform(topic, text, snapshot=True):
                self._send((peer,), message)

    # Sending

    def _envelope(self, topic: str, message_type: str, content: Mapping[str, object]) -> str:
        """Build a message with a new id. Requires the lock."""
        return wire.envelope(
            topic, message_type, wire.compact(content), wire.new_uuid(self._random)
        )

    def _send(self, peers: tuple[Peer, ...], message: str | bytes) -> int:
        """Send to clients and count them; drop those that are too slow. Requires the lock."""
        reached = 0
        for peer in peers:
            if peer.send(message):
                reached += 1
            else:
                self._remove(peer)
        return reached

    def _publish(self, topic: str, message_type: str, content: Mapping[str, object]) -> int:
        """Send a message to the subscribers of its topic. Requires the lock."""
        reached = len(self._subscribers.of(topic))
        if reached:
            for text in self.faults.transform(topic, self._envelope(topic, message_type, content)):
                reached = self.send_to_subscribers(topic, text)
        return reached

    def send_to_subscribers(self, topic: str, text: str) -> int:
        """Send text to the subscribers of a topic. Requires the lock."""
        return self._send(self._subscribers.of(topic), text)

    def relay(self, text: str) -> int:
        """Send the messages of a frame to their subscribers, and merge them for snapshots."""
        reached = 0
        with self.changed:
            for topic, message, alone in wire.messages_of(text):
                instrument_id = wire.instrument_of(topic)
                kind = str(message.get("type") or wire.RATE)
                if instrument_id is not None:
                    self.market.follow(instrument_id, kind, wire.content_of(message))
                    if self.faults.frozen(instrument_id):
                        continue
                if self._subscribers.of(topic):
                    for each in self.faults.transform(topic, alone):
                        reached += self.send_to_subscribers(topic, each)
                    self._pay(topic, kind)
        return reached

    def _pay(self, topic: str, kind: str) -> None:
        """Send snapshots that were asked for before anything was known. Requires the lock."""
        owed = self._owed.pop(topic, ())
        if kind != wire.SNAPSHOT:  # which they have got just now
            for peer in owed:
                if peer in self._subscribers.of(topic):
                    self._send_snapshot(peer, topic)

    def broadcast(self, message: str | bytes) -> int:
        """Send anything to all authenticated clients and count them."""
        with self.changed:
            peers = tuple(p for p, s in self._subscribers.sessions.items() if s.authenticated)
            return self._send(peers, message)

    def publish(self, instrument_id: int, fields: Mapping[str, object], stamp: bool) -> int:
        """Merge and send one rate message; *stamp* adds Date and PriceRateID where missing."""
        with self.changed:
            now = time.time_ns()
            instrument = self.market.instrument(instrument_id, now)
            if self.faults.frozen(instrument_id):
                return 0
            content = {**fields}
            if stamp:
                content |= {k: v for k, v in instrument.stamp(now).items() if k not in fields}
            instrument.merge(content)
            return self._publish(wire.topic_of(instrument_id), wire.RATE, content)

    def set_active(self, instrument_id: int, active: bool, reason: str, flags_after: float) -> int:
        """Open or close an instrument's market and notify its subscribers; flags follow later."""
        with self.changed:
            instrument = self.market.instrument(instrument_id, time.time_ns())
            content = instrument.set_active(active, reason)
            self._live = None
            if active:
                opening = instrument.openings
                self.call_later(flags_after, lambda: self._publish_flags(instrument_id, opening))
            self.changed.notify_all()
            return self._publish(wire.topic_of(instrument_id), wire.ACTIVE, content)

    def _publish_flags(self, instrument_id: int, opening: int) -> None:
        """Send the flags of an opening if no change has followed it. Requires the lock."""
        instrument = self.market.instrument(instrument_id)
        current = instrument.active and instrument.openings == opening
        if current and not self.faults.frozen(instrument_id):
            self._publish(wire.topic_of(instrument_id), wire.RATE, instrument.opened())

    def publish_order(
        self,
        order_id: int | None,
        instrument_id: int,
        units: float,
        status_id: int,
        fields: Mapping[str, object],
    ) -> dict[str, object]:
        """Send an order event to the subscribers of ``private``; return its content."""
        with self.changed:
            now, rate = time.time_ns(), 0.0
            if self.market.knows(instrument_id):
                rate = self.market.instrument(instrument_id, now).bid
            content = self._orders.event(
                order_id=order_id,
                instrument_id=instrument_id,
                units=units,
                status_id=status_id,
                rate=rate,
                now_ns=now,
            )
            content.update(fields)
            self._publish(wire.PRIVATE, wire.ORDER_UPDATE, content)
            return content

    # The automatic feed

    @property
    def live(self) -> list[int]:
        """The instruments that have subscribers and are open. Requires the lock."""
        if self._live is None:
            ids = (wire.instrument_of(topic) for topic in self._subscribers.topics)
            moving = (i for i in ids if i is not None and not self.faults.frozen(i))
            self._live = self.market.active(moving)
        return self._live

    def tick(self, instrument_id: int) -> None:
        """Send the next rate message of a live instrument. Requires the lock."""
        content = self.market.delta(instrument_id, time.time_ns())
        self._publish(wire.topic_of(instrument_id), wire.RATE, content)

    @property
    def has_private_subscribers(self) -> bool:
        """Whether any client has subscribed to order events. Requires the lock."""
        return wire.PRIVATE in self._subscribers.topics

    # For faults, with the lock held: FaultContext

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The clients, in the order in which they connected."""
        return tuple(self._subscribers.sessions)

    def drop_client(self, peer: Peer) -> None:
        """Treat a client as disconnected, and send it nothing more."""
        self._remove(peer)
        self.changed.notify_all()

    def unsubscribe(self, peer: Peer, topic: str) -> None:
        """Remove a client's subscription to a topic."""
        self._subscribers.unsubscribe(peer, topic)
        self._live = None

    def send_snapshots(self, peer: Peer, instrument_id: int | None) -> None:
        """Send the snapshots of one instrument or of all that a client has subscribed to."""
        topics = self._subscribers.sessions[peer].topics
        wanted = topics if instrument_id is None else topics & {wire.topic_of(instrument_id)}
        for topic in sorted(wanted):
            self._send_snapshot(peer, topic)

    def faults_changed(self) -> None:
        """Update what depends on the active faults."""
        self._live = None
        self.on_faults_changed()
        self.changed.notify_all()

    # For users

    @property
    def requests(self) -> list[dict[str, Any]]:
        """A copy of the last requests, oldest first."""
        with self.changed:
            return list(self._handler.requests)

    def clients(self) -> list[SimulatorClient]:
        """Describe the connected clients, in the order in which they connected."""
        with self.changed:
            return [
                SimulatorClient(p.id, s.authenticated, frozenset(s.topics), p.messages_sent)
                for p, s in self._subscribers.sessions.items()
            ]

    def subscribed(self) -> frozenset[str]:
        """Return all topics that any client has subscribed to."""
        with self.changed:
            return frozenset(self._subscribers.topics)

    def state(self, instrument_id: int) -> dict[str, str]:
        """Copy the full state of an instrument."""
        with self.changed:
            return dict(self.market.instrument(instrument_id, time.time_ns()).state)

    def close_all(self, close: Callable[[Peer], None]) -> int:
        """Call *close* for every client, send them nothing more, and return how many they were."""
        with self.changed:
            peers = self.peers
            for peer in peers:
                close(peer)
                self._remove(peer)
            self.changed.notify_all()
            return len(peers)
