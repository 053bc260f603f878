"""Each step can fail, is then the last one, and says what to do; without a fault all succeed."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import EToroValidationError, clocks
from etoro_sync.doctor import Outcome, Step, examine
from etoro_sync.doctor.conversation import Conversation
from etoro_sync.doctor.examination import Examination
from etoro_sync.doctor.plan import Plan
from etoro_sync.simulator import EToroSimulator
from tests.conftest import MakeSimulator, StartServer
from tests.doctor.tools import API_KEY, QUICK, USER_KEY, examined, failed, step
from tests.support.certificates import Certificates
from tests.support.clients import quick_options
from tests.support.proxies import HttpProxy, SocksProxy
from tests.support.raw_server import BINARY, CLOSE, TEXT, Peer, Refuser, frame
from tests.support.timing import MS

STEPS = (
    *("environment", "keys", "proxy", "DNS", "TCP", "TLS", "handshake", "authentication"),
    *("subscription", "snapshot", "rate", "order events", "traffic", "clock"),
)


def test_all_steps_succeed_without_a_fault(service: EToroSimulator) -> None:
    """They are taken in order on one connection, and each says what it has found."""
    seen: list[Step] = []
    report = examined(service.url, {"on_step": seen.append})
    assert report.ok, str(report.failure)
    assert [each.name for each in report.steps] == [each.name for each in seen] == list(STEPS)
    assert all(each.found and not each.remedy for each in report.steps)
    assert service.connections == 1
    assert report.deviations == []
    assert report.traffic["snapshots"] == 1
    assert report.traffic["rates"] >= 1
    assert "rates: " in step(report, "traffic").found
    assert "snapshots" not in step(report, "traffic").details  # it came before
    assert step(report, "traffic").notes[0].startswith("a ping was answered after ")
    assert step(report, "handshake").details["status"] == "HTTP/1.1 101 Switching Protocols"
    assert step(report, "handshake").details["server"]
    assert step(report, "TCP").details["family"] == "IPv4"
    assert step(report, "TLS").outcome is Outcome.SKIPPED


def test_tls_is_described(certificates: Certificates, simulator: MakeSimulator) -> None:
    """Version, issuer and end of the certificate are named."""
    sim = simulator(tls=True, rate=200, mix="full")
    report = examined(sim.url, ssl_context=sim.client_ssl_context())
    assert report.ok, str(report.failure)
    details = step(report, "TLS").details
    assert details["version"] == "TLSv1.3"
    assert details["issuer"] in step(report, "TLS").found
    assert "trustme" in details["issuer"]
    assert details["not_after"].endswith("GMT")
    assert step(report, "TLS").found.endswith(f", valid until {details['not_after']}")


# -- this machine ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "found"),
    [("https://ws.etoro.com/ws", "scheme of wss"), ("ws://ws.etoro.com/ws", "plain ws://")],
)
def test_an_address_that_cannot_be_one(
    url: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step of the environment names the variable."""
    monkeypatch.setenv("ETORO_WS_URL", url)
    failure = failed(examine(), "environment")
    assert failure.found.startswith("ETORO_WS_URL: ")
    assert found in failure.found


def test_tls_that_cannot_be_prepared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: EToroSimulator
) -> None:
    """A forgotten variable is named before anything is connected."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys.log"))
    failure = failed(examined(service.url), "environment")
    assert "SSLKEYLOGFILE" in failure.found
    assert service.connections == 0


def test_versions_and_the_names_of_variables_are_reported(
    service: EToroSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names only, since a variable may hold a password."""
    monkeypatch.setenv("https_proxy", "http://user:password@proxy.example.test:3128")
    report = examined(service.url)
    details = step(report, "environment").details
    assert "https_proxy" in details["variables"]
    assert {"python", "openssl", "websocket_client", "json"} <= details.keys()
    assert "password" not in report.to_markdown()


