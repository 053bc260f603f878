"""A report can be posted: no keys, no passwords, no names of the user, nothing of the account."""

from __future__ import annotations

import dataclasses
import errno
import getpass
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etoro_sync.doctor import Report, Step
from etoro_sync.doctor.conversation import Conversation
from etoro_sync.doctor.findings import Finding
from etoro_sync.doctor.link import Link
from etoro_sync.doctor.privacy import Scrubber
from etoro_sync.redaction import Redactor
from etoro_sync.simulator import EToroSimulator
from etoro_sync.ws.transport.racing import Failure, Race, RaceLost
from tests.conftest import StartServer
from tests.doctor.tools import API_KEY, USER_KEY, examined, failed, step
from tests.support.raw_server import Peer
from tests.trust.exposure import exposed_by

ECHO = f"{API_KEY} {USER_KEY} {json.dumps(API_KEY)}"
ACCOUNT = "account 987654321 of jane.doe@example.test with 12,345.67 USD"
#: Parts, too: half of a key is no less a secret.
SECRETS = (API_KEY, USER_KEY, API_KEY[:14], USER_KEY[:16], "planted/proxy", "planted%2Fproxy")


def everything(report: Report, seen: list[Step]) -> str:
    """All that a user could post."""
    shown = [report.to_markdown(), json.dumps(report.to_dict()), repr(report)]
    return "\n".join([*shown, *(repr(dataclasses.astuple(each)) for each in seen)])


def refuse(peer: Peer) -> None:
    peer.handshake(extra_headers=[("Set-Cookie", f"session={API_KEY}"), ("X-Echo", ECHO)])
    peer.authenticate("InvalidKey", f"{ECHO} {ACCOUNT}")


def refuse_topics(peer: Peer) -> None:
    peer.accept()
    peer.acknowledge(f"Code{API_KEY}", f"{ECHO} {ACCOUNT}")


def refuse_upgrade(peer: Peer) -> None:
    head = f"HTTP/1.1 403 {ECHO}\r\nServer: {ECHO}\r\nX-{API_KEY}: 1\r\nDate: {ECHO}\r\n\r\n"
    peer.respond(head.encode())


def close(peer: Peer) -> None:
    peer.accept()
    peer.send_close(4001, f"{API_KEY} {ACCOUNT}")


@pytest.mark.parametrize("script", [refuse, refuse_topics, refuse_upgrade, close])
def test_promise_14_a_server_repeats_the_keys(
    script: Callable[[Peer], None], raw_server: StartServer
) -> None:
    """Neither keys nor account are in the report, the data, or what is shown of a step."""
    seen: list[Step] = []
    report = examined(raw_server(script).url, {"on_step": seen.append})
    assert report.failure is not None
    shown = everything(report, seen)
    for secret in (*SECRETS, "987654321", "jane.doe", "12,345", "session="):
        assert secret not in shown, secret
    assert "***" in shown or script is close


def test_events_of_the_account_leave_names_and_types_only(service: EToroSimulator) -> None:
    """Ids, amounts and times of an order are not in any output."""

    def trade(taken: Step) -> None:
        if taken.name == "order events":
            content = {"OrderID": 55512345, "CID": 77798765, "Amount": 1234.56, "Nick": "jane"}
            message = {
                "topic": "private",
                "type": "Trading.Credit.Update",
                "id": "m",
                "content": json.dumps(content),
            }
            service.send_text(json.dumps({"messages": [message]}))

    seen: list[Step] = []
    report = examined(
        service.url, {"on_step": lambda taken: (seen.append(taken), trade(taken)), "seconds": 0.1}
    )
    assert report.ok, str(report.failure)
    shown = everything(report, seen)
    for value in ("55512345", "77798765", "1234.56", "jane"):
        assert value not in shown
    assert "Amount in Trading.Credit.Update of private: number" in shown
    assert "unknown type: Trading.Credit.Update of private" in shown


