"""The unit and the reports, under a real systemd that runs for one test.

It is a manager of user services, which needs root and a mount namespace of its own here: it refuses
to run on a machine that was not booted with systemd, and looks for one folder to find that out.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from etoro_sync.simulator import EToroSimulator
from etoro_sync.systemd import make_unit

from .conftest import until

MANAGER = "/lib/systemd/systemd"
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(90),
    pytest.mark.skipif(
        sys.platform != "linux"
        or os.geteuid() != 0
        or not all(map(shutil.which, ("unshare", "systemctl", MANAGER))),
        reason="needs root and systemd (Debian: systemd)",
    ),
]
PROGRAM = """
import logging, os, sys, threading
from etoro_sync.operations import health
from etoro_sync.systemd import notify
from tests.support.clients import make_client

health.HUNG = 0.3

class Blocker(logging.Handler):
    def emit(self, record):
        if "Reconnecting" in record.getMessage():
            threading.Event().wait()

client = make_client(os.environ["ADDRESS"], reconnect_attempts=None, reconnect_max_delay=0.2)
with notify(client):
    client.subscribe([18, "private"], snapshot=True)
    client.connect(retry=True)
    if "hang" in sys.argv:
        logging.getLogger("etoro_sync").addHandler(Blocker())
    client.run_forever()
"""


class Systemd:
    """A manager of user services.

    :param folder: for its files; with a short path, since sockets are in it.
    """

    def __init__(self, folder: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        self.units = folder / "config" / "systemd" / "user"
        self.units.mkdir(parents=True)
        (folder / "run").mkdir()
        script = (
            f"mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec {MANAGER} --user"
        )
        self._process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        listening = folder / "run" / "systemd" / "private"
        with contextlib.suppress(AssertionError):
            until(lambda: self._process.poll() is not None or listening.exists(), 10)
        if self._process.poll() is not None or not listening.exists():
            self.stop()
            pytest.skip("systemd does not run here, as in some containers")

    def control(self, *arguments: str) -> str:
        """Call systemctl and return what it prints."""
        done = subprocess.run(
            ["systemctl", "--user", "--no-pager", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.stdout

    def show(self, name: str, field: str) -> str:
        """Return a property of a unit."""
        return self.control("show", name, f"--property={field}", "--value").strip()

    def stop(self) -> None:
        """End it, and all services with it."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    """Run systemd until the end of the test."""
    with tempfile.TemporaryDirectory(prefix="sd", ignore_cleanup_errors=True) as folder:
        manager = Systemd(Path(folder))
        try:
            yield manager
        finally:
            manager.stop()


def for_a_user(unit: str) -> str:
    """Leave out what only the manager of a machine may set, and shorten the watchdog's time."""
    names = "User|DynamicUser|CacheDir|StateDir|LimitCORE|UMask|NoNew|Capability"
    names += "|Protect|Private|Lock|Restrict[A-Z]|SystemCall|Wants|After"
    unit = re.sub(rf"^({names}).*\n", "", unit, flags=re.MULTILINE)
    path = f"Environment=PYTHONPATH={Path(__file__).parents[2]}\n[Install]"
    unit = unit.replace("WatchdogSec=30", "WatchdogSec=1").replace("[Install]", path)
    return unit.replace("RestartSec=5", "RestartSec=100ms")


def test_systemd_waits_watches_restarts_and_stops(systemd: Systemd, tmp_path: Path) -> None:
    """Started means that data has come; an outage is no fault, a thread that hangs is one."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    keys = tmp_path / "keys [1] %i\\*.env"
    keys.write_text(f"ADDRESS=ws://127.0.0.1:{port}/ws\n")
    for name, arguments in (("patient", []), ("hanging", ["hang"])):
        unit = make_unit(program, arguments, name=name, keys=keys)
        (systemd.units / f"{name}.service").write_text(for_a_user(unit))
    systemd.control("daemon-reload")

    def patient(field: str) -> str:
        return systemd.show("patient", field)

    def hanging(field: str) -> str:
        return systemd.show("hanging", field)

    systemd.control("start", "--no-block", "patient", "hanging")
    until(lambda: patient("StatusText") == "the client is reconnecting", 20)
    assert patient("ActiveState") == "activating"
    with contextlib.ExitStack() as stack:
        stack.enter_context(EToroSimulator({18: 4800.0}, rate=20, port=port))
        until(lambda: patient("ActiveState") == hanging("ActiveState") == "active", 20)
        until(lambda: patient("StatusText") == hanging("StatusText") == "live")
        first = patient("MainPID")
    # Both have lost their connection. One works on it, longer than the watchdog waits.
    until(lambda: hanging("NRestarts") == "1", 20)
    assert (patient("ActiveState"), patient("NRestarts")) == ("active", "0")
    assert (patient("MainPID"), patient("StatusText")) == (first, "the client is reconnecting")
    with EToroSimulator({18: 4800.0}, rate=20, port=port):
        until(lambda: patient("StatusText") == hanging("StatusText") == "live", 20)
        systemd.control("stop", "patient")
        assert patient("ActiveState") == "inactive"
        assert patient("Result") == "success"
