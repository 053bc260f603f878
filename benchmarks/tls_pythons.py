"""Both ways to use a TLS connection, on each supported CPython here: ``make tls-stress``.

It ends with 1 when the library's way has failed anywhere. The counter-example may fail.
"""

import argparse
import json
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.pythons import environment, pythons
from benchmarks.tls_shared_socket import shared_socket
from benchmarks.tls_stress import Outcome, stress

_ROOT = Path(__file__).resolve().parents[1]
_WAYS = {"reader and outbox": stress, "shared socket": shared_socket}


def certificates(place: Path) -> tuple[Path, Path]:
    """Write a server's certificate with its key, and the authority's."""
    import trustme

    authority = trustme.CA()
    server, trusted = place / "server.pem", place / "authority.pem"
    leaf = authority.issue_cert("localhost")
    server.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    trusted.write_bytes(authority.cert_pem.bytes())
    return server, trusted


def measure(python: Path, way: str, seconds: float, server: Path, trusted: Path) -> dict[str, Any]:
    """Run one way in an interpreter of its own, against a server in another one."""
    echo = [python, _ROOT / "benchmarks" / "tls_echo.py", server]
    with subprocess.Popen(echo, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None
        port = peer.stdout.readline().strip()
        command = [python, __file__, "--way", way, "--seconds", str(seconds)]
        done = subprocess.run(
            [*command, "--port", port, "--authority", trusted], capture_output=True, text=True
        )
        peer.stdin.close()
    # The last whole line: an interpreter that crashes may leave half of one behind it.
    reports = [line for line in done.stdout.splitlines() if line.endswith("}")]
    seen: dict[str, Any] = json.loads(reports[-1]) if reports else vars(Outcome())
    if done.returncode:
        # Two threads in OpenSSL may do that as well.
        last = (done.stderr.strip().splitlines() or [""])[-1]
        end = f"the interpreter ended with {done.returncode} {last}".strip()
        seen["deaths"] = {**seen["deaths"], end: 1}
    return seen


def show_all(seconds: float) -> int:
    """Print one line for each Python and way; return how often the library's way has failed."""
    failures = 0
    print("| CPython | way | sends | MB back | connections | spurious ends |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        server, trusted = certificates(Path(place))
        for version, python in pythons():
            inside = environment(version, python)
            for way in _WAYS:
                seen = measure(inside, way, seconds, server, trusted)
                ends = sum(seen["deaths"].values())
                how = "".join(f"; {count} x {words}" for words, count in seen["deaths"].items())
                print(
                    f"| {version} | {way} | {seen['sends']:,} | "
                    f"{seen['received'] / 1e6:.0f} | {seen['connections']} | {ends}{how} |",
                    flush=True,
                )
                if way == "reader and outbox":
                    failures += ends + seen["broken"] + (seen["sends"] == 0)
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="for each Python and way")
    parser.add_argument("--way", choices=_WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--authority", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way is None:
        return 1 if show_all(options.seconds) else 0
    context = ssl.create_default_context(cafile=options.authority)
    outcome = Outcome()
    threading.Thread(target=report_on, args=(outcome,), daemon=True).start()
    _WAYS[options.way](options.port, context, options.seconds, outcome)
    print(json.dumps(vars(outcome)))
    return 0


def report_on(outcome: Outcome) -> None:
    """Print what was seen so far now and then, for the interpreter may not live to the end."""
    while True:
        time.sleep(0.2)
        sys.stdout.write(json.dumps(vars(outcome)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
