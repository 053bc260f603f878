"""The commands for those who run a service, and metrics of the command that streams."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etoro_sync.cli import run
from etoro_sync.operations.dashboard import make_dashboard


def test_the_unit_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With absolute paths; options of the program are the program's."""
    program = tmp_path / "prices.py"
    program.write_text("")
    code = run(["unit", "--user", "ann", str(program), "--demo", "--name", "x", "-h"])
    out = capsys.readouterr().out
    assert code == 0
    command = f'ExecStart=:"{sys.executable}" "{program}" "--demo" "--name" "x" "-h"'
    assert command in out.splitlines()
    assert "User=ann" in out
    assert run(["unit", "--name", "p", "--keys", "/srv/keys", str(program)]) == 0
    assert "EnvironmentFile=/srv/keys\n" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nope.py"], [], ["--user", "a b", __file__]])
def test_a_wrong_unit_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """And the exit code of wrong usage."""
    assert run(["unit", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1


def test_the_dashboard_and_the_rules_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """To be put into a file."""
    assert run(["dashboard"]) == 0
    assert json.loads(capsys.readouterr().out) == make_dashboard()
    assert run(["alert-rules"]) == 0
    assert "alert: EToroSyncStale" in capsys.readouterr().out


def test_stream_serves_metrics(spawn: Callable[..., Any]) -> None:
    """While it streams."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    process = spawn(
        "-m", "etoro_sync", "stream", "18", "--demo", "--json", "--metrics-port", str(port)
    )
    assert process.stdout.readline()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert re.search(r'^etoro_sync_healthy\{client="default"\} 1\.0$', text, re.MULTILINE)
    process.terminate()
    assert process.wait(5) == 143
    assert process.stderr.read() == ""


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The stream ends, since whoever asked for metrics counts on them."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = str(sock.getsockname()[1])
        assert run(["stream", "18", "--demo", "--metrics-port", port]) == 1
    assert f"port {port}" in capsys.readouterr().err.splitlines()[-1]


def test_the_missing_extra_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what to install."""
    for name in [name for name in sys.modules if name.startswith("etoro_sync.operations")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "etoro_sync.metrics", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert run(["stream", "18", "--demo", "--metrics-port", "0"]) == 2
    assert "etoro-sync[prometheus]" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there is no systemd")
def test_stream_reports_to_systemd(
    tmp_path: Path, spawn: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a program of one's own."""
    name = f"\0etoro-sync-cli-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name)
        sock.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name[1:]}")
        process = spawn("-m", "etoro_sync", "stream", "18", "--demo", "--json")
        lines: list[str] = []
        while "READY=1" not in lines:
            lines += sock.recv(4096).decode().split("\n")
        process.terminate()
        while "STOPPING=1" not in lines:
            lines += sock.recv(4096).decode().split("\n")
        assert process.wait(5) == 143
