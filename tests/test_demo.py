"""What examples run with: simulated data, an end after some seconds, and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from etoro_sync import EToroError, WsClient
from etoro_sync.demo import DEMO_PRICES, run
from tests.support.timing import MS

NAMES = ("ETORO_API_KEY", "ETORO_USER_KEY", "ETORO_WS_URL", "ETORO_REST_URL")
POSIX = pytest.mark.skipif(os.name != "posix", reason="sends signals")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No keys of the user's, none that stay behind, and Ctrl-C as in a terminal."""
    monkeypatch.setattr(sys, "argv", ["example.py"])
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_demonstration_has_prices_and_needs_no_keys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The environment leads to a simulator; afterwards the output and Ctrl-C are as before."""

    def main() -> None:
        with WsClient() as client:
            client.subscribe([*DEMO_PRICES, "private"], snapshot=True)
            client.wait_for("private:event", timeout=5)
            print(len(client.rates), flush=True)

    monkeypatch.setattr(sys, "argv", ["example.py", "--demo"])
    before = sys.stdout, signal.getsignal(signal.SIGINT)
    run(main)
    assert (sys.stdout, signal.getsignal(signal.SIGINT)) == before
    assert capsys.readouterr().out == f"{len(DEMO_PRICES)}\n"


def test_the_keys_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --demo nothing is simulated."""
    monkeypatch.setenv("ETORO_API_KEY", "mine")
    seen = []
    run(lambda: seen.append([os.environ.get(name) for name in NAMES]))
    assert seen == [["mine", None, None, None]]


@POSIX
def test_the_end_of_the_time_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """--seconds ends a program that waits, with 0."""
    monkeypatch.setattr(sys, "argv", ["example.py", "--seconds", str(50 * MS)])
    with pytest.raises(SystemExit) as ended:
        run(lambda: threading.Event().wait(10))
    assert ended.value.code == 0


@POSIX
def test_ctrl_c_has_its_exit_code() -> None:
    """As the shell's own programs do."""
    with pytest.raises(SystemExit) as ended:
        run(lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT))
    assert ended.value.code == 130


@pytest.mark.parametrize("error", [EToroError("what to do"), ImportError("what to do")])
def test_an_error_of_the_library_is_one_line(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever tries an example without keys, or without an extra, needs no traceback."""

    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "what to do\n"


def test_a_mistake_in_the_program_has_its_traceback() -> None:
    """Whoever changes an example sees what went wrong."""
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 // 0)


@POSIX
def test_a_reader_that_has_gone_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when a callback on another thread was the one that wrote."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)

        def main() -> None:
            assert sys.stdout.fileno() == writer  # it is still the real one in all else
            thread = threading.Thread(target=lambda: print("x", flush=True))
            thread.start()
            thread.join()
            threading.Event().wait(10)

        with pytest.raises(SystemExit) as ended:
            run(main)
    assert ended.value.code == 0