@pytest.mark.parametrize(
    ("api_key", "user_key", "found"),
    [
        ("", "", "ETORO_API_KEY and ETORO_USER_KEY are not set"),
        (API_KEY, "", "ETORO_USER_KEY is not set"),
        ("...", USER_KEY, "ETORO_API_KEY holds a placeholder"),
        (API_KEY, "<your user key>", "ETORO_USER_KEY holds a placeholder"),
        ("YOUR_API_KEY", USER_KEY, "ETORO_API_KEY holds a placeholder"),
        ("xxxxxxxx-xxxx-xxxx-xxxx", USER_KEY, "ETORO_API_KEY holds a placeholder"),
        ("changeme", USER_KEY, "ETORO_API_KEY holds a placeholder"),
        (f'"{API_KEY}"', USER_KEY, "quotation mark"),
        (f"{API_KEY} twice", USER_KEY, "blank"),
    ],
)
def test_keys_that_cannot_be_right(
    api_key: str, user_key: str, found: str, service: EToroSimulator
) -> None:
    """They are not sent, and the remedy says where to get them."""
    report = examined(service.url, api_key=api_key, user_key=user_key)
    assert found in failed(report, "keys").found
    assert service.connections == 0


def test_keys_of_the_environment_that_a_client_would_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the options refuse is a step that has failed, too."""
    monkeypatch.setenv("ETORO_API_KEY", "planted\x07key-0123456789")
    monkeypatch.setenv("ETORO_USER_KEY", USER_KEY)
    assert "control characters" in failed(examine(), "keys").found


def test_a_function_for_a_key_that_raises(service: EToroSimulator) -> None:
    """The doctor calls it as a client does."""

    def broken() -> str:
        raise OSError("the vault is shut")

    failure = failed(examined(service.url, api_key=broken), "keys")
    assert "raised OSError" in failure.found
    assert "vault" not in str(failure)


def test_keys_that_look_odd_are_only_noted(service: EToroSimulator) -> None:
    """Whether they are wrong is for the service to say."""
    report = examined(service.url, api_key=USER_KEY, user_key="tiny")
    notes = step(report, "keys").notes
    assert any("look swapped" in note for note in notes)
    assert any("user key is shorter" in note for note in notes)
    failed(report, "authentication")


@pytest.mark.parametrize("api_key", [API_KEY, f"eyJ{API_KEY}"])
def test_usual_keys_have_no_note(api_key: str, service: EToroSimulator) -> None:
    """Only a pair that looks exchanged does."""
    report = examined(service.url, api_key=api_key)
    assert step(report, "keys").notes == ()


# -- the way there --------------------------------------------------------------------------


def test_a_proxy_that_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step of the proxy fails before anything is resolved."""
    monkeypatch.setenv("https_proxy", "ftp://proxy.example.test:21")
    report = examined("wss://ws.example.test/ws", proxy=None)
    assert "ftp:// is not supported" in failed(report, "proxy").found


def test_a_proxy_that_is_not_used_is_noted(
    monkeypatch: pytest.MonkeyPatch, service: EToroSimulator
) -> None:
    """Users wonder why their proxy has no effect."""
    monkeypatch.setenv("https_proxy", "http://proxy.example.test:3128")
    report = examined(service.url, proxy=None)
    assert "does not apply" in step(report, "proxy").notes[0]
    assert "no_proxy" in step(report, "proxy").notes[0]


