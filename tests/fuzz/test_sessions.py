"""Whole clients against servers that authenticate them and then send what chance has made.

Nothing of it may be an internal error, keep a method from returning, or leave a thread; and each
connection that was opened is told to be closed.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from etoro_sync import EToroError
from tests.conftest import StartServer
from tests.fuzz.mutations import mutants
from tests.support.clients import Ear, make_client
from tests.support.frames import TEXT
from tests.support.peer import Peer
from tests.support.threads import assert_no_new_threads
from tests.support.timing import MS

SEEDS = Path(__file__).parent / "seeds"
SESSIONS = 12
CODES = ["", "", "", "SubscribeFailed", "TooManyRequests", "TopicAlreadySubscribed", "Odd"]


def seeds_of(*targets: str) -> list[bytes]:
    files = [path for name in targets for path in sorted((SEEDS / name).iterdir())]
    return [data for path in files if len(data := path.read_bytes()) < 4000]


def capricious(chance: random.Random) -> Callable[[Peer], None]:
    """A server that mixes answers, changed messages, changed frames, and ends of every kind."""
    texts = mutants(seeds_of("feed", "replies"), chance)
    frames = mutants(seeds_of("frames"), chance)

    def script(peer: Peer) -> None:
        peer.handshake()
        request = peer.read_json()
        if chance.random() < 0.9:
            peer.reply(request)
        for _ in range(chance.randint(1, 12)):
            match chance.choices(("text", "frames", "close", "reset", "answer"), (12, 3, 1, 1, 4)):
                case ["text"]:
                    for line in next(texts).split(b"\n"):
                        peer.send_frame(TEXT, line.replace(b"ID", request["id"].encode()))
                case ["frames"]:
                    peer.send(next(frames)[1:])
                case ["close"]:
                    peer.send_close(chance.choice([1000, 1001, 1013, 4001]), "so be it")
                    return
                case ["reset"]:
                    peer.reset()
                    return
                case _:
                    # There may be none, or a close frame in its place.
                    with contextlib.suppress(TimeoutError, ConnectionError):
                        request = peer.read_json(20 * MS)
                        peer.reply(request, chance.choice(CODES))
        peer.close()

    return script


@pytest.mark.parametrize("seed", range(4))
def test_a_capricious_server_finds_no_defect(
    raw_server: StartServer, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    """Every call ends, with a documented error if with one, and the session ends cleanly."""
    caplog.set_level(logging.CRITICAL)
    chance = random.Random(seed)
    server = raw_server(capricious(chance))
    for _ in range(SESSIONS):
        with assert_no_new_threads():
            session(server.url, wait=chance.random() < 0.5)


def session(url: str, wait: bool) -> None:
    client = make_client(
        url,
        reconnect_attempts=3,
        request_timeout=0.3,
        auth_timeout=0.3,
        heartbeat_interval=0.2,
        heartbeat_timeout=0.2,
        stale_after=0.1,
    )
    ear = Ear(client)
    events = client.queue("private:event")
    steps: list[Callable[[], object]] = [
        client.connect,
        lambda: client.subscribe([18, "private"], snapshot=True),
        lambda: client.unsubscribe([18], wait=False),
        lambda: client.subscribe([19, 20], wait=wait),
    ]
    errors: list[Exception] = []
    begun = time.monotonic()
    for step in steps:
        try:
            step()
        except EToroError as error:
            errors.append(error)
    assert time.monotonic() - begun < 10_000 * MS
    client.disconnect()
    assert not [error for error in errors + ear.of("error") if "Internal" in str(error)]
    assert events.received == events.delivered + events.dropped + events.qsize()
    if ear.names("open"):
        assert ear.names("open", "close") == ["open", "close"] * len(ear.names("open"))
