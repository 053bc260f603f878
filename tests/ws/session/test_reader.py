"""The thread that reads: its waits, and errors of the library itself and of the machine on it."""

from __future__ import annotations

import logging
import threading
import traceback
from typing import Any

import pytest

from etoro_sync import ClientState, EToroWebSocketError
from etoro_sync.delivery.publisher import Publisher
from etoro_sync.market.feed_handler import FeedHandler
from etoro_sync.ws.session import connector, reader
from etoro_sync.ws.session.backoff import Backoff
from etoro_sync.ws.session.commands import Commands
from etoro_sync.ws.session.connector import Connector
from etoro_sync.ws.session.controller import Controller
from etoro_sync.ws.session.credentials import Credentials
from etoro_sync.ws.session.reader import Reader
from etoro_sync.ws.session.session import Session
from etoro_sync.ws.transport.connection import Connection
from etoro_sync.ws.transport.socket_stream import SocketStream
from etoro_sync.ws.transport.waker import Waker
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import Ear, envelope
from tests.support.failing import fail_once
from tests.support.peer import Peer
from tests.support.scripts import live, until
from tests.support.threads import run_in_thread
from tests.support.timing import Stopwatch


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (Connector, "open", OSError(24, "Too many open files")),
        (FeedHandler, "on_texts", MemoryError()),
        (Controller, "on_reply", ValueError("a defect")),
    ],
    ids=["opening", "reading", "authenticating"],
)
def test_promise_5_an_internal_error_is_a_failed_attempt(
    raw_server: StartServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: Any,
    name: str,
    error: BaseException,
) -> None:
    """A live client logs it with its traceback, emits it, and tries again."""
    lose = threading.Event()
    c = client(raw_server([until(lose), live]).url)
    ear = Ear(c)
    c.connect()
    fail_once(monkeypatch, owner, name, error)
    lose.set()
    ear.wait_for("reconnected")
    assert c.state is ClientState.LIVE
    told = [str(each) for each in ear.of("error")] + [reason for _, reason in ear.of("close")]
    assert any(repr(error) in each for each in told)
    (record,) = [each for each in caplog.records if "please report" in each.getMessage()]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert name in "".join(traceback.format_tb(record.exc_info[2]))


CLEANUPS = [
    (Connector, "mark_address_proven"),
    (Controller, "end"),
    (Connection, "dispose"),
    (SocketStream, "close"),
    (Controller, "lost"),
    (Publisher, "emit"),
    (reader, "forget_locals"),
]


WAITS = [
    (Backoff, "next"),
    (Reader, "_wait"),
    (Commands, "take"),
    (Controller, "submit"),
    (Waker, "wait"),
    (Controller, "begin"),
    (Credentials, "get"),
]


@pytest.mark.parametrize(
    "error", [AttributeError("a defect"), MemoryError()], ids=["defect", "memory"]
)
@pytest.mark.parametrize(
    ("owner", "name"), CLEANUPS + WAITS, ids=[name for _, name in CLEANUPS + WAITS]
)
def test_promise_5_what_fails_between_two_connections_does_not_end_the_client(
    raw_server: StartServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: Any,
    name: str,
    error: Exception,
) -> None:
    """In the cleanup, in the wait or at the beginning of the next attempt; it is logged."""
    lose = threading.Event()
    c = client(raw_server([until(lose), live]).url)
    ear = Ear(c)
    c.connect()
    usual = Backoff.next
    # On a busy machine a wait that chance has made short would be over before it has begun.
    monkeypatch.setattr(Backoff, "next", lambda *a, **kw: max(usual(*a, **kw) or 0.0, 0.1))
    fail_once(monkeypatch, owner, name, error)
    lose.set()
    ear.wait_for("reconnected")
    assert c.state is ClientState.LIVE
    assert [r for r in caplog.records if "please report" in r.getMessage()]


