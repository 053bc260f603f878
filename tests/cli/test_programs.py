"""Commands as programs: how they end, where their output goes, and what they say is missing."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import WsClient
from tests.support.clients import quick_options
from tests.support.processes import interruptible
from tests.support.timing import MS

# They start Python, which coverage does not see.
pytestmark = pytest.mark.heavy

#: How long a command may take to end, once it was told to.
PROMPT = 2000 * MS
#: For starting Python and doing little, where other tests want the processors, too.
ENOUGH = 20_000 * MS
MAKE = shutil.which("make")
POSIX = pytest.mark.skipif(os.name != "posix", reason="sends signals")


COMMANDS = [
    ["stream", "100000", "1001", "--private", "--demo"],
    ["stream", "--private", "--demo", "--json"],
    ["demo"],
    ["simulate", "--port", "0"],
]


@POSIX
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_ctrl_c_ends_each_command(arguments: list[str], spawn: Any) -> None:
    """Ctrl-C ends with 130, in time, without a word."""
    process = spawn("-m", "etoro_sync", *arguments)
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert process.wait(ENOUGH) == 130
    assert time.monotonic() - began < PROMPT
    assert process.stderr.read() == ""


@POSIX
def test_sigterm_ends_a_command(spawn: Any) -> None:
    """A service manager's signal ends with 143, in time, without a word."""
    process = spawn("-m", "etoro_sync", "demo")
    assert process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(PROMPT) == 143
    assert process.stderr.read() == ""


@POSIX
def test_ctrl_c_ends_a_command_whose_output_nobody_takes(spawn: Any) -> None:
    """Not even a pipe that is full holds up the end."""
    process = spawn("-m", "etoro_sync", "demo", "--rate", "20000", "--mix", "full")
    with contextlib.closing(process.stdout) as stdout:
        assert stdout.readline()
        # The second order event is in the pipe only when much of the feed has passed.
        while "order" not in stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(PROMPT) == 130


@POSIX
@pytest.mark.parametrize("arguments", [["demo"], ["demo", "--json"]], ids=" ".join)
def test_a_closed_pipe_ends_a_command_quietly(arguments: list[str], spawn: Any) -> None:
    """A reader such as head goes when it has enough, and that is no failure."""
    process = spawn("-m", "etoro_sync", *arguments)
    for _ in range(3):
        assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(ENOUGH) == 0
    assert process.stderr.read() == ""


@POSIX
@pytest.mark.parametrize("arguments", [["-h"], ["stream", "-h"], ["--version"]], ids=" ".join)
def test_help_that_nobody_reads_is_no_failure(arguments: list[str], spawn: Any) -> None:
    """A reader that has gone ends it as quietly as a command."""
    reader, writer = os.pipe()
    os.close(reader)
    process = spawn("-m", "etoro_sync", *arguments, stdout=writer)
    os.close(writer)
    assert process.wait(ENOUGH) == 0
    assert process.stderr.read() == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["-h"], ["--version"], ["demo"]], ids=" ".join)
def test_output_that_finds_no_room_is_one_line(arguments: list[str], spawn: Any) -> None:
    """Help is no exception: a full disk ends with 1, and with what the system says."""
    with open("/dev/full", "w") as full:
        process = spawn("-m", "etoro_sync", *arguments, stdout=full)
    assert process.wait(ENOUGH) == 1
    assert process.stderr.read() == f"etoro-sync: [Errno 28] {os.strerror(28)}\n"


@POSIX
def test_a_terminal_gets_a_live_table(spawn: Any) -> None:
    """On a terminal the table has the screen for itself, and stays after the end."""
    main, terminal = os.openpty()
    with os.fdopen(main, "rb", buffering=0) as screen:
        process = spawn("-m", "etoro_sync", "demo", "--orders", "0.1", stdout=terminal)
        os.close(terminal)
        drawn = _read_until(screen, b"filled")
        assert b"\x1b[?1049h" in drawn
        assert b"spread" in drawn
        process.send_signal(signal.SIGINT)
        left = _read_until(screen, None)
        assert process.wait(ENOUGH) == 130
    _, _, left = left.rpartition(b"\x1b[?1049l")
    assert b"66" in left
    assert b"order events" in left
    assert process.stderr.read() == ""


def _read_until(screen: io.FileIO, words: bytes | None) -> bytes:
    """Read up to some words, or all there is: a terminal without a writer is an error on Linux."""
    text = b""
    with contextlib.suppress(OSError):
        while words is None or words not in text:
            block = screen.read(65536)
            if not block:
                break
            text += block
    return text


