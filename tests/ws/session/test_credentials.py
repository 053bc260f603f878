"""Keys that are read anew before each attempt, by callables that may raise, hang, or be wrong.

That a rotated key is never sent again is tests/complaints/test_22_rotated_keys.py.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etoro_sync import (
    ClientState,
    EToroAuthError,
    EToroClosedError,
    EToroError,
    EToroValidationError,
)
from etoro_sync.ws.core import core_of
from etoro_sync.ws.session import credentials, reader
from etoro_sync.ws.transport import dialer
from etoro_sync.ws.transport.waker import Waker
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import API_KEY, USER_KEY, Ear
from tests.support.clocks import LeapingTime
from tests.support.peer import Peer
from tests.support.threads import Background, join_stragglers
from tests.support.timing import MS, Stopwatch

SOON = 10_000 * MS
FIRST, SECOND = "rotated-key-first", "rotated-key-second"
GOOD_KEYS = {"apiKey": API_KEY, "userKey": USER_KEY}


class Vault:
    """A key store, which may be unavailable, hang, or hold something that is no key.

    :ivar content: what it returns, or raises if it is an exception
    :ivar calls: the threads that have called it
    """

    def __init__(self, content: Any = API_KEY) -> None:
        self.content = content
        self.calls: list[threading.Thread] = []
        self.asked = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def __call__(self) -> Any:
        self.calls.append(threading.current_thread())
        content = self.content
        self.asked.set()
        self.open.wait()
        if isinstance(content, BaseException):
            raise content
        return content


@pytest.fixture
def vault() -> Iterator[Vault]:
    made = Vault()
    yield made
    made.open.set()
    assert not join_stragglers(prefix="etoro-sync-keys")


def serve(sent: list[dict[str, str]], *then: Callable[[Peer], object]) -> Callable[[Peer], None]:
    """A server that records the keys, accepts them, and then does what *then* says."""

    def script(peer: Peer) -> None:
        peer.handshake()
        request = peer.read_json()
        sent.append(request["data"])  # before the client knows that they were accepted
        peer.reply(request)
        for step in then:
            step(peer)
        peer.serve()

    return script


def close(peer: Peer) -> None:
    peer.send_close(1012)


# Functions as keys


def test_both_keys_may_be_callables(
    simulator: MakeSimulator, client: MakeClient, vault: Vault
) -> None:
    """Called one after the other, in a thread of their own that ends before data flows."""
    sim = simulator(api_key=API_KEY, user_key=USER_KEY)
    other = Vault(USER_KEY)
    c = client(sim.url, api_key=vault, user_key=other)
    c.connect()
    assert vault.calls == other.calls
    (thread,) = vault.calls
    thread.join(SOON)
    assert not thread.is_alive()
    assert (thread.name, thread.daemon) == ("etoro-sync-keys", True)


def test_a_callable_is_asked_for_each_session(
    simulator: MakeSimulator, client: MakeClient, vault: Vault
) -> None:
    """And not before it is needed."""
    c = client(simulator(api_key=API_KEY).url, api_key=vault)
    assert not vault.calls
    for number in (1, 2):
        c.connect()
        assert len(vault.calls) == number
        c.disconnect()


def test_a_callable_may_take_a_while(
    simulator: MakeSimulator, client: MakeClient, vault: Vault
) -> None:
    """The attempt goes on when it has returned, and not when its time is up."""
    vault.open.clear()
    c = client(simulator(api_key=API_KEY).url, api_key=vault, connect_timeout=60)
    connecting = Background(c.connect)
    assert vault.asked.wait(SOON)
    # Long enough for the reader to wait for it; were it not, this test would prove less.
    threading.Timer(100 * MS, vault.open.set).start()
    connecting.result(SOON)


# A callable that raises


class VaultAway(Exception):
    """An error of a program's own client for a key store."""


def test_a_callable_that_raises_at_first_fails_connect(
    raw_server: StartServer, client: MakeClient, vault: Vault
) -> None:
    """With its exception as the cause, without its message, and before anything is connected."""
    server = raw_server(lambda peer: peer.handshake())
    vault.content = VaultAway(f"no {FIRST}")
    c = client(server.url, api_key=vault)
    with pytest.raises(
        EToroAuthError, match=r"api_key could not be read.*raised VaultAway"
    ) as caught:
        c.connect()
    chain = caught.value.__cause__, caught.value.__cause__ and caught.value.__cause__.__cause__
    assert vault.content in chain
    assert FIRST not in str(caught.value)
    assert c.state is ClientState.FAILED
    assert server.connections == 0
    assert len(vault.calls) == 1