def test_promise_1_an_end_that_cannot_be_told_at_first_is_told_all_the_same(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader's last step must also succeed when memory has run out."""
    lose = threading.Event()
    c = client(raw_server(until(lose)).url, reconnect_attempts=0)
    c.connect()
    fail_once(monkeypatch, Session, "fail", MemoryError())
    lose.set()
    with pytest.raises(EToroWebSocketError, match="The connection ended"):
        run_in_thread(c.run_forever).result()
    assert c.state is ClientState.FAILED


def test_promise_1_a_reader_that_fails_before_it_has_begun_is_noticed(
    client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As wherever else it fails."""
    fail_once(monkeypatch, reader, "block_sigpipe", MemoryError())
    with pytest.raises(EToroWebSocketError, match="Internal error of etoro_sync: MemoryError"):
        client("ws://127.0.0.1:9/ws").connect()


def test_promise_5_where_no_wait_is_possible_attempts_are_still_spaced(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without memory the client still pauses between attempts, and disconnect() still ends it."""
    lose = threading.Event()
    server = raw_server([until(lose), lambda peer: peer.close()])
    c = client(server.url, reconnect_attempts=None, reconnect_delay=30, reconnect_max_delay=30)
    c.connect()

    def fails(*arguments: object) -> None:
        raise MemoryError

    slept = threading.Semaphore(0)
    monkeypatch.setattr(Backoff, "next", lambda *_, **__: 1000.0)
    monkeypatch.setattr(Waker, "wait", fails)
    usual = Commands.poll_until
    monkeypatch.setattr(
        Commands, "poll_until", lambda commands, until: (slept.release(), usual(commands, until))
    )
    lose.set()
    assert slept.acquire(timeout=5)
    watch = Stopwatch()
    c.disconnect()
    assert watch.seconds < 1
    assert server.connections == 1


def test_promise_5_an_internal_error_of_the_first_attempt_is_raised(
    client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As is every other reason why connect() fails."""
    fail_once(monkeypatch, Connector, "open", ValueError("a defect"))
    c = client("ws://127.0.0.1:9/ws")
    with pytest.raises(EToroWebSocketError, match="Internal error of etoro_sync: ValueError"):
        c.connect()
    assert c.stats().connect_attempts == 1


def test_promise_13_an_internal_error_leaves_no_connection_open(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it comes between the handshake and the first message that is sent."""
    closed: list[SocketStream] = []
    usual = SocketStream.close
    monkeypatch.setattr(
        SocketStream, "close", lambda stream: (closed.append(stream), usual(stream))
    )
    fail_once(monkeypatch, connector, "Connection", MemoryError())
    c = client(raw_server(lambda peer: (peer.handshake(), peer.wait_closed())).url)
    with pytest.raises(EToroWebSocketError, match="Internal error of etoro_sync: MemoryError"):
        c.connect()
    assert len(closed) == 1


def test_promise_5_an_internal_error_that_repeats_counts_and_is_logged_once_a_minute(
    raw_server: StartServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It uses up the attempts like anything else, and does not fill the log."""
    lose = threading.Event()

    def defect(*arguments: object) -> Any:
        raise ValueError("a defect")

    c = client(raw_server(until(lose)).url)
    c.connect()
    monkeypatch.setattr(Connector, "open", defect)
    lose.set()
    with pytest.raises(EToroWebSocketError, match=r"Gave up after 10 attempts.*a defect"):
        run_in_thread(c.run_forever).result()
    assert c.stats().connect_attempts == 11
    assert caplog.text.count("please report") == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("kind", [MemoryError, SystemExit])
def test_promise_1_a_death_of_the_reader_of_which_nothing_can_be_told_is_noticed(
    raw_server: StartServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseException],
) -> None:
    """Also if its message cannot be made: the client fails, as if by any other error."""
    lose = threading.Event()

    def fails(*arguments: object) -> Any:
        raise kind

    c = client(raw_server(until(lose)).url)
    c.connect()
    monkeypatch.setattr(Reader, "_pause", fails)
    monkeypatch.setattr(reader, "forget_locals", fails)
    lose.set()
    with pytest.raises(EToroWebSocketError, match="Internal error of etoro_sync"):
        run_in_thread(c.run_forever).result()
    assert c.state is ClientState.FAILED


def test_promise_1_a_logging_filter_that_raises_ends_nothing(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """It ends neither the reader, which logs a lost connection, nor the callbacks."""

    def spoil(record: logging.LogRecord) -> bool:
        raise RuntimeError("filter")

    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    logger = logging.getLogger("etoro_sync")
    logger.addFilter(spoil)
    try:
        sim.drop()
        ear.wait_for("reconnected")
    finally:
        logger.removeFilter(spoil)


def test_what_is_unsubscribed_in_a_long_wait_is_shown_no_longer(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and not with the next connection, which may be an hour away."""
    monkeypatch.setattr(Backoff, "next", lambda self, **causes: 60.0)
    lost, taken, submit = threading.Event(), threading.Event(), Controller.submit

    def noted(self: Controller, operations: list[Any]) -> None:
        submit(self, operations)
        if operations:
            taken.set()

    monkeypatch.setattr(Controller, "submit", noted)

    def live_once(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", {"Ask": "2", "Bid": "1"}))
        peer.wait(lost)
        peer.reset()

    c = client(raw_server(live_once).url)
    ear = Ear(c)
    c.subscribe([18])
    c.connect()
    ear.wait_for("instrument:rate")
    lost.set()
    ear.wait_for("reconnecting")
    assert list(c.rates) == [18]
    c.unsubscribe([18])
    assert taken.wait(5)
    assert list(c.rates) == []
