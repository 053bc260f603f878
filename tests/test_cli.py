"""The command line: what it shows, and how it ends."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import xml.dom.minidom
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import etoro_sync.__main__
from etoro_sync import (
    EToroAuthError,
    EToroQueueOverflowError,
    EToroValidationError,
    EToroWebSocketError,
    WsClient,
    WsClientOptions,
    WsGap,
    WsInstrumentRate,
    WsPrivateEvent,
    clocks,
)
from etoro_sync.cli import app, ending, lines, run, screens, simulating, streaming
from etoro_sync.cli.ending import CommandError, carry_out
from etoro_sync.cli.inbox import Inbox
from etoro_sync.cli.log_collector import LogCollector
from etoro_sync.cli.streaming import StreamSettings
from etoro_sync.cli.table import dashboard
from etoro_sync.cli.table_contents import TableContents
from etoro_sync.simulator import EToroSimulator
from tests.support.clients import quick_options
from tests.support.processes import interruptible
from tests.support.threads import run_in_thread
from tests.support.timing import MS

KEYS = {"ETORO_API_KEY": "demo", "ETORO_USER_KEY": "demo"}
#: How long a command may take to end, once it was told to.
PROMPT = 2000 * MS
MAKE = shutil.which("make")
POSIX = pytest.mark.skipif(os.name != "posix", reason="sends signals")


@pytest.fixture(autouse=True)
def _in_this_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """Keep commands from pytest's own stdout, handlers of signals, and the user's keys."""
    for name in ("ETORO_API_KEY", "ETORO_USER_KEY", "ETORO_WS_URL", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
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


# Real processes --------------------------------------------------------------------------------


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
    assert process.wait(5) == 130
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
    assert process.wait(5) == 0
    assert process.stderr.read() == ""


@POSIX
@pytest.mark.parametrize("arguments", [["-h"], ["stream", "-h"], ["--version"]], ids=" ".join)
def test_help_that_nobody_reads_is_no_failure(arguments: list[str], spawn: Any) -> None:
    """A reader that has gone ends it as quietly as a command."""
    reader, writer = os.pipe()
    os.close(reader)
    process = spawn("-m", "etoro_sync", *arguments, stdout=writer)
    os.close(writer)
    assert process.wait(5) == 0
    assert process.stderr.read() == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["-h"], ["--version"], ["demo"]], ids=" ".join)
def test_output_that_finds_no_room_is_one_line(arguments: list[str], spawn: Any) -> None:
    """Help is no exception: a full disk ends with 1, and with what the system says."""
    with open("/dev/full", "w") as full:
        process = spawn("-m", "etoro_sync", *arguments, stdout=full)
    assert process.wait(5) == 1
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
        assert process.wait(5) == 130
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
    (tmp_path / ".has-all").touch()
    seconds = [] if interrupted else ["SECONDS=nonsense"]
    # A make within a make says first which directory it enters, before there is a demonstration.
    outside = {name: v for name, v in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    with subprocess.Popen(
        interruptible(
            [MAKE, "demo", f"VENV={tmp_path}", f"BIN={Path(sys.executable).parent}", *seconds]
        ),
        env=outside,
        cwd=Path(__file__).parents[1],
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
    if interrupted:
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
    out, err = process.communicate(timeout=10)
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
    err = process.communicate(timeout=10)[1]
    assert process.returncode == 2
    assert f"{name}.py. If" in err
    assert "rename it; else" in err
    assert err.count("\n") == 1


def test_a_file_named_orjson_is_no_faster_parser(spawn: Any, tmp_path: Path) -> None:
    """The standard library's parser does the work, as without the extra."""
    (tmp_path / "orjson.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom etoro_sync import codec\n"
    out, err = spawn("-c", f"{code}print(codec.JSON_BACKEND)").communicate(timeout=10)
    assert (out.strip(), err) == ("json", "")


def test_the_library_does_not_load_the_command_line(spawn: Any) -> None:
    """Programs that only use the library do not pay for typer and rich."""
    code = (
        "import sys, etoro_sync\n"
        "unwanted = ('typer', 'rich', 'websockets', 'etoro_sync.cli', 'etoro_sync.simulator')\n"
        "print([name for name in sys.modules if name.startswith(unwanted)])"
    )
    out, err = spawn("-W", "error", "-c", code).communicate(timeout=10)
    assert (out.strip(), err) == ("[]", "")


def _forget_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("etoro_sync.cli")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(etoro_sync, "cli", raising=False)


def test_main_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without typer the command says what to install."""
    _forget_the_command_line(monkeypatch)
    monkeypatch.setitem(sys.modules, "typer", None)
    assert etoro_sync.__main__.main() == 2
    assert "etoro-sync[cli]" in capsys.readouterr().err


def test_main_does_not_blame_the_extra_for_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that fails for another reason is not mistaken for a missing extra."""
    _forget_the_command_line(monkeypatch)
    monkeypatch.setitem(sys.modules, "etoro_sync.cli", None)
    with pytest.raises(ImportError):
        etoro_sync.__main__.main()


def test_main_ends_quietly_when_interrupted_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while modules are still being loaded is no traceback either."""

    class Impatient(SimpleNamespace):
        def __getattr__(self, name: str) -> Any:
            raise KeyboardInterrupt

    _forget_the_command_line(monkeypatch)
    monkeypatch.setitem(sys.modules, "etoro_sync.cli", Impatient())
    assert etoro_sync.__main__.main() == 130


def test_main_runs_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The entry point takes its arguments from the command line."""
    monkeypatch.setattr(sys, "argv", ["etoro-sync", "--version"])
    assert etoro_sync.__main__.main() == 0
    assert capsys.readouterr().out == f"etoro-sync {etoro_sync.__version__}\n"


# Exit codes and messages -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stream"], "Name at least one instrument"),
        (["stream", "bitcoin"], "not 'bitcoin'"),
        (["stream", "1001.0"], "not '1001.0'"),
        (["stream", "0"], "greater than 0"),
        (["stream", "100000"], "ETORO_API_KEY"),
        (["stream", "100000", "--nonsense"], "--nonsense"),
        (["stream", "100000", "--seconds", "nan"], "greater than 0"),
        (["stream", "100000", "--seconds", "0"], "greater than 0"),
        (["stream", str(10**20)], "whole number"),
        (["nonsense"], "nonsense"),
        (["demo", "--mix", "nonsense"], "mix must be one of"),
        (["demo", "--rate", "-1"], "rate must be"),
        (["simulate", "--host", "0.0.0.0"], "loopback"),
        (["simulate", "--port", "99999"], "port must be"),
        (["simulate", "--api-key", ""], "api_key must not be empty"),
        (["simulate", "--ca-file", "ca.pem"], "Without --tls"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be done ends with 2, and a line that says why."""
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.startswith("etoro-sync: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [("No such command.", "No such command. See"), ("Did you mean 'x'?", "Did you mean 'x'? See")],
)
def test_the_words_of_the_parser_stay_sentences(
    words: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some of its versions end with a question."""

    class WrongUsage(Exception):
        def format_message(self) -> str:
            return words

    def parse(*args: object, **kwargs: object) -> None:
        raise WrongUsage

    monkeypatch.setattr(app, "app", parse)
    assert run(["demo"]) == 2
    assert capsys.readouterr().err == f"etoro-sync: {line} etoro-sync --help.\n"


def test_rejected_keys_are_one_line(
    keys: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys that eToro does not accept end with 2; the log does not say it again.

    But for what was sent and received, at its lowest level.
    """
    with EToroSimulator(api_key="another") as simulator:
        keys(simulator.url)
        assert run(["stream", "100000", "--verbose"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = (line for line in err.splitlines() if not line.startswith("debug: "))
    assert "InvalidKey" in line
    assert err.count("\n") == 3


def test_an_unreachable_server_is_one_line(
    keys: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that fails ends with 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        keys(f"ws://127.0.0.1:{taken.getsockname()[1]}/ws")
        assert run(["stream", "100000"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "refused" in err
    assert err.count("\n") == 1


def test_a_refused_subscription_is_one_line(
    keys: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Topics that eToro refuses end with 1."""
    with EToroSimulator(max_topics=1) as simulator:
        keys(simulator.url)
        assert run(["stream", "100000", "1001"]) == 1
    assert "Too many subscriptions" in capsys.readouterr().err


def test_a_lack_of_threads_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a container has a limit."""

    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    assert run(["demo", "--seconds", "1"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "can't start new thread. Raise the limit of processes" in line


def test_a_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A simulator that cannot listen ends with 1 and names the port."""
    with EToroSimulator() as simulator:
        assert run(["simulate", "--port", str(simulator.port)]) == 1
        out, err = capsys.readouterr()
        assert f"port {simulator.port}" in err
    assert out == ""
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--help"], ["stream", "-h"]], ids=str)
def test_help_is_no_failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command, too, the help is shown."""
    assert run(arguments) == 0
    out, err = capsys.readouterr()
    assert "Usage" in out
    assert err == ""


def test_an_interrupted_parser_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C before the command has begun is like Ctrl-C later."""

    def interrupted(*args: object, **kwargs: object) -> None:
        raise app.typer.Abort

    monkeypatch.setattr(app, "app", interrupted)
    assert run(["demo"]) == 130


def test_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody has thought of keeps its traceback."""

    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(app, "app", broken)
    with pytest.raises(ZeroDivisionError):
        run(["demo"])


def test_an_exit_that_has_nothing_to_do_with_the_output_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only a reader that has gone is taken for no failure."""

    def leave(*args: object, **kwargs: object) -> None:
        raise SystemExit(3)

    monkeypatch.setattr(app, "app", leave)
    with pytest.raises(SystemExit, match="3"):
        run(["demo"])


def _raise(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandError("x"), 2),
        (EToroAuthError("x"), 2),
        (EToroValidationError("x"), 2),
        (EToroWebSocketError("x"), 1),
        (OSError(5, "x"), 1),
        (BrokenPipeError(), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_failure_has_its_exit_code(error: Exception, code: int) -> None:
    """2 is the user's to mend, 1 is the world's."""
    assert carry_out(_raise(error)) == code


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_work_and_is_then_ignored(number: signal.Signals) -> None:
    """A second Ctrl-C cannot turn a clean end into a traceback."""

    def work() -> None:
        signal.raise_signal(number)
        raise AssertionError("the signal did not end the work")

    assert carry_out(work) == 128 + number
    signal.raise_signal(number)


def test_work_without_signals_restores_the_handlers() -> None:
    """Somebody else's handlers are only borrowed."""
    before = signal.getsignal(signal.SIGINT)
    assert carry_out(lambda: None) == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """A shell's background job is not ended by a Ctrl-C that is meant for another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert carry_out(lambda: signal.raise_signal(signal.SIGINT)) == 0
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_work_may_run_outside_the_main_thread() -> None:
    """Where no handler can be installed, none is."""
    assert run_in_thread(lambda: carry_out(lambda: None)).result() == 0


def test_what_nobody_reads_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a closed pipe has left in the buffer does not fail again at the interpreter's exit."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        stdout.write("left over")
        os.close(reading)
        assert carry_out(_raise(BrokenPipeError())) == 0
        stdout.flush()


def test_a_complaint_that_nobody_can_read_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed stderr does not matter."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    ending.print_error("x")


# Streams in this process -----------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["demo"], ["simulate", "--port", "0"]], ids=" ".join)
def test_a_command_without_output_runs_all_the_same(arguments: list[str], spawn: Any) -> None:
    """As under a supervisor that opens none: Python then has no stdout at all."""
    code = (
        "import sys; sys.stdout = None; from etoro_sync.cli import run; "
        f"sys.exit(run({[*arguments, '--seconds', '0.2']}))"
    )
    out, err = (process := spawn("-c", code)).communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_failure_that_nobody_can_be_told_has_its_exit_code(spawn: Any) -> None:
    """Without stderr, too."""
    code = "import sys; sys.stderr = None; from etoro_sync.cli import run; sys.exit(run(['x']))"
    out, _ = (process := spawn("-c", code)).communicate(timeout=10)
    assert (process.returncode, out) == (2, "")


def test_a_terminal_that_lacks_a_character_gets_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The character becomes a question mark, and not a traceback."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(["demo", "--seconds", "0.3"]) == 0
    terminal.flush()
    assert b"? " in terminal.buffer.getvalue()  # type: ignore[attr-defined]


def test_a_pipe_gets_a_line_per_event(capsys: pytest.CaptureFixture[str]) -> None:
    """Rates and order events are lines that begin with the time."""
    assert run(["demo", "--seconds", "0.6", "--orders", "0.1"]) == 0
    out, err = capsys.readouterr()
    assert re.search(
        r"^\d\d:\d\d:\d\d\.\d{3}  instrument 1001  bid \d+\.\d\d  ask \d+\.\d\d  spread \d",
        out,
        re.M,
    )
    assert re.search(
        r"^\S+  order \d+  instrument \d+  filled  units \S+ of \S+  profit ", out, re.M
    )
    assert err == ""


def test_json_is_one_object_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get rates and order events in one format."""
    arguments = ["stream", "5", "5", "1001", "--private", "--demo", "--json", "--seconds", "1.5"]
    assert run(arguments) == 0
    items = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rates = [item for item in items if item["event"] == "instrument:rate"]
    orders = [item for item in items if item["event"] == "private:event"]
    assert {item["instrument_id"] for item in rates} == {5, 1001}
    assert all(item["ask"] > item["bid"] and item["generation"] == 1 for item in rates)
    assert all(item["order_id"] and item["status_id"] == 3 for item in orders)
    assert orders


def test_keys_from_the_environment_are_used(
    keys: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --demo the address and the keys are those of the environment."""
    with EToroSimulator(api_key="demo", user_key="demo") as simulator:
        keys(simulator.url)
        assert run(["stream", "1001", "--seconds", "0.3", "--verbose"]) == 0
    out, err = capsys.readouterr()
    assert "instrument 1001" in out
    assert "Authenticated" in err


def test_a_lost_connection_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """The lines on stdout are data only; the reconnection is told beside them."""
    settings = StreamSettings((1001,), seconds=10)
    screen = screens.LineScreen(as_json=False)
    heard = io.StringIO()

    def enough() -> bool:
        heard.write(capsys.readouterr().err)
        return "reconnected after" in heard.getvalue()

    with EToroSimulator(rate=50) as simulator:
        options, end = quick_options(simulator.url), _EndAfterGap(simulator, enough)
        with pytest.raises(_Enough):
            streaming.stream(options, settings, screen, end)
    assert "warning: " in heard.getvalue()
    assert "1 topic restored" in heard.getvalue()


class _Enough(Exception):
    """Ends a stream that has shown what the test wanted to see."""


class _EndAfterGap:
    """A tick that cuts the connection once, and ends the stream when enough was seen."""

    def __init__(self, simulator: EToroSimulator, enough: Callable[[], object]) -> None:
        self._simulator = simulator
        self._enough = enough
        self._cut = False

    def __call__(self) -> None:
        if not self._cut:
            self._cut = self._simulator.drop() > 0
        elif self._enough():
            raise _Enough


class _Recorder(screens.LineScreen):
    """A screen that remembers."""

    def __init__(self) -> None:
        super().__init__(as_json=True)
        self.events: list[tuple[str, Any]] = []

    def show(self, event: str, item: Any) -> None:
        self.events.append((event, item))

    @property
    def generations(self) -> list[int]:
        return [item[1].generation for event, item in self.events if event == "instrument:rate"]


def test_a_gap_stands_between_the_rates_that_it_parts() -> None:
    """Events of several queues are shown in the order in which they happened."""
    screen = _Recorder()
    settings = StreamSettings((1001, 100000))
    with EToroSimulator(rate=200) as simulator:
        options = quick_options(simulator.url)
        end = _EndAfterGap(simulator, lambda: 2 in screen.generations)
        with pytest.raises(_Enough):
            streaming.stream(options, settings, screen, end)
    names = [event for event, _ in screen.events]
    gap = names.index("reconnected")
    assert names.index("close") < names.index("reconnecting") < gap
    before = [item[1].generation for event, item in screen.events[:gap] if len(event) == 15]
    assert set(before) == {1}
    assert screen.events[gap + 1][1][1].generation == 2


def test_an_overflow_is_shown_and_the_stream_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that was stopped for long tells what it has missed."""
    original = WsClient.queue

    def tiny(self: WsClient, event: str, **options: Any) -> Any:
        return original(self, event, maxsize=1 if event == "private:event" else None)

    monkeypatch.setattr(WsClient, "queue", tiny)
    with EToroSimulator(rate=0) as simulator, WsClient(quick_options(simulator.url)) as client:
        inbox = Inbox(client, private=True)
        client.subscribe(["private"])
        seen = original(client, "private:event")
        for number in range(3):
            simulator.fill_order(number + 1)
            seen.get(timeout=5)
        events = list(inbox.take(0))
    assert isinstance(dict(events)["error"], EToroQueueOverflowError)


def test_a_failed_client_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """When a stream cannot go on, the reason is the last line, and the only one of its kind."""
    settings = StreamSettings((1001,), seconds=10)
    with EToroSimulator(rate=50) as simulator:

        def refuse() -> None:
            simulator.refuse("Authenticate", "InvalidKey")
            simulator.drop()

        options = quick_options(simulator.url)
        screen = screens.LineScreen(as_json=False)
        code = carry_out(lambda: streaming.stream(options, settings, screen, refuse))
    err = capsys.readouterr().err
    assert code == 2
    assert err.count("InvalidKey") == 1
    assert err.splitlines()[-1].startswith("etoro-sync: ")


def test_log_records_are_one_line_each() -> None:
    """Tracebacks and line breaks would cut the output up."""
    logger = logging.getLogger("etoro_sync")
    before = (logger.level, logger.propagate, list(logger.handlers))
    with LogCollector(verbose=True) as notes:
        logger.debug("first\nsecond")
        try:
            raise ValueError("why")
        except ValueError:
            logger.exception("what")
        logger.error("left out")
        assert notes.take(without="left") == [
            "debug: first second",
            "error: what: ValueError('why')",
        ]
        assert notes.take() == []
    with LogCollector(verbose=False) as notes:
        logger.info("too little")
        assert notes.take() == []
    assert (logger.level, logger.propagate, list(logger.handlers)) == before


# The choice of a screen, and the table ---------------------------------------------------------


def _rate(bid: float, ask: float, **more: Any) -> WsInstrumentRate:
    return WsInstrumentRate(ask=ask, bid=bid, **{"generation": 1, **more})


def _order(**more: Any) -> WsPrivateEvent:
    values = {"order_id": 7, "instrument_id": 1001, "status_id": 3, "net_profit": -1.5}
    return WsPrivateEvent(**{**values, "executed_units": 2.5, "requested_units": 3.0, **more})


def _text(
    contents: TableContents, now: float = 10.0, height: int = 24, hint: str = "", width: int = 80
) -> str:
    console = Console(width=width, file=io.StringIO(), record=True, color_system=None)
    console.print(dashboard(contents, now, height, hint, width))
    return console.export_text()


@pytest.fixture
def contents() -> TableContents:
    new = TableContents((100000, 1), "somewhere", private=True, now=0.0)
    new.add("instrument:rate", (100000, _rate(66500.5, 66510.25)), 1.0)
    new.add("private:event", _order(), 1.0)
    new.measure("live", 1, 100, 2.0)
    return new


def test_the_table_shows_prices_and_order_events(contents: TableContents) -> None:
    """Bid, ask, spread, change and age; time, order, instrument, status, units and profit."""
    contents.add("instrument:rate", (100000, _rate(66600.5, 66610.25)), 9.5)
    text = _text(contents)
    assert re.search(r"100000 +66600\.50 +66610\.25 +9\.75 +\+0\.150 % +0\.5 s", text)
    assert re.search(r"7 +1001 +filled +2\.5 +-1\.50", text)
    assert "50 messages/s" in text
    assert "100 in 10 s" in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_instrument_without_a_price_is_shown_as_such(contents: TableContents) -> None:
    """A row stands there from the beginning."""
    assert re.search(r"^ +1 +…", _text(contents), re.M)


def test_decimals_only_grow(contents: TableContents) -> None:
    """Columns stand still though trailing zeros come and go."""
    for bid in (1.0835, 1.08, 1.0):
        contents.add("instrument:rate", (1, _rate(bid, 1.2)), 2.0)
    assert re.search(r"1 +1\.0000 +1\.2000 +0\.2000", _text(contents))


def test_a_tiny_price_is_shown_in_full(contents: TableContents) -> None:
    """Each digit that the feed wrote, neither cut after eight decimals nor as 1.23451e-08."""
    contents.add("instrument:rate", (1, _rate(1.23451e-08, 1.2346e-08)), 2.0)
    text = _text(contents)
    assert re.search(r"1 +0\.0000000123451 +0\.0000000123460 +0\.0000000000009 ", text)
    # The columns of all rows end below their headings.
    heading, *rows = text.splitlines()[1:4]
    for name in ("bid", "ask", "spread"):
        end = heading.index(name) + len(name)
        assert all(row[end - 1].isdigit() and row[end] == " " for row in rows)


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (120, "instrument bid ask spread change age"),
        (80, "instrument bid ask spread change age"),
        (60, "instrument bid ask spread age"),
        (45, "instrument bid ask age"),
        (40, "instrument bid ask"),
        (30, "instrument bid"),
        (20, "instrument"),
    ],
)
def test_a_narrow_terminal_keeps_the_instrument_and_cuts_no_number(
    contents: TableContents, width: int, columns: str
) -> None:
    """A column that finds no room goes as a whole, the least important first."""
    contents.add("instrument:rate", (1, _rate(1.0835, 1.0837)), 2.0)
    lines = _text(contents, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[1].split() == columns.split()
    numbers = {"bid": "66500.50", "ask": "66510.25", "spread": "9.75"}
    shown = [numbers[name] for name in columns.split() if name in numbers]
    assert lines[2].split()[: 1 + len(shown)] == ["100000", *shown]
    assert lines[3].split()[0] == "1"


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (80, "time order instrument status units profit"),
        (60, "order instrument status units profit"),
        (45, "order instrument status profit"),
        (40, "order instrument status"),
        (30, "instrument status"),
        (15, "instrument"),
    ],
)
def test_a_narrow_terminal_keeps_what_happened_to_which_order(
    contents: TableContents, width: int, columns: str
) -> None:
    """The time goes first; which instrument, how it stands and which order stay longest."""
    contents.add("private:event", _order(order_id=8, status_id=3), 2.0)
    lines = _text(contents, width=width).splitlines()
    assert max(map(len, lines)) <= width
    heading = next(number for number, line in enumerate(lines) if number > 3 and "instr" in line)
    assert lines[heading].split() == columns.split()
    assert "1001" in lines[heading + 1].split()
    assert ("filled" in lines[heading + 1]) == ("status" in columns)


def test_a_move_is_remembered(contents: TableContents) -> None:
    """The colour tells the last change, and an unchanged price keeps it."""
    for bid, move in ((66400.0, -1), (66400.0, -1), (66500.0, 1)):
        contents.add("instrument:rate", (100000, _rate(bid, bid + 10)), 2.0)
        row = contents.rows[100000]
        assert row is not None
        assert row.move == move


def test_a_price_of_nothing_has_no_change() -> None:
    """There is no per cent of zero."""
    contents = TableContents((1,), "", private=False, now=0.0)
    contents.add("instrument:rate", (1, _rate(0.0, 0.0)), 0.0)
    assert "+0.000 %" in _text(contents)


@pytest.mark.parametrize(
    ("age", "text"), [(0.25, "0.2 s"), (59.0, "59.0 s"), (300.0, "5 min"), (7200.0, "2 h")]
)
def test_ages_are_rounded_sensibly(contents: TableContents, age: float, text: str) -> None:
    """Nobody wants to read seconds of a price that is hours old."""
    assert text in _text(contents, now=1.0 + age)


def test_reconnecting_is_visible(contents: TableContents) -> None:
    """The first line tells what happens to the connection."""
    contents.add("close", (1006, "reset"), 3.0)
    assert "connection lost (code 1006, reset)" in _text(contents)
    contents.add("close", (1001, ""), 3.0)
    assert "connection lost (code 1001)" in _text(contents)
    contents.add("reconnecting", (2, 1.5), 3.0)
    contents.measure("reconnecting", 1, 100, 3.0)
    assert "reconnecting (attempt 2 in 1.5 s)" in _text(contents)
    contents.add("reconnected", WsGap(0.0, 2.0, 2), 4.0)
    contents.measure("live", 2, 120, 4.0)
    assert "live (last gap 2.0 s)" in _text(contents)
    assert "connection 2" in _text(contents)


def test_messages_per_second_are_those_of_the_last_seconds(contents: TableContents) -> None:
    """An old burst does not stand for the present."""
    for second in range(3, 9):
        contents.measure("live", 1, 100 + second, float(second))
    assert contents.messages_per_second == 1.0


def test_a_small_terminal_shows_what_finds_room(contents: TableContents) -> None:
    """The table never is higher than the terminal, and says what is missing."""
    for instrument_id in range(2, 50):
        contents.rows[instrument_id] = None
    for _ in range(10):
        contents.add("private:event", _order(), 1.0)
    for height in (12, 24, 40):
        text = _text(contents, height=height, hint="the hint")
        assert len(text.splitlines()) <= height
        assert "more" in text
        assert "the hint" in text
    assert "order events: 11" in text


def test_order_events_alone_can_be_watched() -> None:
    """Without instruments there is no empty table of them."""
    contents = TableContents((), "", private=True, now=0.0)
    assert "none yet" in _text(contents)
    assert "spread" not in _text(contents)


def test_trouble_that_is_no_event_is_shown_below(contents: TableContents) -> None:
    """A lost order event is told."""
    contents.add("error", EToroQueueOverflowError("too slow"), 1.0)
    assert "error: too slow" in _text(contents)


def _terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, height=24)


def _client(state: str = "live", messages: int = 1) -> Any:
    return SimpleNamespace(
        state=SimpleNamespace(value=state),
        generation=1,
        stats=lambda: SimpleNamespace(messages=messages),
    )


def test_the_table_is_drawn_no_more_often_than_eyes_see(contents: TableContents) -> None:
    """A fast feed costs no more drawing than a slow one."""
    console = _terminal()
    screen = screens.TableScreen(contents, verbose=False, console=console)
    screen.start()
    frames = []
    for _ in range(100):
        screen.refresh(_client())
        frames.append(console.file.getvalue())  # type: ignore[attr-defined]
    screen.stop()
    assert len(set(frames)) < 20


def test_the_last_table_stays(contents: TableContents) -> None:
    """After the end the terminal shows the last state, unless there never was one."""
    console = _terminal()
    screen = screens.TableScreen(contents, verbose=False, console=console)
    screen.start()
    screen.show("private:event", _order(order_id=4711))
    screen.stop()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "4711" in text.rpartition("\x1b[?1049l")[2]

    console = _terminal()
    screen = screens.TableScreen(
        TableContents((1,), "", False, 0.0), verbose=False, console=console
    )
    screen.start()
    screen.stop()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.rpartition("\x1b[?1049l")[2].strip("\x1b[?25h\n") == ""


def test_the_age_of_a_price_counts_the_machines_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not as young as the timers say."""
    slept = [0.0]
    monkeypatch.setattr(screens, "uptime", lambda: clocks.uptime() + slept[0])
    console = _terminal()
    screen = screens.TableScreen(
        TableContents((1,), "", False, 0.0), verbose=False, console=console
    )
    screen.start()
    screen.show("instrument:rate", (1, WsInstrumentRate(ask=2.0, bid=1.0)))
    slept[0] = 7200.0
    screen._draw(screens.uptime())
    screen.stop()
    assert "2 h" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_the_log_does_not_write_across_the_table(
    contents: TableContents,
    verbose: bool,
    terminal: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is shown below the table if wanted, and goes to stderr if that is a file."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    screen = screens.TableScreen(contents, verbose, _terminal())
    screen.note("warning: something")
    assert ("warning: something" in contents.notes) is verbose
    assert ("warning: something" in capsys.readouterr().err) is not terminal


@pytest.mark.parametrize(
    ("terminal", "term", "as_json", "kind"),
    [
        (True, "xterm", False, screens.TableScreen),
        (True, "xterm", True, screens.LineScreen),
        (True, "dumb", False, screens.LineScreen),
        (False, "xterm", False, screens.LineScreen),
    ],
)
def test_only_a_terminal_gets_a_table(
    terminal: bool, term: str, as_json: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pipes, files, JSON and terminals that cannot draw get lines."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert type(streaming.choose_screen(StreamSettings((1,), as_json), "")) is kind


# Lines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        (66500.0, 2),
        (1.0835, 4),
        (0.1 + 0.2, 2),
        (0.00001234, 8),
        (1.2345e-08, 12),
        (1e-12, 12),
        (151.234, 3),
        (5, 2),
        (1e-300, 20),
    ],
)
def test_prices_have_as_many_decimals_as_they_need(value: float, digits: int) -> None:
    """Neither the noise of binary fractions nor a bare number."""
    assert lines.decimals(value) == digits


def test_a_price_is_never_shown_as_zero_because_it_is_small() -> None:
    """What finds no room among the decimals is written with an exponent after all."""
    assert lines.price(1e-300, lines.decimals(1e-300)) == "1e-300"
    assert lines.price(0.0, 4) == "0.0000"
    assert lines.price(-1.5, 2) == "-1.50"
    assert lines.price(float("nan"), 2) == "nan"


def test_units_have_no_needless_decimals() -> None:
    """One unit is one unit, and a small part of one is not nothing."""
    assert [lines.units(value) for value in (1.0, 0.5, 13.859902, 100.0, 1.2e-07, 0.0)] == [
        "1",
        "0.5",
        "13.859902",
        "100",
        "0.00000012",
        "0",
    ]


@pytest.mark.parametrize(
    ("status_id", "words"),
    [(3, "filled"), (11, "waiting for market"), (99, "status 99"), (None, "?")],
)
def test_a_status_has_a_name_where_it_is_known(status_id: int | None, words: str) -> None:
    """Numbers that are in no table are shown as they are."""
    assert lines.status(_order(status_id=status_id)) == words


@pytest.mark.parametrize(
    ("event", "item", "words", "content"),
    [
        ("close", (1006, "x"), "closed (code 1006): x", {"code": 1006, "reason": "x"}),
        (
            "reconnecting",
            (2, 1.5),
            "reconnecting in 1.5 s (attempt 2)",
            {"attempt": 2, "delay_seconds": 1.5},
        ),
        (
            "reconnecting",
            (1, 0.0123456789),
            "reconnecting in 12 ms (attempt 1)",
            {"attempt": 1, "delay_seconds": 0.012},
        ),
        (
            "instrument:rate",
            (7, _rate(1.2345e-08, 1.2346e-08, changed=("bid",))),
            "bid 0.000000012345  ask 0.000000012346  spread 0.000000000001",
            {"instrument_id": 7, "bid": 1.2345e-08, "changed": ["bid"]},
        ),
        (
            "reconnected",
            WsGap(1.0, 2.5, 2, ("private",)),
            "gap of 1.5 s: connection 2, 1 topic restored",
            {"from": 1.0, "until": 2.5, "generation": 2, "topics": ["private"]},
        ),
        ("error", ValueError("x"), "error x", {"message": "x"}),
        ("private:event", _order(error_code=720), "error 720", {"order_id": 7, "error_code": 720}),
    ],
)
def test_every_event_has_a_line(event: str, item: Any, words: str, content: dict[str, Any]) -> None:
    """For people, and for programs."""
    assert words in lines.event_line(event, item)
    parsed = json.loads(lines.json_line(event, item))
    assert parsed["event"] == event
    assert content.items() <= parsed.items()


# The simulator ---------------------------------------------------------------------------------


def test_a_simulator_ends_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """--seconds ends with 0."""
    assert run(["simulate", "--port", "0", "--seconds", "0.1", "--api-key", "x"]) == 0
    out, err = capsys.readouterr()
    assert "ws://127.0.0.1:" in out
    assert "the given API key, any user key" in out
    assert err == ""


def test_the_certificate_is_handed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Clients need it to trust the simulator: it is printed, or written to a file."""
    arguments = ["simulate", "--port", "0", "--seconds", "0.1", "--tls", "--user-key", "x"]
    assert run(arguments) == 0
    out = capsys.readouterr().out
    assert "wss://localhost:" in out
    assert "any API key, the given user key" in out
    assert "BEGIN CERTIFICATE" in out

    file = tmp_path / "ca.pem"
    assert run([*arguments, "--ca-file", str(file)]) == 0
    assert str(file) in capsys.readouterr().out
    assert file.read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_a_certificate_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file's name is the user's choice, so what is wrong with it ends with 2."""
    file = tmp_path / "missing" / "ca.pem"
    arguments = ["simulate", "--port", "0", "--seconds", "5", "--tls", "--ca-file", str(file)]
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert err == f"etoro-sync: Cannot write the certificate to {file}: {os.strerror(2)}.\n"


def test_clients_that_come_and_go_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes a client sees whether it has arrived, and how it takes a cut."""
    said: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(simulating, "_print", said.put)
    simulator = EToroSimulator(port=0)
    running = run_in_thread(
        lambda: simulating.simulate(simulator, None, 1000 * MS, 300 * MS, "any")
    )
    said.get(timeout=5)
    said.get(timeout=5)
    with WsClient(quick_options(simulator.url)) as client:
        client.subscribe([1001])
        heard = list(iter(lambda: said.get(timeout=5), "All connections were cut off."))
        assert "1 client, 1 topic" in heard
        assert client.wait_for("reconnected", timeout=5).generation == 2
    running.wait()
    assert "0 clients, 0 topics" in list(said.queue)


def test_the_steps_of_a_script_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When they are taken, with their time, among the comings and goings of clients."""
    said: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(simulating, "_print", said.put)
    simulator = EToroSimulator(port=0)
    script = simulator.play([(0, "pongs"), (0.04, "freeze", {"instrument_id": 18}), (0.06, "heal")])
    running = run_in_thread(
        lambda: simulating.simulate(simulator, None, 1000 * MS, None, "any", script)
    )
    heard = [said.get(timeout=5) for _ in range(5)]
    assert heard[2:] == ["0.0 s  pongs", "0.0 s  freeze", "0.1 s  heal"]
    running.wait()
    assert said.empty()


def test_a_demonstration_can_cut_its_own_connection(capsys: pytest.CaptureFixture[str]) -> None:
    """What a reconnection looks like can be seen without waiting for one."""
    arguments = ["demo", "--json", "--cut-every", "0.2", "--seconds", "0.5", "--rate", "500"]
    assert run(arguments) == 0
    assert '"event":"close"' in capsys.readouterr().out


def test_nobody_is_cut_off_where_nobody_is() -> None:
    """Only cuts that somebody feels are told."""
    with EToroSimulator() as simulator:
        cuts = simulating.Cuts(simulator, 1e-9)
        assert not cuts.tick()
        assert not simulating.Cuts(simulator, None).tick()


def _picture() -> ModuleType:
    """Return the script that draws the picture; it is no part of the package."""
    path = Path(__file__).parents[1] / "docs" / "draw_demo.py"
    spec = importlib.util.spec_from_file_location("draw_demo", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_that_of_a_demonstration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made from what the command shows, and loads nothing from elsewhere."""
    picture = _picture()
    original = picture.draw
    monkeypatch.setattr(picture, "draw", lambda seconds: original(0.2))
    file = tmp_path / "demo.svg"
    monkeypatch.setattr(sys, "argv", ["picture", str(file)])
    picture.main()
    svg = file.read_text(encoding="utf-8")
    xml.dom.minidom.parseString(svg)
    assert "spread" in svg
    assert "live" in svg
    assert "url(http" not in svg


def test_a_picture_without_a_file_to_write_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is drawn."""
    monkeypatch.setattr(sys, "argv", ["picture"])
    with pytest.raises(SystemExit, match=r"^Usage: .* FILE\.svg$"):
        _picture().main()


def test_a_picture_needs_no_log() -> None:
    """What the log says is not in it."""
    _picture()._Still(TableContents((), "", False, 0.0)).note("warning: x")


def test_options_of_the_demo_client_do_not_look_for_a_proxy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A proxy that the environment names has no way to this process."""
    seen: list[WsClientOptions] = []
    monkeypatch.setattr(app, "stream", lambda options, *rest: seen.append(options))
    assert run(["demo"]) == 0
    assert seen[0].proxy == ""