@pytest.mark.parametrize("failure", [VaultAway("away"), SystemExit(3), KeyError("x")])
def test_a_callable_that_raises_later_is_asked_again(
    raw_server: StartServer, client: MakeClient, vault: Vault, failure: BaseException
) -> None:
    """A key store that is unavailable for a moment is an outage, and the client retries."""
    sent: list[dict[str, str]] = []
    rotated = threading.Event()
    first = serve(sent, lambda peer: peer.wait(rotated), close)
    c = client(raw_server([first, serve(sent)]).url, api_key=vault, reconnect_attempts=None)
    ear = Ear(c)
    c.connect()
    vault.content = failure
    rotated.set()
    errors = ear.wait_for("error", 2)
    assert all(isinstance(error, EToroAuthError) for error in errors)
    assert errors[0].__cause__ is failure
    assert c.state is ClientState.RECONNECTING
    vault.content = API_KEY
    ear.wait_for("reconnected")
    assert sent == [GOOD_KEYS, GOOD_KEYS]
    assert c.stats().connect_attempts == len(vault.calls)


def test_a_callable_that_goes_on_raising_uses_up_the_attempts(
    raw_server: StartServer, client: MakeClient, vault: Vault
) -> None:
    """The client ends with the error of the last attempt."""
    rotated = threading.Event()
    server = raw_server(serve([], lambda peer: peer.wait(rotated), close))
    c = client(server.url, api_key=vault, reconnect_attempts=2)
    c.connect()
    vault.content = VaultAway("away")
    rotated.set()
    with pytest.raises(EToroError, match=r"Gave up after 2 attempts.*raised VaultAway") as caught:
        c.run_forever()
    assert isinstance(caught.value.__cause__, VaultAway)
    assert len(vault.calls) == 3
    assert server.connections == 1


# A callable that returns what is no key


NO_KEYS = [
    ("", EToroAuthError, "The api_key is missing"),
    (None, EToroValidationError, "what the callable for api_key returns must be a string"),
    (b"planted-bytes", EToroValidationError, "must be a string, not bytes"),
    ("planted-line\n", EToroValidationError, "strip"),
    ("planted\x00zero", EToroValidationError, "control characters"),
]


@pytest.mark.parametrize(("value", "kind", "words"), NO_KEYS)
def test_what_is_no_key_ends_the_client_at_once(
    raw_server: StartServer,
    client: MakeClient,
    vault: Vault,
    caplog: pytest.LogCaptureFixture,
    value: Any,
    kind: type[EToroError],
    words: str,
) -> None:
    """On the first connection and later; reported once, without the value."""
    caplog.set_level(logging.DEBUG)
    rotated = threading.Event()
    server = raw_server(serve([], lambda peer: peer.wait(rotated), close))
    vault.content = value
    early = client(server.url, api_key=vault)
    with pytest.raises(kind, match=words) as refused:
        early.connect()
    assert server.connections == 0
    vault.content = API_KEY
    late = client(server.url, api_key=vault)
    ear = Ear(late)
    late.connect()
    vault.content = value
    rotated.set()
    with pytest.raises(kind, match=words) as ended:
        late.run_forever()
    assert len(ear.wait_for("error")) == 1
    late.disconnect()
    assert len(ear.of("error")) == 1
    assert server.connections == 1
    shown = ["".join(traceback.format_exception(e)) for e in (refused.value, ended.value)]
    assert "planted-" not in "".join([*shown, caplog.text]).replace(API_KEY, "")


