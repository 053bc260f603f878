"""Promises 1, 2, 8 and 15 for a process that was stopped, and for a machine that slept."""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.support.certificates import Certificates
from tests.support.clients import envelope
from tests.support.peer import Peer
from tests.support.standstill import Program, needs_stop

PRICE = {"Ask": "2", "Bid": "1"}
#: What a stopped program's timeouts are, and how long it is stopped then.
TIMEOUT, STOP = 0.5, 0.9

TICKING = """
client.on("stale", lambda instrument_id, age: tell("stale", instrument_id))
client.subscribe(range(1, 302))
rates = client.queue("instrument:rate")
client.connect()
seen = set()
while len(seen) < 300:
    seen.add(rates.get(timeout=20)[0])
tell("live")
for instrument_id, rate in rates:
    pass
"""


@needs_stop
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_promise_1_a_process_that_was_stopped_takes_nothing_for_stale_that_went_on(
    raw_server: StartServer, certificates: Certificates, tls: bool
) -> None:
    """Of 300 instruments that tick meanwhile, and one that does not, it names that one alone."""

    def ticking(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.acknowledge()
        while True:
            for instrument_id in range(1, 301):
                peer.send_text(envelope(f"instrument:{instrument_id}", PRICE))
            peer.pause(0.1)

    server = raw_server(ticking, certificates.server if tls else None)
    authority = certificates.authority_pem().decode() if tls else ""
    with Program(server.url, TICKING, authority, stale_after=1.5) as program:
        assert program.told() == ["live"]
        with program.stopped(2.2):
            pass
        assert program.told() == ["stale", 301]
        server.peers[0].pause(0.7)  # more than a quarter of stale_after
        assert program.told_until_end() == []
