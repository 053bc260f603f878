"""The signals that the threads of a client block."""

from __future__ import annotations

import signal

import pytest

from tests.conftest import MakeClient, StartServer
from tests.support.clients import API_KEY
from tests.support.scripts import live
from tests.support.threads import run_in_thread


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs pthread_sigmask()")
@pytest.mark.parametrize("blocked", [False, True])
def test_a_function_for_a_key_blocks_the_signals_that_its_program_does(
    raw_server: StartServer, client: MakeClient, blocked: bool
) -> None:
    """SIGPIPE is as in the thread that called connect(), also for processes that it starts."""
    seen: list[set[int]] = []

    def key() -> str:
        seen.append({*signal.pthread_sigmask(signal.SIG_BLOCK, [])})
        return API_KEY

    c = client(raw_server(live).url, api_key=key)

    def connect() -> set[int]:
        how = signal.SIG_BLOCK if blocked else signal.SIG_UNBLOCK
        signal.pthread_sigmask(how, [signal.SIGPIPE])
        c.connect()
        return {*signal.pthread_sigmask(signal.SIG_BLOCK, [])}

    assert seen == [run_in_thread(connect).result()]
    assert (signal.SIGPIPE in seen[0]) is blocked
