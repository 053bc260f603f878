"""Autobahn's test cases for WebSocket clients, against this library's transport: ``make autobahn``.

Its server is written for Python 2.7, so one has to be there (PYTHON2=...); it is installed under
build/, and nothing else is touched. Each case is a conversation in which the client repeats what
it gets. Left out are binary messages, which eToro's client does not return (1.2, 9.2, 9.4, 9.6,
9.8), and compression, which it does not offer (12, 13).
"""

import argparse
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.transport import connection as transport
from etoro_sync.ws.transport.connection import Connection
from etoro_sync.ws.transport.dialer import Dialer, Target
from etoro_sync.ws.transport.handshake import open_websocket
from etoro_sync.ws.transport.waker import Waker

PLACE = Path(__file__).resolve().parents[2] / "build" / "autobahn"
SUITE = "autobahntestsuite"
LEFT_OUT = ["1.2.*", "9.2.*", "9.4.*", "9.6.*", "9.8.*", "12.*", "13.*"]
#: Where this client does on purpose what Autobahn would not.
ON_PURPOSE = {
    "2.10": "of several pings in one read the newest is answered, which RFC 6455, 5.5.3 allows",
    "2.11": "as 2.10",
    "7.5.1": "a close reason that is not UTF-8 does not cost the close code",
}
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}


def install(python2: str) -> None:
    """Install the suite for Python 2.7, once."""
    if (PLACE / ".complete").exists():
        return
    print("Installing Autobahn's test suite ...", file=sys.stderr, flush=True)
    pip = [python2, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", PLACE / "packages", SUITE], check=True)
    (PLACE / ".complete").touch()


def serve(python2: str) -> tuple["subprocess.Popen[bytes]", int]:
    """Start the server; return it and its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shutil.rmtree(PLACE / "reports", ignore_errors=True)
    specification = {
        "url": f"ws://127.0.0.1:{port}",
        "outdir": str(PLACE / "reports"),
        "cases": ["*"],
        "exclude-cases": LEFT_OUT,
        "exclude-agent-cases": {},
    }
    (PLACE / "server.json").write_text(json.dumps(specification))
    # Not PYTHONPATH: some of its packages are found by way of .pth files only.
    find = f"import site; site.addsitedir({str(PLACE / 'packages')!r})"
    code = f"{find}; from autobahntestsuite import wstest; wstest.run()"
    command = [python2, "-c", code, "-m", "fuzzingserver", "-s", PLACE / "server.json"]
    with open(PLACE / "server.log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=PLACE)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server, port
        time.sleep(0.1)
    server.kill()
    raise SystemExit(f"Autobahn's server did not start; see {PLACE / 'server.log'}")


def converse(url: str, repeat: bool) -> list[str]:
    """Do one conversation as the reader thread does it; return the messages."""
    waker = Waker()
    texts: list[str] = []
    try:
        dialer = Dialer(waker, time.monotonic() + 10)
        stream = dialer.open(Target.of(url), lambda: None)  # type: ignore[arg-type,return-value]
        early = open_websocket(url, stream, dialer, str)
        connection = Connection(
            stream,
            early,
            max_message_bytes=16 << 20,
            heartbeat_interval=0.0,
            heartbeat_timeout=10.0,
            redact=str,
        )
        try:
            _read(connection, texts, repeat)
        except ConnectionFailed:
            pass  # what Autobahn thinks of it is in its report
        finally:
            connection.dispose()
    finally:
        waker.close()
    return texts


def _read(connection: Connection, texts: list[str], repeat: bool) -> None:
    deadline = time.monotonic() + 60
    while connection.peer_close is None and time.monotonic() < deadline:
        found = connection.receive()
        if found is None:
            connection.check(time.monotonic())
            connection.wait(min(deadline, connection.next_check(time.monotonic())))
            continue
        texts += found
        for text in found if repeat else ():
            connection.send_text(text)
    connection.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python2", default="python2.7", help="a Python 2.7 with pip")
    python2 = parser.parse_args().python2
    install(python2)
    # A session's requests need 4 MiB at most; some cases repeat messages of 16 MiB.
    transport._MAX_UNSENT = 64 << 20
    server, port = serve(python2)
    try:
        (cases,) = converse(f"ws://127.0.0.1:{port}/getCaseCount", False)
        for case in range(1, int(cases) + 1):
            converse(f"ws://127.0.0.1:{port}/runCase?case={case}&agent=etoro_sync", True)
        converse(f"ws://127.0.0.1:{port}/updateReports?agent=etoro_sync", False)
    finally:
        server.terminate()
        server.wait()
    return report()


def report() -> int:
    """Print what is not well; return 1 if something is that should be."""
    results = json.loads((PLACE / "reports" / "index.json").read_text())["etoro_sync"]
    failed = {
        case: result
        for case, result in results.items()
        if not {result["behavior"], result["behaviorClose"]} <= GOOD
    }
    unexpected = sorted(set(failed) - set(ON_PURPOSE))
    print(f"{len(results)} cases, {len(results) - len(failed)} passed")
    for case in sorted(set(failed) & set(ON_PURPOSE)):
        print(f"  {case}: on purpose; {ON_PURPOSE[case]}")
    for case in unexpected:
        print(f"  {case}: {failed[case]['behavior']}, close {failed[case]['behaviorClose']}")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
