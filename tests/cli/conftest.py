"""Fixtures of the tests of the command line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.processes import interruptible

KEYS = {"ETORO_API_KEY": "demo", "ETORO_USER_KEY": "demo"}


@pytest.fixture(autouse=True)
def _in_this_process(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Keep commands from pytest's own stdout, handlers of signals, and the user's keys."""
    for name in ("ETORO_API_KEY", "ETORO_USER_KEY", "ETORO_WS_URL", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("ETORO_REST_URL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Whoever runs the tests in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def use(url: str) -> None:
        for name, value in {**KEYS, "ETORO_WS_URL": url}.items():
            monkeypatch.setenv(name, value)

    return use


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start commands as a shell would; one that a failed test leaves behind is killed."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, stdout: Any = subprocess.PIPE) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                interruptible([sys.executable, *arguments]),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "TERM": "xterm-256color"},
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stack.callback(stream.close)
            return process

        yield start