@POSIX
@pytest.mark.skipif(MAKE is None, reason="needs make")
@pytest.mark.parametrize("interrupted", [True, False])
def test_ctrl_c_ends_make_demo_without_an_error(interrupted: bool, tmp_path: Path) -> None:
    """That is how a demonstration ends; a true failure is still one."""
    assert MAKE is not None
    (tmp_path / ".has-cli,simulator,speed").touch()
    seconds = [] if interrupted else ["SECONDS=nonsense"]
    # A make within a make says first which directory it enters, before there is a demonstration.
    outside = {name: v for name, v in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    with subprocess.Popen(
        interruptible(
            [MAKE, "demo", f"VENV={tmp_path}", f"BIN={Path(sys.executable).parent}", *seconds]
        ),
        env=outside,
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if interrupted:
            assert process.stdout.readline()
            os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C goes to the whole group
        try:
            words = process.stderr.read()
            code = process.wait(10)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if interrupted and "wait: No child processes" in words:
        # GNU make waits once too often if its child ends just as the signal comes to make itself.
        assert "Error" not in words
    elif interrupted:
        # make itself ends by the signal, as make does; nothing is said.
        assert (words, code) == ("", -signal.SIGINT)
    else:
        assert "Error 2" in words
        assert code == 2


def test_a_simulator_of_its_own_serves_clients(spawn: Any) -> None:
    """The first line tells the address, and each client that comes and goes has a line."""
    process = spawn("-m", "etoro_sync", "simulate", "--port", "0", "--orders", "0.1")
    url = process.stdout.readline().split()[-1]
    assert "any that are not empty" in process.stdout.readline()
    with WsClient(quick_options(url)) as client:
        orders = client.queue("private:event")
        client.subscribe(["private"])
        assert orders.get(timeout=5).order_id
        while "1 topic\n" not in process.stdout.readline():
            pass
    while "0 clients" not in process.stdout.readline():
        pass


# Extras that are not installed -----------------------------------------------------------------

_BLOCKED = """
import sys
for name in {names!r}:
    sys.modules[name] = None
from etoro_sync.__main__ import main
sys.argv[1:] = {arguments!r}
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("names", "arguments", "advice"),
    [
        (["typer"], ["demo"], 'pip install "etoro-sync[cli]"'),
        (["rich"], ["demo"], 'pip install "etoro-sync[cli]"'),
        (["websockets"], ["demo"], 'pip install "etoro-sync[simulator]"'),
        (["websockets"], ["stream", "1", "--demo"], 'pip install "etoro-sync[simulator]"'),
        (["websockets"], ["simulate"], 'pip install "etoro-sync[simulator]"'),
        (["trustme"], ["simulate", "--tls"], 'pip install "etoro-sync[simulator]"'),
    ],
)
def test_a_missing_extra_is_named(
    names: list[str], arguments: list[str], advice: str, spawn: Any
) -> None:
    """One line says what to install."""
    process = spawn("-c", _BLOCKED.format(names=names, arguments=arguments))
    out, err = process.communicate(timeout=ENOUGH)
    assert process.returncode == 2
    assert out == ""
    assert advice in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *(("typer", ["demo"]), ("rich", ["demo"]), ("websockets", ["demo"])),
        ("trustme", ["simulate", "--tls"]),
    ],
)
def test_a_file_that_has_the_name_of_an_extras_package_is_named(
    name: str, arguments: list[str], spawn: Any, tmp_path: Path
) -> None:
    """To install the extra, which is there, would change nothing."""
    (tmp_path / f"{name}.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    process = spawn("-c", code + _BLOCKED.format(names=[], arguments=arguments))
    err = process.communicate(timeout=ENOUGH)[1]
    assert process.returncode == 2
    assert f"{name}.py. If" in err
    assert "rename it; else" in err
    assert err.count("\n") == 1


def test_a_file_named_orjson_is_no_faster_parser(spawn: Any, tmp_path: Path) -> None:
    """The standard library's parser does the work, as without the extra."""
    (tmp_path / "orjson.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom etoro_sync import codec\n"
    out, err = spawn("-c", f"{code}print(codec.JSON_BACKEND)").communicate(timeout=ENOUGH)
    assert (out.strip(), err) == ("json", "")


def test_the_library_does_not_load_the_command_line(spawn: Any) -> None:
    """Programs that only use the library do not pay for typer and rich."""
    code = (
        "import sys, etoro_sync\n"
        "unwanted = ('typer', 'rich', 'websockets', 'etoro_sync.cli', 'etoro_sync.simulator')\n"
        "print([name for name in sys.modules if name.startswith(unwanted)])"
    )
    out, err = spawn("-W", "error", "-c", code).communicate(timeout=ENOUGH)
    assert (out.strip(), err) == ("[]", "")


@pytest.mark.parametrize("arguments", [["demo"], ["simulate", "--port", "0"]], ids=" ".join)
def test_a_command_without_output_runs_all_the_same(arguments: list[str], spawn: Any) -> None:
    """As under a supervisor that opens none: Python then has no stdout at all."""
    code = (
        "import sys; sys.stdout = None; from etoro_sync.cli import run; "
        f"sys.exit(run({[*arguments, '--seconds', '0.2']}))"
    )
    out, err = (process := spawn("-c", code)).communicate(timeout=ENOUGH)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_failure_that_nobody_can_be_told_has_its_exit_code(spawn: Any) -> None:
    """Without stderr, too."""
    code = "import sys; sys.stderr = None; from etoro_sync.cli import run; sys.exit(run(['x']))"
    out, _ = (process := spawn("-c", code)).communicate(timeout=ENOUGH)
    assert (process.returncode, out) == (2, "")
