"""The feed server, a process of its own: sends frames that were made beforehand.

Controlled by lines of JSON: a scenario on standard input, then what was prepared and, after the
connection, what was sent, on standard output.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from functools import cache, lru_cache
from typing import Any

from . import feeds, wire

__all__ = ["STAMP_WRAP", "main"]

#: Times travel as 12 digits of nanoseconds, so they start anew every 1,000 seconds.
STAMP_WRAP = 10**12
_BLOCK = 20_000
_SPIN_NS = 150_000
_SETTLE_SECONDS = 0.5


@lru_cache(maxsize=32)
def _block(mix: str, count: int, instruments: int) -> feeds.Block:
    return feeds.build(mix, count, instruments)


@cache
def _snapshot(topic: str) -> bytes:
    return feeds.snapshot(int(topic.partition(":")[2]))


class _Job:
    """One scenario: what is sent, and what became of it."""

    def __init__(self, scenario: feeds.Scenario) -> None:
        self.scenario = scenario
        size = min(scenario.messages, max(_BLOCK, 2 * scenario.instruments))
        self.block = _block(scenario.mix, size, scenario.instruments)
        self.repeats = max(1, round(scenario.messages / size))
        self._joined = b"".join(self.block.frames) if not scenario.rate else b""
        self.report: dict[str, Any] = {}

    def plan(self) -> dict[str, Any]:
        """What a client can expect."""
        shapes = {shape: n * self.repeats for shape, n in self.block.shapes.items()}
        return {
            "messages": len(self.block.frames) * self.repeats,
            "price_changes": self.block.price_changes * self.repeats,
            "shapes": shapes,
            "rate": self.scenario.rate,
            "bytes": sum(map(len, self.block.frames)) * self.repeats,
        }

    def send(self, sock: socket.socket) -> None:
        """Send everything between the two markers."""
        if self.scenario.rate:
            # The client is to be idle, with the snapshots behind it, when the first one comes.
            time.sleep(_SETTLE_SECONDS)
        sock.sendall(feeds.marker(feeds.MARKER_START))
        began = time.perf_counter()
        if self.scenario.rate:
            self._send_paced(sock)
        else:
            for _ in range(self.repeats):
                sock.sendall(self._joined)
        self.report = {**self.report, "seconds": time.perf_counter() - began}
        if self.scenario.act == "drop":
            self.report["dropped_at"] = time.perf_counter_ns()
        else:
            sock.sendall(feeds.marker(feeds.MARKER_END))

    def _send_paced(self, sock: socket.socket) -> None:
        """Send each message at its time, with that time in its PriceRateID."""
        frames = [_stampable(frame) for frame in self.block.frames]
        interval = 1e9 / self.scenario.rate
        late, clock, spin = [], time.perf_counter_ns, _may_spin()
        orders = self.scenario.orders
        between = round(self.scenario.rate / orders) if orders else 0
        start = clock() + 1_000_000
        for number in range(len(frames) * self.repeats):
            frame, at = frames[number % len(frames)]
            due = start + round(number * interval)
            while (now := clock()) < due:
                if not spin or due - now > 2 * _SPIN_NS:
                    time.sleep(max(due - now - _SPIN_NS * spin, 0) / 1e9)
            late.append(now - due)
            frame[at : at + 12] = b"%012d" % (now % STAMP_WRAP)
            sock.sendall(frame)
            if between and number % between == between - 1:
                sock.sendall(feeds.order(clock()))
        late.sort()
        self.report = {"late_p99_us": late[int(len(late) * 0.99)] / 1000}


def _may_spin() -> bool:
    """Whether to wait for the exact moment in a loop: not where the client needs this core."""
    return (os.cpu_count() or 1) > 1


def _stampable(frame: bytes) -> tuple[bytearray, int]:
    key = b'PriceRateID\\":\\"'
    return bytearray(frame), frame.index(key) + len(key)


class _Connection:
    """Speaks eToro's protocol as far as clients need it, then feeds."""

    def __init__(self, sock: socket.socket, job: _Job) -> None:
        self._sock = sock
        self._job = job
        self._frames = wire.read_frames(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)

    def greet(self) -> None:
        """Shake hands, and acknowledge until all instruments are subscribed to."""
        wire.accept(self._sock)
        missing = self._job.scenario.instruments
        while missing > 0:
            opcode, payload = next(self._frames, (wire.CLOSE, b""))
            if opcode == wire.CLOSE:
                raise ConnectionError("the client left before it had subscribed")
            if opcode == wire.TEXT:
                missing -= self._answer(json.loads(payload))

    def _answer(self, request: dict[str, Any]) -> int:
        ack = {"id": request["id"], "success": True, "operation": request["operation"]}
        parts = [wire.frame(json.dumps(ack).encode())]
        topics = [name for name in request["data"].get("topics", []) if name != "private"]
        if request["data"].get("snapshot"):
            parts += [_snapshot(topic) for topic in topics]
        self._sock.sendall(b"".join(parts))
        return len(topics)

    def finish(self) -> None:
        """Wait until the client has left."""
        for opcode, payload in self._frames:
            if opcode == wire.CLOSE:
                self._sock.sendall(wire.frame(payload, wire.CLOSE))
                return


def _serve(listener: socket.socket, job: _Job) -> None:
    """Live through the connections of one client."""
    lost_at = 0
    if job.scenario.act == "reset":
        sock, _ = listener.accept()
        with sock:
            _Connection(sock, job).greet()
            sock.sendall(feeds.marker(feeds.MARKER_START))
            time.sleep(0.2)
            lost_at = time.perf_counter_ns()
    sock, _ = listener.accept()
    with sock, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        connection = _Connection(sock, job)
        connection.greet()
        if job.scenario.act == "silent":
            sock.sendall(feeds.marker(feeds.MARKER_START))
            # As long as a client may wait for an answer that never comes.
            while sock.recv(65536):
                pass
        elif job.scenario.act == "reset":
            sock.sendall(feeds.marker(feeds.MARKER_END, lost_at % STAMP_WRAP))
            connection.finish()
        else:
            job.send(sock)
            if job.scenario.act != "drop":
                connection.finish()


def main() -> None:
    # Ctrl-C is the runner's business; when that ends, there is nothing more to read here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(0, cores[:1])
    for line in sys.stdin:
        job = _Job(feeds.Scenario(**json.loads(line)))
        # A port for each job: what a client that failed has left behind meets nobody.
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(60)
            plan = {"port": listener.getsockname()[1], **job.plan()}
            print(json.dumps(plan), flush=True)
            try:
                _serve(listener, job)
            except (OSError, ConnectionError) as exc:
                job.report = {"error": str(exc)}
        print(json.dumps(job.report), flush=True)


if __name__ == "__main__":
    main()
