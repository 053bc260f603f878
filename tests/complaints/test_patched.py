"""Complaint 38's kind: gevent and eventlet replace threads and sockets under the library."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import MakeSimulator

pytestmark = pytest.mark.heavy

PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
CLIENT = """
import ssl, sys, time
context = ssl.create_default_context(cafile=sys.argv[2]) if sys.argv[2] else None
options = WsClientOptions("key", "key", sys.argv[1], proxy="", reconnect_delay=0.01,
                          close_timeout=0.5, ssl_context=context)
client, gaps = WsClient(options), []
client.on("reconnected", gaps.append)
rates = client.queue("instrument:rate")
client.subscribe([18], snapshot=True)
client.connect()
rates.get(timeout=10)
client.wait_for("instrument:rate", timeout=10)
print("ready", flush=True)
deadline = time.monotonic() + 15
while not gaps and time.monotonic() < deadline:
    time.sleep(0.01)
print(client.state.name, len(gaps))
client.disconnect()
"""


@pytest.mark.skipif(os.name != "posix", reason="their loops are those of POSIX systems")
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("library", PATCHES)
def test_complaint_38_a_patched_program_connects_waits_and_reconnects(
    simulator: MakeSimulator, tmp_path: Path, library: str, when: str, secure: bool
) -> None:
    """Patched before the library is imported, or behind it."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    sim = simulator(rate=50, tls=secure)
    authority = tmp_path / "ca.pem"
    authority.write_text(sim.ca_pem or "")
    lines = [PATCHES[library], "from etoro_sync import WsClient, WsClientOptions"]
    program = "\n".join([*(lines if when == "before" else lines[::-1]), textwrap.dedent(CLIENT)])
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, sim.url, str(authority) if secure else ""],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        sim.drop()
        stdout, stderr = process.communicate(timeout=30)
        assert stdout == "LIVE 1\n", stderr
    finally:
        process.kill()
        process.communicate()