def test_a_rejected_key_is_fatal_also_from_a_callable(
    raw_server: StartServer, client: MakeClient, vault: Vault
) -> None:
    """Promise 6 has no exception: a key that eToro rejects is not asked for again."""

    def reject(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate("InvalidKey", f"{SECOND} is not known")
        peer.serve()

    vault.content = FIRST
    rotated = threading.Event()
    first = serve([], lambda peer: peer.wait(rotated), close)
    c = client(raw_server([first, reject]).url, api_key=vault)
    c.connect()
    vault.content = SECOND
    rotated.set()
    with pytest.raises(EToroAuthError, match="InvalidKey") as caught:
        c.run_forever()
    assert caught.value.error_code == "InvalidKey"
    assert SECOND not in str(caught.value)
    assert len(vault.calls) == 2


# A callable that hangs


def test_disconnect_does_not_wait_for_a_callable(client: MakeClient, vault: Vault) -> None:
    """connect() ends, and both of the client's own threads have ended when it returns."""
    vault.open.clear()
    c = client("ws://127.0.0.1:9/ws", api_key=vault, connect_timeout=60)
    connecting = Background(c.connect)
    assert vault.asked.wait(SOON)
    watch = Stopwatch()
    c.disconnect()
    assert watch.seconds < core_of(c).options.close_timeout
    names = {thread.name for thread in threading.enumerate() if "etoro-sync" in thread.name}
    assert names == {"etoro-sync-keys"}
    with pytest.raises(EToroClosedError):
        connecting.result(SOON)
    vault.open.set()
    assert not join_stragglers(prefix="etoro-sync")


def test_a_callable_that_hangs_is_a_failed_attempt(
    raw_server: StartServer, client: MakeClient, vault: Vault
) -> None:
    """After connect_timeout; attempts go on, one call at a time; what comes late is not used."""
    sent: list[dict[str, str]] = []
    rotated = threading.Event()
    first = serve(sent, lambda peer: peer.wait(rotated), close)
    server = raw_server([first, serve(sent)])
    options = {"connect_timeout": 500 * MS, "reconnect_attempts": None}
    c = client(server.url, api_key=vault, **options)
    ear = Ear(c)
    c.connect()
    vault.content = FIRST
    vault.open.clear()
    rotated.set()
    errors = ear.wait_for("error", 3)
    assert all("did not return within connect_timeout" in str(error) for error in errors)
    assert all(isinstance(error, EToroAuthError) for error in errors)
    assert len(vault.calls) == 2
    vault.content = API_KEY
    vault.open.set()
    ear.wait_for("reconnected")
    assert len(vault.calls) >= 3
    assert sent == [GOOD_KEYS] * len(sent)


def test_time_in_which_the_process_stood_still_is_not_the_callables(
    raw_server: StartServer,
    client: MakeClient,
    vault: Vault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The callable was paused, too; the connection still has its full time."""
    clock = LeapingTime()
    for module in (credentials, dialer, reader):
        monkeypatch.setattr(module, "clocks", clock)

    def stand_still(waker: Waker, seconds: float) -> None:
        clock.leap(100.0)
        vault.open.set()
        wait(waker, seconds)

    wait = Waker.wait
    monkeypatch.setattr(Waker, "wait", stand_still)
    vault.open.clear()
    sent: list[dict[str, str]] = []
    c = client(raw_server(serve(sent)).url, api_key=vault, connect_timeout=10)
    c.connect()
    assert clock.leapt >= 100
    assert sent == [GOOD_KEYS]


def test_connect_times_out_when_a_callable_hangs(client: MakeClient, vault: Vault) -> None:
    """It says what it has waited for."""
    vault.open.clear()
    c = client("ws://127.0.0.1:9/ws", user_key=vault, connect_timeout=100 * MS)
    with pytest.raises(EToroAuthError, match="did not return within connect_timeout"):
        c.connect()


def test_a_callable_may_use_the_client(simulator: MakeSimulator, client: MakeClient) -> None:
    """It may even disconnect it: no lock is held, and no thread that it waits for waits for it."""

    def give_up() -> str:
        c.subscribe([18])
        c.disconnect()
        return API_KEY

    c = client(simulator().url, api_key=give_up)
    with pytest.raises(EToroClosedError):
        c.connect()
    assert not join_stragglers(prefix="etoro-sync-keys")
    assert c.state is ClientState.CLOSED


def test_no_thread_for_a_callable_is_a_failed_attempt(
    client: MakeClient, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says that the system has no thread left, and does not look like a defect."""
    start = threading.Thread.start

    def scarce(thread: threading.Thread) -> None:
        if thread.name == "etoro-sync-keys":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    c = client("ws://127.0.0.1:9/ws", api_key=vault)
    with pytest.raises(EToroError, match="Cannot start a thread to read the keys"):
        c.connect()


# Secrets


def test_every_key_that_was_read_is_masked(
    raw_server: StartServer,
    client: MakeClient,
    vault: Vault,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A server that repeats old and new keys gets neither into an error, an event or the log."""
    caplog.set_level(logging.DEBUG)
    echo = f"{FIRST} {SECOND}"
    rotated = threading.Event()
    vault.content = FIRST
    first = serve([], lambda peer: peer.wait(rotated), close)

    def repeat(peer: Peer) -> None:
        peer.send_text(f"not json {echo}")
        peer.send_close(4001, echo)

    c = client(raw_server([first, serve([], repeat), serve([])]).url, api_key=vault)
    ear = Ear(c)
    c.connect()
    vault.content = SECOND
    rotated.set()
    ear.wait_for("reconnected", 2)
    c.disconnect()
    texts = [
        str(ear.of("close")),
        str(ear.of("error")),
        caplog.text,
        repr(c),
        repr(core_of(c).options),
    ]
    texts += ["".join(traceback.format_exception(error)) for error in ear.of("error")]
    for text in texts:
        assert FIRST not in text
        assert SECOND not in text
    assert "*** ***" in str(ear.of("close"))
