"""A client of eToro's protocol for tests, on the websockets library."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
from collections import deque
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from etoro_sync.simulator import EToroSimulator
from etoro_sync.simulator.transport import Transport

PATIENCE = 10  # seconds after which something that has to come is given up


@dataclass(frozen=True)
class Message:
    topic: str
    type: str
    content: dict[str, Any]
    id: str


def _tls_socket(sim: EToroSimulator, host: str) -> socket.socket:
    """
    Connect with TLS, by way of a transport that keeps the client's threads apart.

    Left alone, websockets reads and writes on two threads at once, and every few hundredth
    handshake hangs for it.
    """
    sock = socket.create_connection(("127.0.0.1", sim.port), PATIENCE)
    try:
        secure = sim.client_ssl_context().wrap_socket(sock, server_hostname=host)
    except OSError:
        sock.close()
        raise
    return cast(socket.socket, Transport(secure, PATIENCE, lambda transport: None))


class Client:
    """Sends requests and receives what comes, in order."""

    def __init__(self, sim: EToroSimulator, url: str = "", **options: Any) -> None:
        url = url or sim.url
        usual: dict[str, Any] = {"proxy": None, "compression": None, "ping_interval": None}
        usual |= {"max_queue": None, "close_timeout": 2}
        if sim.ca_pem:
            usual["sock"] = _tls_socket(sim, urlsplit(url).hostname or "")
        before = sim.connections
        # From 17.1 on, connect() warns unless it is used as a context manager.
        self.ws = connect(url.replace("wss:", "ws:"), **usual | options).__enter__()
        # The client has its handshake's answer a little before the simulator counts it in.
        sim.wait_until(lambda s: s.connections > before, timeout=PATIENCE)
        self._ids = itertools.count(1)
        self.waiting: deque[str | bytes] = deque()

    def receive(self) -> str | bytes:
        """Give the next thing that came."""
        return self.waiting.popleft() if self.waiting else self.ws.recv(timeout=PATIENCE)

    def reply(self) -> dict[str, Any]:
        """Give the next reply, keeping what came before it for later."""
        passed: list[str | bytes] = []
        while True:
            received = self.receive()
            if isinstance(received, str) and received.startswith("{"):
                parsed: dict[str, Any] = json.loads(received)
                if "success" in parsed:
                    self.waiting.extendleft(reversed(passed))
                    return parsed
            passed.append(received)

    def request(self, operation: str, **data: Any) -> dict[str, Any]:
        """Send a request and give its reply, which has to have its id."""
        request_id = str(next(self._ids))
        self.ws.send(json.dumps({"id": request_id, "operation": operation, "data": data}))
        reply = self.reply()
        assert reply["id"] == request_id
        assert reply["operation"] == operation
        return reply

    def authenticate(self, api_key: Any = "api", user_key: Any = "user") -> dict[str, Any]:
        return self.request("Authenticate", apiKey=api_key, userKey=user_key)

    def subscribe(self, *topics: str, snapshot: bool = False) -> dict[str, Any]:
        return self.request("Subscribe", topics=list(topics), snapshot=snapshot)

    def unsubscribe(self, *topics: str) -> dict[str, Any]:
        return self.request("Unsubscribe", topics=list(topics))

    def message(self) -> Message:
        """Give the next thing that came, which has to be an envelope with one message."""
        text = self.receive()
        assert isinstance(text, str)
        envelope = json.loads(text)
        assert envelope.keys() == {"messages"}
        (message,) = envelope["messages"]
        assert message.keys() == {"topic", "content", "id", "type"}
        return Message(**message | {"content": json.loads(message["content"])})

    def closed(self) -> ConnectionClosed:
        """Wait for the end of the connection and give what ended it."""
        try:
            while True:
                self.ws.recv(timeout=PATIENCE)
        except ConnectionClosed as closed:
            return closed

    def abandon(self) -> None:
        """End the connection whatever state it is in."""
        with contextlib.suppress(OSError):
            self.ws.socket.shutdown(socket.SHUT_RDWR)
        self.ws.close()


def was_reset(closed: ConnectionClosed) -> bool:
    """Say whether a connection ended with a TCP reset and without a close frame."""
    return closed.rcvd is None and isinstance(closed.__cause__, ConnectionResetError)
