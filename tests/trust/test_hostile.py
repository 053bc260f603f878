"""A server that wants to keep the client busy: the work has a bound, and the end stays bounded."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable

import pytest

from etoro_sync.redaction import Redactor
from etoro_sync.text import fit
from tests.conftest import StartServer
from tests.market.tools import Bench
from tests.support.clients import API_KEY, envelope, make_client
from tests.support.frames import BINARY, CONTINUATION, PING, TEXT, close_payload, frame
from tests.support.peer import Peer
from tests.support.raw_server import RawServer
from tests.support.threads import assert_no_new_descriptors, join_stragglers
from tests.support.timing import MS, Stopwatch

pytestmark = pytest.mark.heavy


class _Counting:
    """A redactor that counts how much text it has searched."""

    def __init__(self) -> None:
        self.characters = 0
        self._redact = Redactor([API_KEY])

    def __call__(self, text: str) -> str:
        self.characters += len(text)
        return self._redact(text)


@pytest.mark.parametrize("filling", ["x" * 100, "x" * 1_000_000])
def test_a_frame_of_bad_messages_is_searched_for_keys_once(
    caplog: pytest.LogCaptureFixture, filling: str
) -> None:
    """Not once for each message: 24 KB of them took the reader eight seconds."""
    caplog.set_level(logging.CRITICAL)
    redact = _Counting()
    bench = Bench(redact=redact).listen("error")
    for _ in range(2):
        bench.take(json.dumps({"messages": [{}] * 90, "x": filling}))
    assert bench.counters.bad_messages == bench.queues["error"].received == 180
    # Each error's own few words, and the beginning of each frame.
    assert redact.characters < 180 * 20 + 2 * 4096


def test_a_read_reports_a_hundred_bad_messages_and_counts_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A report takes thirty microseconds, and a read may bring twenty thousand of them."""
    caplog.set_level(logging.CRITICAL)
    bench = Bench().listen("error")
    bench.take(json.dumps({"messages": [{}] * 1000}))
    bench.take("not JSON")
    assert bench.counters.bad_messages == 1001
    assert bench.queues["error"].received == 101


@pytest.mark.parametrize("before", range(4050, 4101, 5))
def test_the_beginning_that_is_searched_may_end_within_a_key(before: int) -> None:
    """Neither the key nor a telling part of it is shown, wherever it is cut."""
    for filling in ("x", API_KEY, json.dumps(API_KEY)):
        text = (filling * before)[:before] + API_KEY * 50
        for limit in (120, 5000):
            shown = fit(text, Redactor([API_KEY]), limit)
            assert API_KEY[:8] not in shown
            assert len(shown) <= limit + 30
    assert fit("x" * 5000, str).endswith("... (5000 characters)")


def flood(*pieces: bytes) -> Callable[[Peer], None]:
    """Authenticate, then send the same without end, and read nothing."""

    def script(peer: Peer) -> None:
        peer.accept()
        while True:
            peer.send(b"".join(pieces))

    return script


BAD = json.dumps({"messages": [{}] * 1000}).encode()
REFUSAL = json.dumps({"success": False, "errorCode": "E", "errorMessage": "x" * 50_000}).encode()
FLOODS = {
    "bad messages": flood(frame(TEXT, BAD)),
    "not JSON": flood(frame(TEXT, b"x") * 500),
    "refusals": flood(frame(TEXT, REFUSAL)),
    "empty messages": flood(frame(TEXT) * 1000),
    "pings": flood(frame(PING, b"x" * 125) * 100),
    "binary": flood(frame(BINARY, b"\0") * 1000),
    "fragments": flood(frame(TEXT, fin=False), frame(CONTINUATION, fin=False) * 10_000),
    "order events": flood(frame(TEXT, envelope("private", {"OrderID": 1}).encode()) * 100),
    "invented topics": flood(frame(TEXT, envelope("what:ever", {}).encode()) * 100),
}
# Only the first flood of fragments begins a message; the next one would break the protocol.
FLOODS["fragments"] = lambda peer: (
    peer.handshake(),
    peer.authenticate(),
    peer.send_frame(TEXT, fin=False),
    flood_on(peer, frame(CONTINUATION, fin=False) * 1000),
)


def flood_on(peer: Peer, data: bytes) -> None:
    while True:
        peer.send(data)


@pytest.mark.parametrize("script", FLOODS.values(), ids=FLOODS)
def test_disconnect_is_bounded_in_any_flood(
    caplog: pytest.LogCaptureFixture, script: Callable[[Peer], object]
) -> None:
    """And leaves no thread and no descriptor, while callbacks and a queue are flooded too."""
    caplog.set_level(logging.CRITICAL)
    before_all = frozenset(threading.enumerate())
    with assert_no_new_descriptors(), RawServer(script) as server:
        client = make_client(server.url, close_timeout=0.2)
        client.on("error", lambda error: time.sleep(0.001))
        client.on("private:event", lambda event: time.sleep(0.001))
        client.on("unknown", lambda message: None)
        messages = client.queue("message", maxsize=100)
        client.connect()
        try:
            before = client.stats().bytes
            deadline = time.monotonic() + 15_000 * MS
            while client.stats().bytes < before + 200_000:
                assert time.monotonic() < deadline, "the flood does not flow"
                time.sleep(0.005)
        finally:
            watch = Stopwatch()
            client.disconnect()
            took = watch.seconds
        left = join_stragglers(before_all, prefix="etoro-sync", grace=500 * MS)
    assert messages.received == messages.dropped + messages.qsize()
    # Promised are 0.3 s; a busy machine may need more, but nothing like a flood's length.
    assert took < 2_000 * MS
    assert not left


def test_a_close_reason_of_a_flood_of_keys_is_short(raw_server: StartServer) -> None:
    """A reason may be 123 bytes long, all of them keys."""

    def script(peer: Peer) -> None:
        peer.accept()
        peer.wait(connected)
        peer.send_frame(8, close_payload(4000, (API_KEY * 9)[:123]))

    connected = threading.Event()
    client = make_client(raw_server(script).url, reconnect_attempts=0)
    closes = client.queue("close")
    client.connect()
    connected.set()
    code, reason = closes.get(timeout=5)
    assert (code, reason) == (4000, "***" * 6 + API_KEY[:3])
    client.disconnect()