@pytest.mark.parametrize("address", ["10.255.255.1", "1.1.1.1", "2606:4700::1111"])
def test_the_proxy_is_named_to_its_user_only(
    address: str, resolve: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report has neither its name, nor its address, nor a password."""
    resolve("proxy.corp.example.test", address)

    def lose(race: Race) -> Any:  # no test may depend on what a network does with that address
        error = OSError(errno.ECONNREFUSED, "Connection of jane refused")
        raise RaceLost(Failure((address, 3128), False, error))

    monkeypatch.setattr(Race, "run", lose)
    seen: list[Step] = []
    report = examined(
        "wss://ws.etoro.com/ws",
        {"on_step": seen.append},
        proxy="http://jane:planted%2Fproxy@proxy.corp.example.test:3128",
    )
    failed(report, "TCP")
    assert "proxy.corp.example.test" in seen[2].found
    assert address in seen[-1].found
    shown = everything(report, [])
    for name in ("proxy.corp", address, "jane", *SECRETS):
        assert name not in shown, name
    assert "Connection of <user> refused" in shown
    assert "http://<proxy>:3128, with a login, from the option" in step(report, "proxy").found
    assert "planted" not in everything(report, seen)


def test_a_name_that_a_later_step_finds_is_removed_from_earlier_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The step of the proxy names the host, and that of DNS finds that it is a private address."""

    def lose(race: Race) -> Any:
        raise RaceLost(Failure(("10.255.255.1", 443), False, OSError(errno.ECONNREFUSED, "no")))

    monkeypatch.setattr(Race, "run", lose)
    report = examined("wss://10.255.255.1/ws")
    assert step(report, "proxy").found == "none; <private address>:443 is connected to directly"
    assert "10.255.255.1" not in everything(report, [])


def test_promise_14_a_step_is_masked_before_it_is_shown(
    service: EToroSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a part of the client may say one day, a terminal shows no key."""
    finding = Finding(ECHO, notes=(ECHO,), details={"x": [ECHO]})
    monkeypatch.setattr(Conversation, "judge_clock", lambda talk: finding)
    seen: list[Step] = []
    report = examined(service.url, {"on_step": seen.append})
    assert API_KEY not in f"{seen[-1].found} {seen[-1].notes}"
    assert API_KEY not in everything(report, [])


def test_names_of_this_machine_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Home, user and host, as words of their own."""
    monkeypatch.setattr(Path, "home", lambda: Path("/home/jane.d"))
    monkeypatch.setattr(getpass, "getuser", lambda: "jane.d")
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop7.corp.example.test")
    scrub = Scrubber(Redactor([]))
    assert scrub("/home/jane.d/x.pem of JANE.D") == "~/x.pem of <user>"
    assert scrub("laptop7.corp.example.test, laptop7, laptop77") == "<host>, <host>, laptop77"
    assert scrub.deep({"a": ["jane.d", 1, None]}) == {"a": ["<user>", 1, None]}


def test_promise_14_a_traceback_shows_no_key(
    service: EToroSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even that of Ctrl-C while the keys are on their way: error trackers show variables."""

    def press_ctrl_c(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Link, "read", press_ctrl_c)
    with pytest.raises(KeyboardInterrupt) as caught:
        examined(service.url)
    shown = exposed_by(caught.value)
    assert "self._channel.authenticated" in shown
    assert "Keys()" in shown
    for secret in SECRETS:
        assert secret not in shown


@pytest.mark.parametrize("name", ["root", "ed", ""])
def test_names_of_nobody_stay(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To replace them would garble ordinary words."""
    monkeypatch.setattr(getpass, "getuser", lambda: name)
    assert Scrubber(Redactor([]))("the root ed expired") == "the root ed expired"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Balance 1,234.56 of 987654", "Balance <number> of <number>"),
        ("error 720, code 1008", "error 720, code 1008"),
        ("mail a.b@c.example now", "mail <address> now"),
        ("id 49a22237-0000-4000-8000-000000000000", "id <id>"),
        ("two\nlines", "two\\nlines"),
    ],
)
def test_a_servers_words_lose_what_is_of_the_account(text: str, shown: str) -> None:
    """Codes stay; ids, amounts and addresses do not."""
    assert Scrubber(Redactor([])).foreign(text) == shown


def test_a_servers_words_cannot_leave_their_block(raw_server: StartServer) -> None:
    """A page with them shows text, whatever it says."""

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate("~~~~", "\n~~~~\n# @everyone [x](http://x) <script>")

    page = examined(raw_server(script).url).to_markdown()
    lines = page.splitlines()
    assert sum(line.startswith("~~~~") for line in lines) == 6
    assert not any(line.startswith(("# @", "@", "<")) for line in lines)
