"""Programs that play a source: how Ctrl-C, their last line and fork() leave it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.processes import interruptible
from tests.support.timing import MS

pytestmark = pytest.mark.heavy

PROGRAM = """
    import os, sys
    from etoro_sync import EToroClosedError, MarketStream, WsInstrumentRate

    def play(feed):
        feed.rates([(18, WsInstrumentRate(2.0, 1.0, None, "d", 1))])
        feed.wait(1000)

    stream = MarketStream(play)
    rates = stream.queue("instrument:rate")
    stream.connect()
    rates.get()
"""
#: A call that blocks -> the lines that make it.
BLOCKING = {
    "run_forever": "stream.run_forever()",
    "get": "rates.get()",
    "iteration": "for _ in rates: pass",
    "wait_for": "stream.wait_for('unknown')",
    "stream": "for _ in stream.stream([19]): pass",
}


@pytest.fixture
def start() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start programs that are killed when a test fails before their end."""
    with contextlib.ExitStack() as stack:

        def run(body: str) -> subprocess.Popen[str]:
            text = textwrap.dedent(PROGRAM) + textwrap.dedent(body)
            process = subprocess.Popen(
                interruptible([sys.executable, "-X", "dev", "-c", text]),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield run


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("call", BLOCKING)
def test_promise_13_ctrl_c_ends_a_program_that_plays_a_source(
    start: Callable[[str], subprocess.Popen[str]], call: str
) -> None:
    """In any call that blocks, in two seconds, with nothing but its traceback."""
    process = start(f"print('now', flush=True)\n{BLOCKING[call]}")
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, stderr = process.communicate(timeout=20)
    assert time.monotonic() - started < 2000 * MS
    assert process.returncode == -signal.SIGINT
    assert stderr.splitlines()[0].startswith("Traceback")
    assert stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_promise_13_a_program_may_end_while_its_source_is_played(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    """Without disconnect(), it says nothing."""
    process = start("")
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_promise_13_the_copy_of_a_forked_child_is_closed(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    """The parent's goes on; neither waits for what the other has."""
    process = start("""
        import warnings
        warnings.simplefilter("ignore")
        child = os.fork()
        if child == 0:
            try:
                stream.wait_for("instrument:rate")
            except EToroClosedError:
                print("child", stream.state.value, flush=True)
            stream.disconnect()
            sys.exit(7)
        print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), stream.state.value)
        stream.disconnect()
        print(stream.state.value)
    """)
    assert process.communicate(timeout=20) == ("child closed\nexit 7 live\nclosed\n", "")
    assert process.returncode == 0
