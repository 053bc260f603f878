"""Each failure has one line and an exit code, and signals end a command."""

from __future__ import annotations

import io
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import etoro_sync.__main__
from etoro_sync import EToroAuthError, EToroValidationError, EToroWebSocketError
from etoro_sync.cli import app, ending, run
from etoro_sync.cli.ending import CommandError, carry_out
from etoro_sync.simulator import EToroSimulator
from tests.support.threads import run_in_thread


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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stream"], "Name at least one instrument"),
        (["stream", "bitcoin"], "ETORO_API_KEY"),
        (["stream", "bitcoin", "--demo"], "What comes near: BTC.EUR"),
        (["find", "APPL", "--demo"], "What comes near: AAPL (1001, Apple)"),
        (["find", "77777", "1001.0", "--demo"], "not '1001.0'"),
        (["find", "BTC"], "ETORO_API_KEY"),
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


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
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
