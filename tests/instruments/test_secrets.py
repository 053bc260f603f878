"""No key can be read off what a request for names raises, logs, shows or writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import EToroError, Instruments
from tests.conftest import StartServer
from tests.instruments.conftest import AskServer, answer, details, item, items
from tests.support.clients import API_KEY, USER_KEY
from tests.support.raw_server import Peer, Refuser
from tests.trust.exposure import Records, assert_hidden, exposed_by

ECHO = f"{API_KEY} {USER_KEY}"


@pytest.fixture
def records() -> Iterator[Records]:
    with Records() as collected:
        yield collected


def responding(raw: bytes) -> Callable[[Peer], object]:
    return lambda peer: peer.respond(raw)


def repeating(status: str) -> Callable[[Peer], object]:
    """Answer with all that was asked, as JSON and in a header."""

    def script(peer: Peer) -> None:
        request = peer.read_request()
        error = {"errorCode": ECHO, "errorMessage": request}
        peer.send(answer(error, status, f"X-Echo: {ECHO}", kind=ECHO))

    return script


def resetting(peer: Peer) -> None:
    peer.read_request()
    peer.reset()


CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SCRIPTS: dict[str, Callable[[Peer], object]] = {
    "refused": repeating(f"401 {ECHO}"),
    "forbidden": repeating(f"403 {ECHO}"),
    "failed": repeating(f"500 {ECHO}"),
    "slow": repeating("429 No"),
    "redirected": responding(
        answer(ECHO.encode(), "302 Found", f"Location: https://{API_KEY}@h.invalid/{USER_KEY}")
    ),
    "html": responding(answer(f"<html>{ECHO}".encode(), kind=ECHO)),
    "broken json": responding(answer(json.dumps([ECHO]).encode()[:-1])),
    "other json": responding(answer([ECHO])),
    "not http": responding(f"{ECHO}\r\n\r\n".encode()),
    "bad status": responding(f"HTTP/1.1 {API_KEY} {USER_KEY}\r\n\r\n".encode()),
    "bad version": responding(f"HTTP/{API_KEY} 200 OK\r\n\r\n".encode()),
    "cut body": responding(answer([ECHO])[:-3]),
    "bad chunk": responding(f"{CHUNKED}{API_KEY}\r\n".encode()),
    "bad length": responding(f"HTTP/1.1 200 OK\r\nContent-Length: {API_KEY}\r\n\r\n".encode()),
    "gzip": responding(answer([ECHO], "200 OK", f"Content-Encoding: {API_KEY}")),
    "reset": resetting,
    "twins": responding(answer(items(item(1, "ABC", API_KEY), item(2, "ABC", USER_KEY)))),
    "names": responding(
        answer({**items(item(1, API_KEY, ECHO)), **details((1, API_KEY, USER_KEY))})
    ),
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_promise_14_no_request_for_names_shows_a_key(
    script: Callable[[Peer], object],
    raw_server: StartServer,
    ask: AskServer,
    records: Records,
    tmp_path: Path,
) -> None:
    """Whatever the server repeats: in words, data, local variables, the log and the file."""
    instruments = ask(raw_server(script), request_timeout=5.0)
    questions: list[Callable[[], Any]] = [
        lambda: instruments.find("ABC", timeout=5),
        lambda: instruments.lookup([1, 2], timeout=5),
    ]
    for question in questions:
        try:
            question()
        except EToroError as error:
            # What a server has sent as candidates reaches the program as it was sent.
            vars(error).pop("candidates", None)
            assert_hidden(exposed_by(error))
    assert_hidden(records.exposed(), shown_by(instruments))
    assert_hidden(*(file.read_text() for file in tmp_path.iterdir()))


def test_promise_14_a_defect_in_a_request_for_names_shows_no_key(
    raw_server: StartServer, ask: AskServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody has expected clears its frames, too."""
    from etoro_sync.instruments.http import Exchange

    def defect(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Exchange, "receive", defect)
    with pytest.raises(ZeroDivisionError) as caught:
        ask(raw_server(lambda peer: peer.wait_closed())).find("ABC")
    assert_hidden(exposed_by(caught.value))


def test_promise_14_a_server_that_is_not_there_learns_nothing(ask: AskServer) -> None:
    """And the error shows nothing."""
    with Refuser() as refuser, pytest.raises(EToroError) as caught:
        ask(f"http://127.0.0.1:{refuser.port}").find("ABC")
    assert_hidden(exposed_by(caught.value))


def test_promise_14_a_key_in_the_place_of_a_symbol_is_not_shown(
    raw_server: StartServer, ask: AskServer, records: Records
) -> None:
    """Neither by the error nor by the log."""
    server = raw_server(responding(answer(items())))
    with pytest.raises(EToroError, match=r"symbol '\*\*\*'") as caught:
        ask(server).find(API_KEY)
    assert_hidden(exposed_by(caught.value), records.exposed())
    assert any("GET api/v1/market-data/search" in each.getMessage() for each in records.records)


def shown_by(instruments: Instruments) -> str:
    """Return what an object and its parts show of themselves."""
    parts = [instruments, *vars(instruments).values()]
    return "\n".join(f"{each!r} {getattr(each, '__dict__', '')!r}" for each in parts)
