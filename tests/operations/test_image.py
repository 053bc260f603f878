"""The Dockerfile: what can be checked of it without Docker, by running what it would run."""

from __future__ import annotations

import fnmatch
import http.server
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from etoro_sync.simulator import EToroSimulator

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "examples" / "service.py"
PYTHON = "/opt/service/bin/python"
#: Instruction -> the text behind it, for each, in order.
Instructions = list[tuple[str, str]]


def instructions() -> Instructions:
    """Return the lines of the Dockerfile, continued ones joined, without comments."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\\\n\s*", "", text)
    return [
        (name, rest) for name, _, rest in (line.partition(" ") for line in text.split("\n")) if name
    ]


def all_of(name: str) -> list[str]:
    """Return the texts of all instructions of this name."""
    return [text for each, text in instructions() if each == name]


def environment() -> dict[str, str]:
    """Return what the image sets."""
    return dict(word.split("=", 1) for text in all_of("ENV") for word in shlex.split(text))


def command(text: str) -> list[str]:
    """Return a command in the form that no shell reads, with this Python."""
    words: list[str] = json.loads(text[text.index("[") :])
    assert words[0] == PYTHON
    return [sys.executable, *words[1:]]


def health_command() -> list[str]:
    """Return what Docker runs to see whether the container is healthy."""
    (text,) = all_of("HEALTHCHECK")
    return command(text.partition(" CMD ")[2])


def test_promise_14_no_key_gets_into_the_image() -> None:
    """Neither by an argument, nor by the environment, nor by a file that is copied."""
    assert all_of("ARG") == []
    assert not [name for name in environment() if "KEY" in name]
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    rules = [line for line in ignored if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = [rule[1:] for rule in rules if rule.startswith("!")]
    for path in (".env", ".git", ".venv", "keys.txt", "tests", "examples/keys.env"):
        assert not any(fnmatch.fnmatch(path, rule) for rule in let_in)
    for path in let_in:
        assert (ROOT / path).exists(), path


def test_the_service_is_not_root_and_gets_its_signals() -> None:
    """A shell as the first process would keep SIGTERM from it."""
    assert all_of("USER") == ["10001:10001"]
    assert all_of("STOPSIGNAL") == ["SIGTERM"]
    names = [name for name, _ in instructions()]
    assert names[-1] == "CMD"
    assert names.index("USER") > max(i for i, name in enumerate(names) if name == "RUN")
    assert set(names) <= {
        *("FROM", "COPY", "RUN", "ENV", "WORKDIR", "USER", "EXPOSE"),
        *("STOPSIGNAL", "HEALTHCHECK", "CMD"),
    }
    assert all_of("EXPOSE") == [environment()["METRICS_PORT"]]
    # Loopback would be that of the container; the host publishes the port only if it is told to.
    assert environment()["METRICS_HOST"] == "0.0.0.0"


def test_what_is_copied_is_let_in(tmp_path: Path) -> None:
    """And what pip needs to build the library is among it."""
    copied = [text.split()[:-1] for text in all_of("COPY") if not text.startswith("--from")]
    assert copied == [["."], ["examples/service.py"]]
    let_in = (ROOT / ".dockerignore").read_text().split("\n")
    manifest = (ROOT / "setup.cfg").read_text() + (ROOT / "setup.py").read_text()
    for needed in ("README.md", "LICENSE", "pytest_etoro_sync"):
        assert needed in manifest
        assert any(line.startswith(f"!{needed}") for line in let_in), needed
    (build,) = (text for text in all_of("RUN") if "pip" in text)
    assert '"/src[prometheus,speed]"' in build


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.timeout(60)
def test_the_container_s_commands_work(tmp_path: Path) -> None:
    """Its program serves; its health check sees that, and its end; SIGTERM ends it with 0."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    (tmp_path / "api_key").write_text("from a file\n")
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment()}
    own |= {"METRICS_PORT": str(port), "METRICS_HOST": "127.0.0.1", "XDG_CACHE_HOME": str(tmp_path)}
    # A proxy of the environment is not to be asked about this machine.
    own |= {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}

    def health() -> int:
        run = subprocess.run(
            health_command(), env=own, capture_output=True, timeout=20, check=False
        )
        return run.returncode

    assert health() == 1
    with EToroSimulator({100000: 66500.0, 1001: 227.5}, rate=20, api_key="from a file") as sim:
        keys = {"ETORO_API_KEY_FILE": str(tmp_path / "api_key"), "ETORO_USER_KEY": "b"}
        (program,) = all_of("CMD")
        words = [word.replace("/app/", f"{SERVICE.parent}/") for word in command(program)]
        process = subprocess.Popen(
            words,
            env=own | keys | {"ETORO_WS_URL": sim.url},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            deadline = time.monotonic() + 20
            while health() != 0:
                assert process.poll() is None
                assert time.monotonic() < deadline
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
            process.wait()
        assert (process.returncode, err) == (0, "")
        assert f"metrics at http://127.0.0.1:{port}/metrics" in out
    assert health() == 1


def test_the_health_check_refuses_any_other_answer() -> None:
    """503, as of a client that is not live, is 1, and Docker allows no other failure code."""

    class Unhealthy(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            assert self.path == "/healthz"
            self.send_response(503)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Unhealthy) as server:
        thread = threading.Thread(target=server.handle_request, name="unhealthy")
        thread.start()
        run = subprocess.run(
            health_command(),
            env={**os.environ, "METRICS_PORT": str(server.server_address[1])},
            timeout=20,
            check=False,
        )
        thread.join()
    assert run.returncode == 1


def test_keys_that_are_refused_are_final(tmp_path: Path) -> None:
    """Exit code 2, which the unit for systemd takes for "do not start again"."""
    with EToroSimulator(rate=0, api_key="the right one") as sim:
        done = subprocess.run(
            [sys.executable, str(SERVICE)],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "ETORO_API_KEY": "wrong",
                "ETORO_USER_KEY": "wrong",
                "ETORO_WS_URL": sim.url,
            },
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