@pytest.mark.parametrize("variable", ["https_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, and the remedy is about it when the proxy is not there."""
    with Refuser() as refuser:
        monkeypatch.setenv("http_proxy", "http://another.example.test:1")
        monkeypatch.setenv(variable, f"http://127.0.0.1:{refuser.port}")
        report = examined("wss://ws.example.test/ws", proxy=None)
    assert step(report, "proxy").found == (
        f"http://127.0.0.1:{refuser.port}, from {variable.lower()}"
    )
    assert "no_proxy" in failed(report, "TCP").remedy


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy speaks of the name and the network."""

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    failure = failed(examined("wss://ws.example.test/ws"), "DNS")
    assert "Cannot resolve ws.example.test: Name or service not known" in failure.found
    assert "ETORO_WS_URL" in failure.remedy


def test_a_port_that_refuses() -> None:
    """The step of TCP fails; on this machine no firewall is blamed for it."""
    with Refuser() as refuser:
        failure = failed(examined(refuser.url), "TCP")
    assert "refused" in failure.found
    assert "No program of this machine listens there" in failure.remedy


def test_a_host_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step ends by connect_timeout."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:  # the queue of the listener is full then, and SYNs are dropped
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
            report = examined(f"ws://127.0.0.1:{port}/ws", connect_timeout=150 * MS)
        finally:
            for each in waiting:
                each.close()
    if report.steps[-1].name == "handshake":
        pytest.skip("this system completes connections beyond the queue of a listener")
    assert "did not answer within" in failed(report, "TCP").found


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_the_way_through_a_proxy(
    scheme: str, resolve: Callable[[str, str], None], simulator: MakeSimulator
) -> None:
    """The tunnel is a step of its own, and TLS is that of the target."""
    sim = simulator(tls=True, rate=200, mix="full")
    with HttpProxy() if scheme == "http" else SocksProxy() as proxy:
        report = examined(
            sim.url,
            proxy=f"{scheme}://127.0.0.1:{proxy.port}",
            ssl_context=sim.client_ssl_context(),
        )
    assert report.ok, str(report.failure)
    assert [each.name for each in report.steps][2:7] == ["proxy", "DNS", "TCP", "tunnel", "TLS"]
    assert f"{scheme}://127.0.0.1:{proxy.port}, from the option" in step(report, "proxy").found


def test_a_proxy_that_wants_a_login(service: EToroSimulator) -> None:
    """The step of the tunnel fails with the proxy's status."""
    with HttpProxy("user:another-password") as proxy:
        report = examined(service.url, proxy=f"http://user:planted@127.0.0.1:{proxy.port}")
    failure = failed(report, "tunnel")
    assert "HTTP 407" in failure.found
    assert "wants a login" in failure.remedy


@pytest.mark.parametrize(
    ("server", "found", "remedy"),
    [
        ("untrusted", "not trusted", "If the server is yours, set SSL_CERT_FILE"),
        ("expired", "expired", "Check the clock of this machine"),
        ("wrong_host", "not trusted", "another server answers for this name"),
    ],
)
def test_certificates_that_are_not_trusted(
    server: str, found: str, remedy: str, certificates: Certificates, raw_server: StartServer
) -> None:
    """The issuer is named, which says who stands on the way."""
    made = raw_server(lambda peer: peer.wait_closed(), getattr(certificates, server))
    seen: list[Step] = []
    report = examined(made.url, {"on_step": seen.append}, ssl_context=certificates.client)
    assert found in failed(report, "TLS").found
    assert remedy in failed(report, "TLS").remedy
    assert "issued by trustme" in seen[-1].notes[0]


def test_an_authority_that_inspects_traffic_is_named_as_such(
    certificates: Certificates, raw_server: StartServer, resolve: Callable[[str, str], None]
) -> None:
    """For another machine's name an unknown authority means a proxy that inspects TLS."""
    resolve("ws.example.test", "127.0.0.1")
    made = raw_server(lambda peer: peer.wait_closed(), certificates.untrusted)
    report = examined(f"wss://ws.example.test:{made.port}/ws", ssl_context=certificates.client)
    assert "SSL_CERT_FILE" in failed(report, "TLS").remedy
    assert "trustme" not in report.to_markdown()  # it may be the name of an employer


def test_a_variable_that_is_not_read_is_the_remedy(
    certificates: Certificates,
    raw_server: StartServer,
    resolve: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Users have set what other programs read, and it names the very file that is missing here."""
    resolve("ws.example.test", "127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/corporation.pem")
    made = raw_server(lambda peer: peer.wait_closed(), certificates.untrusted)
    report = examined(f"wss://ws.example.test:{made.port}/ws", ssl_context=certificates.client)
    assert "/etc/corporation.pem, but is not read here" in failed(report, "TLS").remedy


def test_a_trusted_authority_that_is_not_public_is_noted(
    resolve: Callable[[str, str], None], simulator: MakeSimulator
) -> None:
    """Someone may read along; it is no failure, since the user trusts that authority."""
    resolve("ws.example.test", "127.0.0.1")
    sim = simulator(tls=True)
    context = sim.client_ssl_context()
    context.check_hostname = False
    report = examined(
        f"wss://ws.example.test:{sim.port}/ws", ssl_context=context, allow_unverified_tls=True
    )
    assert "none of the usual public authorities" in step(report, "TLS").notes[0]


def test_a_server_without_tls(raw_server: StartServer) -> None:
    """What a proxy's login page on the wrong port looks like."""
    made = raw_server(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    report = examined(f"wss://localhost:{made.port}/ws")
    failure = failed(report, "TLS")
    assert "does not speak TLS" in failure.found
    assert "Check ETORO_WS_URL" in failure.remedy


def test_tls_that_verifies_nothing_is_refused(resolve: Callable[[str, str], None]) -> None:
    """As by a client; nothing is connected."""
    context = ssl.create_default_context()
    report = None
    resolve("ws.example.test", "127.0.0.1")
    context.check_hostname = False
    with pytest.raises(EToroValidationError):
        report = examined("wss://ws.example.test:1/ws", ssl_context=context)
    assert report is None


@pytest.mark.parametrize(
    "head", [b"\xb2", b"HTTP/1.1 \xb2\xb3 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n<html>"]
)
def test_an_answer_that_is_no_upgrade(head: bytes, raw_server: StartServer) -> None:
    """Whatever it is, it is a step that has failed."""
    made = raw_server(lambda peer: (peer.respond(head), peer.close()))
    failed(examined(made.url), "handshake")


@pytest.mark.parametrize(
    ("status", "remedy"),
    [(403, "refuses WebSockets"), (502, "wait some minutes"), (404, "Check"), (429, "as it asks")],
)
def test_a_gateway_that_refuses_the_upgrade(
    status: int, remedy: str, service: EToroSimulator
) -> None:
    """The status is named, and the remedy depends on it."""
    service.fault("http_status", status=status)
    failure = failed(examined(service.url), "handshake")
    assert f"HTTP {status}" in failure.found
    assert remedy in failure.remedy


def test_a_redirect_is_not_followed(service: EToroSimulator) -> None:
    """The keys would be sent to another host."""
    service.fault("redirect", location="ws://other.example.test/ws")
    failure = failed(examined(service.url), "handshake")
    assert failure.notes[0].startswith("The answer was HTTP/1.1 30")
    assert "login page" in failure.remedy


def test_a_server_that_answers_no_handshake(service: EToroSimulator) -> None:
    """The step that hangs is the one that fails."""
    service.fault("no_handshake", during="handshake")
    report = examined(service.url, connect_timeout=150 * MS)
    assert "did not finish" in failed(report, "handshake").found


# -- keys and topics ------------------------------------------------------------------------


def test_refused_keys(service: EToroSimulator) -> None:
    """Two attempts in all: the second one tries whether the keys are swapped."""
    report = examined(service.url, api_key="another-key-0123456789")
    failure = failed(report, "authentication")
    assert "InvalidKey" in failure.found
    # Not whether they are swapped, which is answered below.
    assert "Copy both" in failure.remedy
    assert "In exchanged places they were refused, too." in failure.notes
    assert any("left the connection open" in note for note in failure.notes)
    assert service.connections == 2


def test_equal_keys_are_not_tried_in_exchanged_places(service: EToroSimulator) -> None:
    """That would be the same attempt once more."""
    report = examined(service.url, api_key=API_KEY, user_key=API_KEY)
    notes = failed(report, "authentication").notes
    assert not any("exchanged" in note for note in notes)
    assert service.connections == 1


def test_what_the_server_does_after_a_refusal(raw_server: StartServer) -> None:
    """Nobody has reported it: whether it closes, and with which code."""

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate("InvalidKey")
        peer.send_close(4003, "bye")

    report = examined(raw_server(script).url)
    assert "4003" in failed(report, "authentication").notes[0]
    assert [each.what for each in report.deviations] == ["4003"]


def test_a_refusal_without_a_code(raw_server: StartServer) -> None:
    """It is one all the same, and no timeout."""

    def script(peer: Peer) -> None:
        peer.handshake()
        request = peer.read_json()
        peer.send_json({"id": request["id"], "success": False, "operation": "Authenticate"})
        peer.wait_closed()

    report = examined(raw_server([script, failing_handshake]).url)
    failure = failed(report, "authentication")
    assert "no errorCode" in failure.found
    assert "In exchanged places they were not answered." in failure.notes
    assert "are the two swapped" in failure.remedy


def failing_handshake(peer: Peer) -> None:
    """Leave at once."""
    peer.read_request()


def test_swapped_keys(service: EToroSimulator) -> None:
    """The remedy is certain, since the service has accepted them in exchanged places."""
    report = examined(service.url, api_key=USER_KEY, user_key=API_KEY)
    assert "are swapped" in failed(report, "authentication").remedy
    assert service.connections == 2


@pytest.mark.parametrize("code", ["TooManyRequests", "UnhandledException"])
def test_a_refusal_that_is_not_of_the_keys_costs_one_attempt(
    code: str, service: EToroSimulator
) -> None:
    """More attempts would make it worse."""
    service.fault("reject", operation="Authenticate", code=code)
    assert code in failed(examined(service.url), "authentication").found
    assert service.connections == 1


def test_a_key_without_permissions(service: EToroSimulator) -> None:
    """The remedy names scopes, and the keys are not exchanged."""
    service.fault("insufficient_permissions")
    assert "scopes" in failed(examined(service.url), "authentication").remedy
    assert service.connections == 1


def test_an_authentication_that_is_not_answered(service: EToroSimulator) -> None:
    """It ends by auth_timeout, and is no fault of the keys."""
    service.fault("no_answer", operation="Authenticate")
    report = examined(service.url, auth_timeout=150 * MS)
    assert "timed out" in failed(report, "authentication").found
    assert service.connections == 1


def test_a_connection_that_ends_during_the_authentication(service: EToroSimulator) -> None:
    """The close code is in the finding."""
    service.fault("close", code=1008, reason="policy", at="Authenticate")
    assert "1008" in failed(examined(service.url), "authentication").found


def test_keys_that_are_accepted_by_a_server_that_leaves(raw_server: StartServer) -> None:
    """Also if both come in one read: the keys are right, and the remedy must not be about them."""

    def script(peer: Peer) -> None:
        peer.handshake()
        request = peer.read_json()
        answer = {"id": request["id"], "success": True, "operation": "Authenticate"}
        peer.send(frame(TEXT, json.dumps(answer).encode()) + frame(CLOSE, b"\x03\xf4"))

    failure = failed(examined(raw_server(script).url), "subscription")
    assert "1012" in failure.found


def flood(peer: Peer, data: bytes) -> None:
    """Send more than anybody can read, for ever."""
    while True:
        peer.send(data)


#: Long ones, since the number of frames is what costs time.
NULS = frame(BINARY, bytes(60_000)) * 10
TEXTS = frame(TEXT, json.dumps({"messages": [], "more": "x" * 60_000}).encode()) * 10


@pytest.mark.parametrize("data", [NULS, TEXTS], ids=["NULs", "texts"])
def test_a_flood_does_not_hide_that_an_answer_is_missing(
    data: bytes, raw_server: StartServer
) -> None:
    """Where there is always more to read, the step ends all the same."""

    def without_keys(peer: Peer) -> None:
        peer.handshake()
        flood(peer, data)

    def without_topics(peer: Peer) -> None:
        peer.accept()
        flood(peer, data)

    quick = {"auth_timeout": 100 * MS, "request_timeout": 200 * MS}
    report = examined(raw_server(without_keys).url, **quick)
    assert "timed out" in failed(report, "authentication").found
    report = examined(raw_server(without_topics).url, **quick)
    assert "not acknowledged within 0.2 s" in failed(report, "subscription").found


def test_a_subscription_that_is_not_answered(service: EToroSimulator) -> None:
    """The finding names the instrument, and speaks of nothing that only a client does."""
    service.fault("no_answer", operation="Subscribe")
    failure = failed(examined(service.url, request_timeout=150 * MS), "subscription")
    assert failure.found == "instrument:100000 was not acknowledged within 0.15 s."


@pytest.mark.parametrize("code", ["Forbidden", "SubscribeFailed", "NeverHeardOf"])
def test_a_subscription_that_is_refused(code: str, service: EToroSimulator) -> None:
    """The code is in the finding."""
    service.fault("reject", operation="Subscribe", code=code)
    failure = failed(examined(service.url), "subscription")
    assert f"instrument:100000: {code}" in failure.found


def test_no_snapshot(service: EToroSimulator) -> None:
    """The remedy is a look at the id, if it is the user's."""
    for number, remedy in ((18, "etoro-sync find 18"), (100000, "Run it again after")):
        service.fault("no_snapshot", topic=f"instrument:{number}")
        report = examined(service.url, {"instrument_ids": number}, request_timeout=150 * MS)
        failure = failed(report, "snapshot")
        assert f"No snapshot of {number}" in failure.found
        assert remedy in failure.remedy


def test_no_rate(simulator: MakeSimulator) -> None:
    """An open market that is silent is a failure, with bitcoin as the next thing to try."""
    failure = failed(examined(simulator().url, {"instrument_ids": 18}), "rate")
    assert "No rate within" in failure.found
    assert "--instrument 100000" in failure.remedy
    failure = failed(examined(simulator().url), "rate")
    assert "--instrument" not in failure.remedy  # it is bitcoin already
    assert "the fault is eToro's" in failure.remedy


def test_no_rate_of_a_closed_market(simulator: MakeSimulator) -> None:
    """The snapshot has said that it is closed, so silence is as it should be."""
    sim = simulator()
    sim.set_active(100000, False)
    report = examined(sim.url)
    assert report.ok, str(report.failure)
    assert step(report, "rate").outcome is Outcome.SKIPPED
    assert "closed" in step(report, "snapshot").notes[0]


def test_a_rate_is_waited_for_while_one_market_is_open(simulator: MakeSimulator) -> None:
    """One that is closed beside it excuses no silence."""
    sim = simulator()
    sim.set_active(18, False)
    report = examined(sim.url, {"instrument_ids": [18, 100000]})
    assert "No rate within" in failed(report, "rate").found
    assert step(report, "snapshot").notes == ("The market of 18 is closed.",)


def test_order_events_that_are_refused(service: EToroSimulator) -> None:
    """Prices are proven before, and the remedy is the scope or the option that leaves it out."""
    service.fault("reject", operation="Subscribe", code="Forbidden", skip=1, times=1)
    failure = failed(examined(service.url), "order events")
    assert "--no-private" in failure.remedy
    report = examined(service.url, {"private": False})
    assert report.ok
    assert step(report, "order events").outcome is Outcome.SKIPPED


def test_a_connection_that_ends_during_the_traffic(service: EToroSimulator) -> None:
    """How it has ended is in the finding."""

    def cut(taken: Step) -> None:
        if taken.name == "order events":
            service.fault("reset")

    report = examined(service.url, {"seconds": 5.0, "on_step": cut})
    assert "ended" in failed(report, "traffic").found


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_wrong(
    hours: int, service: EToroSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By how much and in which direction is said."""
    right = clocks.wall_clock
    monkeypatch.setattr(clocks, "wall_clock", lambda: right() + 3600 * hours)
    failure = failed(examined(service.url), "clock")
    assert ("ahead of" if hours > 0 else "behind") in failure.found
    assert "timedatectl" in failure.remedy


def test_an_interrupted_step_is_named(
    service: EToroSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one that has taken too long for the user's patience."""

    def press_ctrl_c(talk: Conversation) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Conversation, "await_rate", press_ctrl_c)
    examination = Examination(Plan(), quick_options(service.url, **QUICK))
    with pytest.raises(KeyboardInterrupt):
        examination.run()
    report = examination.report
    assert report.interrupted
    assert str(report.steps[-1]) == "rate: interrupted before its end"
    assert "It was interrupted" in report.to_markdown()
    assert report.traffic["snapshots"] == 1
    service.wait_until(lambda sim: not sim.clients)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"instrument_ids": []}, "instrument_ids"),
        ({"instrument_ids": [0]}, "instrument_ids"),
        ({"instrument_ids": ["BTC"]}, "instrument_ids"),
        ({"seconds": -1}, "seconds"),
        ({"minutes": float("nan")}, "minutes"),
        ({"private": "yes"}, "private"),
        ({"options": "wss://ws.etoro.com/ws"}, "options"),
        ({"instrument_ids": 0}, "instrument_ids"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], name: str) -> None:
    """An error names the argument, before anything is done."""
    with pytest.raises(EToroValidationError) as caught:
        examine(**arguments)
    assert caught.value.field == name


def failing_peer(peer: Peer) -> None:
    """Accept, and leave."""
    peer.accept()


def test_a_server_that_leaves_after_the_authentication(raw_server: StartServer) -> None:
    """The subscription fails, and not with an exception."""
    failed(examined(raw_server(failing_peer).url), "subscription")
