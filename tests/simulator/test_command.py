"""Scripts of faults on the command line."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from etoro_sync.cli.app import run

PATIENCE = 10


@pytest.mark.heavy
def test_a_script_plays_from_the_start_of_the_command(tmp_path: Path) -> None:
    """Clients in any language meet its faults."""
    path = tmp_path / "faults.json"
    path.write_text(json.dumps([[0, "http_status", {"status": 429}]]))
    command = [sys.executable, "-m", "etoro_sync", "simulate", "--port", "0", "--script", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = urlsplit(process.stdout.readline().split()[-1])
            answer = ""
            with socket.create_connection((url.hostname, url.port), PATIENCE) as sock:
                sock.sendall(
                    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                )
                answer = sock.recv(1000).decode()
            assert answer.startswith("HTTP/1.1 429 ")
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "Cannot read the script"),
        ("mute", "is not a JSON file"),
        ("[" * 100_000, "is not a JSON file"),
        ("[" * 100_000 + "]" * 100_000, "is not a JSON file"),
        (
            '[[0, "mutter"]]',
            "step 1 of the script: there is no fault 'mutter'; did you mean 'mute'",
        ),
        ("5", "a script must be a list of steps"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_script_that_is_none_is_one_line(
    content: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The simulator does not even start."""
    path = tmp_path / "faults.json"
    if content is not None:
        path.write_text(content)
    assert run(["simulate", "--port", "0", "--script", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
