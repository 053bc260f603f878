"""Promises 5 and 6: recovery is patient and never multiplies; bad credentials end it."""

from __future__ import annotations

import threading
import traceback

import pytest

from etoro_sync import ClientState, EToroAuthError, EToroWebSocketError
from etoro_sync.ws.core import core_of
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import API_KEY, USER_KEY, Ear, connect_and_run, envelope
from tests.support.peer import Peer
from tests.support.raw_server import Refuser
from tests.support.scripts import live
from tests.support.threads import run_in_thread
from tests.support.timing import Stopwatch

FATAL = [
    "InvalidKey",
    "Unauthorized",
    "Forbidden",
    "ApiKeyRequired",
    "UserKeyRequired",
    "DataRequired",
    "InsufficientPermissions",
]


def live_then_reset(peer: Peer) -> None:
    peer.accept()
    peer.reset()


def test_promise_5_the_counter_survives_a_mere_accept_and_the_client_gives_up(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A server that accepts and drops makes attempts 1, 2, 3 ... up to the limit, then an error."""

    def accept_then_drop(peer: Peer) -> None:
        peer.handshake()
        peer.read_json()
        peer.reset()

    server = raw_server([live_then_reset, accept_then_drop])
    c = client(server.url, reconnect_attempts=4)
    ear = Ear(c)
    with pytest.raises(EToroWebSocketError, match="Gave up after 4 attempts"):
        connect_and_run(c)
    assert [attempt for attempt, _ in ear.of("reconnecting")] == [1, 2, 3, 4]
    assert server.connections == 5
    assert c.state is ClientState.FAILED


def test_promise_5_data_earns_a_new_start_of_the_counter(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Sessions that brought data are stable: each loss begins with attempt 1 again."""

    def one_rate_then_reset(peer: Peer) -> None:
        peer.accept()
        peer.send_text(envelope("instrument:18", {"Ask": "2", "Bid": "1"}))
        peer.reset()

    server = raw_server([one_rate_then_reset] * 5 + [live])
    c = client(server.url, reconnect_attempts=2)
    ear = Ear(c)
    c.connect()
    ear.wait_for("reconnected", 5)
    assert [attempt for attempt, _ in ear.of("reconnecting")] == [1] * 5


def test_promise_5_data_that_comes_before_the_subscriptions_are_restored_earns_nothing(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A server that ends each session before it has acknowledged must not be asked for ever."""

    def script(peer: Peer) -> None:
        peer.accept()
        peer.read_json()
        peer.send_text(envelope("instrument:18", {"Ask": "2", "Bid": "1"}))
        peer.reset()

    server = raw_server(script)
    c = client(server.url, reconnect_attempts=3)
    c.on("message", lambda envelope: None)
    c.subscribe([18])
    with pytest.raises(EToroWebSocketError, match="Gave up after 3 attempts"):
        connect_and_run(c)
    assert server.connections == 4


def test_promise_5_without_attempts_the_first_close_ends_the_client(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Also of a session that was restored, and with a close code that means nothing bad."""

    def close(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_close(1000, "as planned")

    server = raw_server(close)
    c = client(server.url, reconnect_attempts=0)
    c.subscribe(["private"])
    with pytest.raises(EToroWebSocketError, match="as planned") as caught:
        connect_and_run(c)
    assert "Gave up" not in str(caught.value)
    assert server.connections == 1


@pytest.mark.parametrize("wanted", [False, True])
def test_promise_5_accepted_keys_alone_count_where_nothing_is_wanted(
    raw_server: StartServer, client: MakeClient, wanted: bool
) -> None:
    """Then nothing has to be restored; else each such session uses an attempt up."""
    server = raw_server([live_then_reset] * 6 + [live])
    c = client(server.url, reconnect_attempts=2)
    if wanted:
        c.subscribe(["private"])
        with pytest.raises(EToroWebSocketError, match="Gave up after 2 attempts"):
            connect_and_run(c)
        return
    ear = Ear(c)
    c.connect()
    ear.wait_for("reconnected", 6)
    assert {attempt for attempt, _ in ear.of("reconnecting")} == {1}


def test_promise_5_there_is_one_attempt_in_flight_and_jitter_within_its_bounds(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Under a storm of losses the server never sees two connections of one client at once."""
    open_now, most, lock = [0], [0], threading.Lock()

    def count(peer: Peer) -> None:
        with lock:
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
        peer.accept()
        peer.read_json()  # what is not acknowledged uses an attempt up
        with lock:  # not after the reset: the client may be back before this thread goes on
            open_now[0] -= 1
        peer.reset()

    server = raw_server(count)
    c = client(server.url, reconnect_attempts=15, reconnect_delay=0.002, reconnect_max_delay=0.01)
    c.subscribe([18])
    ear = Ear(c)
    with pytest.raises(EToroWebSocketError):
        connect_and_run(c)
    assert server.connections == 16
    assert most == [1]
    delays = [delay for _, delay in ear.of("reconnecting")]
    assert all(0 <= delay <= min(0.002 * 2**n, 0.01) for n, delay in enumerate(delays))
    assert len(set(delays)) > 5


def test_promise_5_backoff_is_interrupted_at_once(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """disconnect() does not wait for the end of a long pause."""
    sim = simulator()
    c = client(sim.url, reconnect_delay=1e6, reconnect_max_delay=1e6)
    ear = Ear(c)
    c.connect()
    sim.drop()
    ear.wait_for("reconnecting")
    assert c.state is ClientState.RECONNECTING
    watch = Stopwatch()
    c.disconnect()
    assert watch.seconds < 1


def test_promise_5_a_refused_connection_is_retried_until_the_server_is_back(
    raw_server: StartServer, client: MakeClient
) -> None:
    """An outage of many attempts ends in recovery, with an error event for each failed attempt."""

    def live_then_away(peer: Peer) -> None:
        peer.accept()
        server.stop_listening()  # before the reset, or the client may be quicker
        peer.reset()

    server = raw_server([live_then_away, live])
    c = client(server.url, reconnect_attempts=None)
    ear = Ear(c)
    back = threading.Event()

    @c.on("reconnecting")
    def server_returns(attempt: int, delay: float) -> None:
        if attempt == 6:
            server.start_listening()
            back.set()

    c.connect()
    assert back.wait(10)
    ear.wait_for("reconnected")
    assert len(ear.of("error")) >= 3
    assert all("Cannot connect" in str(error) for error in ear.of("error"))


def test_promise_5_the_first_connection_is_not_retried(client: MakeClient) -> None:
    """connect() says at once that nobody listens."""
    with Refuser() as refuser:
        c = client(f"ws://127.0.0.1:{refuser.port}/ws")
        with pytest.raises(EToroWebSocketError, match=r"Cannot connect to 127\.0\.0\.1"):
            c.connect()
        assert c.stats().connect_attempts == 1
        assert c.state is ClientState.FAILED


@pytest.mark.parametrize("code", FATAL)
def test_promise_6_rejected_credentials_raise_from_connect(
    raw_server: StartServer, client: MakeClient, code: str
) -> None:
    """One attempt, EToroAuthError with eToro's code, and no key in its text."""

    def reject(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate(code, f"no such key {API_KEY}/{USER_KEY}")
        peer.serve()

    server = raw_server(reject)
    c = client(server.url)
    with pytest.raises(EToroAuthError) as caught:
        c.connect()
    assert caught.value.error_code == code
    assert API_KEY not in str(caught.value)
    assert USER_KEY not in str(caught.value)
    assert server.connections == 1
    assert c.state is ClientState.FAILED


def test_promise_6_credentials_that_are_rejected_later_end_the_client_at_once(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A revoked key ends the client on the reconnect, whatever attempts were left."""

    def revoked(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate("InvalidKey", "revoked")
        peer.serve()

    server = raw_server([live_then_reset, revoked])
    c = client(server.url, reconnect_attempts=None)
    with pytest.raises(EToroAuthError, match="revoked"):
        connect_and_run(c)
    assert server.connections == 2


def told(caplog: pytest.LogCaptureFixture, error: BaseException, words: str) -> int:
    """Return how often *words* stand in the log and in the traceback."""
    return (caplog.text + "".join(traceback.format_exception(error))).count(words)


def test_promise_6_a_rejected_key_is_told_once(
    raw_server: StartServer, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """connect() raises it; the log and the chain of causes do not say the same again."""

    def reject(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate("InvalidKey", "no such key")
        peer.serve()

    c = client(raw_server(reject).url)
    ear = Ear(c)
    with pytest.raises(EToroAuthError) as caught:
        c.connect()
    (error,) = ear.wait_for("error")
    assert str(error) == str(caught.value)
    assert told(caplog, caught.value, "no such key") == 1


def test_promise_6_a_server_that_cannot_be_reached_is_told_once(
    client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """However early the attempt fails: before connect() has begun to wait, perhaps."""
    with Refuser() as refuser:
        for _ in range(20):
            with pytest.raises(EToroWebSocketError) as caught:
                client(refuser.url).connect()
    assert told(caplog, caught.value, str(caught.value)) == 1


@pytest.mark.parametrize("waiting", [True, False], ids=["run_forever", "nobody"])
def test_promise_6_a_key_that_is_rejected_later_is_told_once(
    raw_server: StartServer,
    client: MakeClient,
    caplog: pytest.LogCaptureFixture,
    waiting: bool,
) -> None:
    """By run_forever(), which raises it, or by the log where nobody waits for the end."""
    cut = threading.Event()

    def first(peer: Peer) -> None:
        peer.accept()
        peer.wait(cut)
        peer.reset()

    def revoked(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate("InvalidKey", "revoked")
        peer.serve()

    c = client(raw_server([first, revoked]).url, reconnect_attempts=None)
    ear = Ear(c)
    c.connect()
    if waiting:
        call = run_in_thread(c.run_forever)
        while not core_of(c).lifecycle._waiting:
            assert not call.done()
    cut.set()
    error = call.exception() if waiting else ear.wait_for("error")[-1]
    assert isinstance(error, EToroAuthError)
    c.disconnect()
    logged = [r for r in caplog.records if "revoked" in r.getMessage()]
    assert [r.levelname for r in logged] == ([] if waiting else ["ERROR"])
    assert ["revoked" in str(each) for each in ear.of("error")].count(True) == 1


def test_promise_6_a_code_that_nobody_knows_ends_in_the_error_that_it_would_have_been_at_first(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Whoever asks for other keys after EToroAuthError does so here, too."""

    def refuse(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate("SomethingNew", "sorry")
        peer.serve()

    server = raw_server([live_then_reset, refuse])
    c = client(server.url, reconnect_attempts=3)
    with pytest.raises(EToroAuthError, match=r"Gave up after 3 attempts.*sorry") as caught:
        connect_and_run(c)
    assert caught.value.error_code == "SomethingNew"
    assert caught.value.__cause__ is None
    assert server.connections == 4


@pytest.mark.parametrize("code", ["TooManyRequests", "UnhandledException", "SomethingNew"])
def test_promise_6_a_servers_trouble_is_retried_on_a_reconnect(
    raw_server: StartServer, client: MakeClient, code: str
) -> None:
    """A refusal that is not about the credentials is one failed attempt."""

    def refuse(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate(code, "later")
        peer.serve()

    server = raw_server([live_then_reset, refuse, live])
    c = client(server.url, reconnect_delay=0.001, reconnect_max_delay=0.1)
    ear = Ear(c)
    c.connect()
    ear.wait_for("reconnected")
    delays = [delay for _, delay in ear.of("reconnecting")]
    assert len(delays) == 2
    if code == "TooManyRequests":
        # The slow lane: half the cap at least.
        assert delays[1] >= 0.05
    else:
        assert delays[1] <= 0.002


@pytest.mark.parametrize(
    ("code", "kind"),
    [("TooManyRequests", EToroWebSocketError), ("SomethingNew", EToroAuthError)],
)
def test_promise_6_connect_keeps_the_code_of_any_refusal(
    raw_server: StartServer, client: MakeClient, code: str, kind: type[Exception]
) -> None:
    """An unknown code is an error whose name is kept."""

    def refuse(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate(code)
        peer.serve()

    with pytest.raises(kind) as caught:
        client(raw_server(refuse).url).connect()
    assert caught.value.error_code == code  # type: ignore[attr-defined]


def test_promise_6_missing_credentials_are_told_before_anything_is_sent(
    raw_server: StartServer, client: MakeClient
) -> None:
    """The error names the variable to set."""
    server = raw_server(live)
    c = client(server.url, user_key="")
    with pytest.raises(EToroAuthError, match="ETORO_USER_KEY"):
        c.connect()
    assert server.connections == 0


def test_promise_6_an_unanswered_authentication_times_out_as_an_authentication_error(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Noise before the answer is not the answer, and silence is not success."""

    def noisy(peer: Peer) -> None:
        peer.handshake()
        peer.read_json()
        peer.send_frame(0x2, b"\x00")
        peer.send_text('{"id":"other","success":true,"operation":"Authenticate"}')
        peer.hold()

    c = client(raw_server(noisy).url, auth_timeout=0.2)
    with pytest.raises(EToroAuthError, match="timed out"):
        c.connect()


def test_promise_6_a_session_that_is_authenticated_already_is_authenticated(
    raw_server: StartServer, client: MakeClient
) -> None:
    """SessionAlreadyAuthenticated is no failure."""

    def already(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate("SessionAlreadyAuthenticated")
        peer.serve()

    c = client(raw_server(already).url)
    c.connect()
    assert c.is_authenticated


@pytest.mark.parametrize("code", ["InsufficientPermissions", "Unauthorized"])
def test_promise_6_a_permission_that_is_withdrawn_ends_the_client_at_once(
    raw_server: StartServer, client: MakeClient, code: str
) -> None:
    """On a later connection, for what the key was good for before: asking again cannot help."""

    def live(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.reset()

    def refusing(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge(code, "no")
        peer.wait_closed(5)

    server = raw_server([live, refusing])
    c = client(server.url, reconnect_attempts=9)
    c.subscribe(["private"])
    with pytest.raises(EToroAuthError, match=code):
        connect_and_run(c)
    assert server.connections == 2
