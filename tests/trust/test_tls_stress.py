"""One reader and many senders on one TLS connection: nothing is lost, and nothing ends too soon.

``make tls-stress`` does the same for longer, on every Python, beside the way that fails.
"""

from __future__ import annotations

import contextlib
import random
import ssl
import time
from collections.abc import Iterator

import pytest

from benchmarks.tls_echo import EchoServer
from benchmarks.tls_stress import Outcome, stress
from etoro_sync.simulator import EToroSimulator
from tests.support.amounts import amount
from tests.support.certificates import Certificates
from tests.support.clients import Ear, make_client
from tests.support.threads import assert_no_new_descriptors, run_in_thread

pytestmark = pytest.mark.heavy


@contextlib.contextmanager
def serving(server: EchoServer) -> Iterator[EchoServer]:
    running = run_in_thread(server.run)
    try:
        yield server
    finally:
        server.stop()
        running.result()


def test_many_senders_on_one_tls_connection(certificates: Certificates) -> None:
    """Whatever they post leaves and comes back unchanged, on the connection it began with."""
    outcome = Outcome()
    with assert_no_new_descriptors(), serving(EchoServer(certificates.server)) as server:
        stress(server.port, certificates.client, 2.0, outcome, senders=8)
    assert (outcome.connections, dict(outcome.deaths), outcome.broken) == (1, {}, 0)
    assert outcome.sends > 1000


class _Wrong(EchoServer):
    """Does to a few connections what a shared socket does to them."""

    def __init__(self, context: ssl.SSLContext, ends: str) -> None:
        super().__init__(context)
        self._ends = ends

    def _echo(self, sock: ssl.SSLSocket) -> None:
        sock.setblocking(True)
        data = sock.recv(65536)
        if self._ends == "changed":
            sock.sendall(b"?" + data[1:])
            sock.setblocking(False)
            super()._echo(sock)


@pytest.mark.parametrize("ends", ["early", "changed"])
def test_the_stress_notices_what_it_looks_for(certificates: Certificates, ends: str) -> None:
    """A connection that ends before its time, and bytes that come back changed, are counted."""
    outcome = Outcome()
    with serving(_Wrong(certificates.server, ends)) as server:
        stress(server.port, certificates.client, 0.2, outcome, senders=2)
    assert bool(outcome.deaths) is (ends == "early")
    assert bool(outcome.broken) is (ends == "changed")


@pytest.mark.long_form
def test_many_threads_subscribe_while_a_tls_feed_flows() -> None:
    """Through the public methods: one connection to the end, which carries what is wanted."""
    with EToroSimulator(tls=True, rate=amount(1500, 3000)) as simulator:
        client = make_client(simulator.url, ssl_context=simulator.client_ssl_context())
        ear = Ear(client)
        client.connect()
        client.subscribe([1001, "private"], snapshot=True)
        over = time.monotonic() + 2.0

        def change_minds(seed: int) -> int:
            chance = random.Random(seed)
            calls = 0
            # For two seconds, and longer where the machine has other work.
            while time.monotonic() < over or calls < 20:
                change = client.subscribe if chance.random() < 0.6 else client.unsubscribe
                # Some answers are awaited, or the requests would only pile up; and a thread that
                # never pauses leaves the reader no time on an old interpreter.
                change([1002 + chance.randrange(40)], wait=chance.random() < 0.3, timeout=20)
                calls += 1
                time.sleep(0.001)
            return calls

        threads = [run_in_thread(lambda seed=seed: change_minds(seed)) for seed in range(6)]
        assert sum(thread.result(20) for thread in threads) > 100
        client.subscribe([1100])
        assert client.stats().connections == 1
        assert ear.names("close", "reconnecting", "error") == []
        assert client.stats().rates > 1000
        simulator.wait_until(lambda s: s.subscribed == set(client.subscriptions))
        client.disconnect()
