"""Which threads may not wait: those that work for a client, and no others."""

from __future__ import annotations

import threading

import pytest

from etoro_sync import EToroWebSocketError
from etoro_sync.own_threads import READER, OwnThreads


def test_a_reader_must_not_wait_for_another_client_either() -> None:
    """It holds the lock of a logging handler meanwhile, perhaps."""
    with OwnThreads().working(READER), pytest.raises(EToroWebSocketError, match="another client"):
        OwnThreads().check("connect()", "Call it elsewhere.")
    OwnThreads().check("connect()", "Call it elsewhere.")


def test_threads_are_distinguished_by_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of gevent and eventlet are all one to the system, and have numbers of their own."""
    own = OwnThreads()
    monkeypatch.setattr(threading, "get_ident", lambda: 1)
    with own.working(READER):
        monkeypatch.setattr(threading, "get_ident", lambda: 2)
        own.check("connect()", "Call it elsewhere.")
        monkeypatch.setattr(threading, "get_ident", lambda: 1)
        with pytest.raises(EToroWebSocketError, match="stream's own thread"):
            own.check("connect()", "Call it elsewhere.")


def test_a_forked_child_gives_the_number_of_a_reader_to_another_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The readers of its parent are not there, and nothing is refused for their sake."""
    with OwnThreads().working(READER):
        monkeypatch.setattr("os.getpid", lambda: 0)
        OwnThreads().check("connect()", "Call it elsewhere.")
