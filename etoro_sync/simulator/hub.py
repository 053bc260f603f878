"""
The simulator's state, and everything that is said to the clients. All under one lock, so that a
snapshot and the deltas after it always fit together and every client hears things in order.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from . import wire
from .agenda import Agenda
from .faults.board import Board
from .faults.requests import Plan
from .market import Market
from .orders import FILLED, OrderDesk
from .peer import Peer, SimulatorClient
from .session import (
    AUTHENTICATE,
    BINARY_REFUSED,
    OPERATIONS,
    Answer,
    Policy,
    Session,
    masked,
    parse_request,
    refusal,
)
from .tls import Certificates

_REQUESTS_KEPT = 10_000
_DEFAULT_INSTRUMENT = 100000


class Hub:
    """
    Clients, market and orders.

    :param market: The market.
    :param policy: The rules for requests.
    :param certificates: If the simulator speaks TLS.
    :param seed: Same seed, same choices.
    :param max_frame_bytes: A longer text from a client kills its connection.
    :param nul_before_auth: Send a NUL keepalive before the reply to ``Authenticate``.
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
        #: Guards everything below; notified upon every change. Reentrant, because the predicates
        #: of :meth:`wait_until` run under it and may ask the simulator anything.
        self.changed = threading.Condition(threading.RLock())
        self.market = market
        self.policy = policy
        self.board = Board(self, certificates)
        self.agenda = Agenda()
        self.on_faults: Callable[[], None] = lambda: None
        self.numbers = itertools.count(1)
        self.connections = 0
        self.slow_clients = 0
        self.requests: deque[dict[str, Any]] = deque(maxlen=_REQUESTS_KEPT)
        self._max_frame_bytes = max_frame_bytes
        self._nul_before_auth = nul_before_auth
        self._orders = OrderDesk(seed)
        self._random = Random(f"{seed}/hub")
        self._sessions: dict[Peer, Session] = {}
        self._audience: dict[str, dict[Peer, None]] = {}
        self._live: list[int] | None = None  # None: to be found out anew
        self._watchers = 0

    # Connections and requests

    def join(self, peer: Peer) -> None:
        """Add a client that has just connected."""
        with self.changed:
            self.connections += 1
            self._sessions[peer] = Session(self.policy)
            self.board.reached("open", peer)
            self.changed.notify_all()

    def leave(self, peer: Peer) -> None:
        """Take out a client whose connection has ended."""
        with self.changed:
            self.slow_clients += peer.too_slow
            self._forget(peer)
            self.changed.notify_all()

    def _forget(self, peer: Peer) -> None:
        """Say nothing to a client from now on. Requires the lock."""
        session = self._sessions.pop(peer, None)
        if session is not None:
            self._set_audience(peer, session.topics, set())

    def _set_audience(self, peer: Peer, before: set[str], after: set[str]) -> None:
        """Follow a change of a client's topics. Requires the lock."""
        for topic in after - before:
            self._audience.setdefault(topic, {})[peer] = None
        for topic in before - after:
            self._audience[topic].pop(peer)
            if not self._audience[topic]:
                del self._audience[topic]
        self._live = None

    def receive(self, peer: Peer, message: str | bytes) -> None:
        """
        Deal with a message from a client.

        :param peer: Who sent it.
        :param message: As received.
        """
        with self.changed:
            if peer not in self._sessions:
                return
            if isinstance(message, bytes):
                self._send((peer,), BINARY_REFUSED)
            elif len(message.encode()) > self._max_frame_bytes:
                peer.abort()
                self._forget(peer)
            else:
                self._answer(peer, self._sessions[peer], message)
            self.changed.notify_all()

    def _answer(self, peer: Peer, session: Session, text: str) -> None:
        """Carry out a request and send what it leads to. Requires the lock."""
        request = parse_request(text)
        operation = None if request is None else request.get("operation")
        if request is not None:
            self.requests.append(masked(request))
        if operation in OPERATIONS:
            self.board.reached(operation, peer)
        if peer not in self._sessions:  # that was the end of it
            return
        fault = self.board.request_fault(operation)
        plan = Plan() if fault is None else fault.plan()
        if plan.silent:
            return
        if request is not None and plan.error_code is not None:
            answer = Answer(refusal(request, plan.error_code, plan.message))
        else:
            before = session.topics.copy()
            answer = session.answer(request)
            self._set_audience(peer, before, session.topics)
        nuls = plan.nuls + (self._nul_before_auth and operation == AUTHENTICATE)
        replies = (wire.NUL,) * nuls + (answer.text,) * plan.copies
        if plan.delay:
            self.later(plan.delay, lambda: self._reply(peer, replies, answer.snapshots))
        else:
            self._reply(peer, replies, answer.snapshots)

    def _reply(
        self, peer: Peer, replies: tuple[str | bytes, ...], snapshots: tuple[str, ...]
    ) -> None:
        """Send what a request has led to, if the client is still there. Requires the lock."""
        if peer not in self._sessions:
            return
        for reply in replies:
            self._send((peer,), reply)
        for topic in snapshots:
            self._send_snapshot(peer, topic)

    def _send_snapshot(self, peer: Peer, topic: str) -> None:
        """Send the full state of a topic's instrument, if there is one. Requires the lock."""
        instrument_id = wire.instrument_of(topic)
        if instrument_id is not None and self.market.knows(instrument_id):
            state = self.market.instrument(instrument_id, time.time_ns()).state
            self._send((peer,), self._envelope(topic, wire.SNAPSHOT, state))

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Have something done on the feed's thread after a delay in seconds, with the lock held."""
        with self.changed:
            self.agenda.add(time.monotonic() + delay, action)
            self.changed.notify_all()

    # Sending

    def _envelope(self, topic: str, message_type: str, content: Mapping[str, object]) -> str:
        """Write a message with an id of its own. Requires the lock."""
        return wire.envelope(
            topic, message_type, wire.compact(content), wire.new_uuid(self._random)
        )

    def _send(self, peers: tuple[Peer, ...], message: str | bytes) -> int:
        """Send to clients and count them, without those who are too slow. Requires the lock."""
        reached = 0
        for peer in peers:
            if peer.send(message):
                reached += 1
            else:
                self._forget(peer)
        return reached

    def _tell(self, topic: str, message_type: str, content: Mapping[str, object]) -> int:
        """Send a message to those who have subscribed to its topic. Requires the lock."""
        reached = len(self._audience.get(topic, ()))
        if reached:
            for text in self.board.passed(topic, self._envelope(topic, message_type, content)):
                reached = self.tell(topic, text)
        return reached

    def tell(self, topic: str, text: str) -> int:
        """Send text to those who have subscribed to a topic. Requires the lock."""
        return self._send(tuple(self._audience.get(topic, ())), text)

    def broadcast(self, message: str | bytes) -> int:
        """Send anything to all authenticated clients and count them."""
        with self.changed:
            peers = tuple(p for p, session in self._sessions.items() if session.authenticated)
            return self._send(peers, message)

    def publish(self, instrument_id: int, fields: Mapping[str, object], stamp: bool) -> int:
        """Merge and send one rate message; a stamp adds Date and PriceRateID where missing."""
        with self.changed:
            now = time.time_ns()
            instrument = self.market.instrument(instrument_id, now)
            if self.board.frozen(instrument_id):
                return 0
            content = {**fields}
            if stamp:
                content |= {k: v for k, v in instrument.stamp(now).items() if k not in fields}
            instrument.merge(content)
            return self._tell(wire.topic_of(instrument_id), wire.RATE, content)

    def set_active(self, instrument_id: int, active: bool, reason: str) -> int:
        """Open or close an instrument's market and say so."""
        with self.changed:
            content = self.market.instrument(instrument_id, time.time_ns()).set_active(
                active, reason
            )
            self._live = None
            self.changed.notify_all()
            return self._tell(wire.topic_of(instrument_id), wire.ACTIVE, content)

    def tell_order(
        self,
        order_id: int | None,
        instrument_id: int,
        units: float,
        status_id: int,
        fields: Mapping[str, object],
    ) -> dict[str, object]:
        """Send an order event to those who have subscribed to ``private``; give its content."""
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
            self._tell(wire.PRIVATE, wire.ORDER_UPDATE, content)
            return content

    # What the feed does by itself

    @property
    def live(self) -> list[int]:
        """Instruments that somebody has subscribed to and that are open. Requires the lock."""
        if self._live is None:
            ids = (wire.instrument_of(topic) for topic in self._audience)
            moving = (i for i in ids if i is not None and not self.board.frozen(i))
            self._live = self.market.active(moving)
        return self._live

    def tick(self) -> None:
        """Send the next rate message of some live instrument. Requires the lock."""
        live = self.live
        if live:
            instrument_id = live[int(self._random.random() * len(live))]
            content = self.market.delta(instrument_id, time.time_ns())
            self._tell(wire.topic_of(instrument_id), wire.RATE, content)

    def fill_something(self) -> None:
        """Send an order event about some live instrument. Requires the lock."""
        if wire.PRIVATE in self._audience:
            instrument_id = self._random.choice(self.live or [_DEFAULT_INSTRUMENT])
            self.tell_order(None, instrument_id, self._random.randint(1, 500) / 10, FILLED, {})

    # What faults do, with the lock held

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The clients, in the order in which they connected."""
        return tuple(self._sessions)

    def dismiss(self, peer: Peer) -> None:
        """Count a client as gone, and say nothing more to it."""
        self._forget(peer)
        self.changed.notify_all()

    def forget_topic(self, peer: Peer, topic: str) -> None:
        """Lose a client's subscription to a topic."""
        session = self._sessions[peer]
        before = session.topics.copy()
        session.topics.discard(topic)
        self._set_audience(peer, before, session.topics)

    def send_snapshots(self, peer: Peer, instrument_id: int | None) -> None:
        """Send the snapshots of one instrument or of all that a client has subscribed to."""
        topics = self._sessions[peer].topics
        wanted = topics if instrument_id is None else topics & {wire.topic_of(instrument_id)}
        for topic in sorted(wanted):
            self._send_snapshot(peer, topic)

    def faults_changed(self) -> None:
        """Look at the faults in force anew."""
        self._live = None
        self.on_faults()
        self.changed.notify_all()

    # What users see and do

    def clients(self) -> list[SimulatorClient]:
        """Describe the connected clients, in the order in which they connected."""
        with self.changed:
            return [
                SimulatorClient(p.id, s.authenticated, frozenset(s.topics), p.messages_sent)
                for p, s in self._sessions.items()
            ]

    def subscribed(self) -> frozenset[str]:
        """Give the topics of all clients together."""
        with self.changed:
            return frozenset(self._audience)

    def state(self, instrument_id: int) -> dict[str, str]:
        """Copy the full state of an instrument."""
        with self.changed:
            return dict(self.market.instrument(instrument_id, time.time_ns()).state)

    def part(self, farewell: Callable[[Peer], None]) -> int:
        """Part with all clients in the given way and count them."""
        with self.changed:
            peers = tuple(self._sessions)
            for peer in peers:
                farewell(peer)
                self._forget(peer)
            self.changed.notify_all()
            return len(peers)

    def sent(self) -> None:
        """Note that a message went out. Costs nothing while nobody waits for it."""
        if self._watchers:
            with self.changed:
                self.changed.notify_all()

    def wait_until(self, predicate: Callable[[], object], timeout: float) -> bool:
        """Wait for a condition, looking at it again after every change."""
        with self.changed:
            self._watchers += 1
            try:
                return bool(self.changed.wait_for(predicate, timeout))
            finally:
                self._watchers -= 1
