"""Requests over real sockets, and servers that answer in every wrong way."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import re
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etoro_sync import (
    EToroAuthError,
    EToroClosedError,
    EToroRestError,
    EToroTimeoutError,
    EToroValidationError,
    Instruments,
)
from etoro_sync.clocks import monotonic
from etoro_sync.instruments.http import Exchange
from etoro_sync.synchronization import Interrupted
from etoro_sync.ws.transport.waker import Waker
from tests.conftest import StartServer
from tests.instruments.conftest import AskServer, Serve, answer, item, items, paths, rest_url
from tests.support.certificates import Certificates
from tests.support.clients import API_KEY, USER_KEY, quick_options
from tests.support.proxies import HttpProxy, SocksProxy
from tests.support.raw_server import Peer
from tests.support.threads import run_in_thread
from tests.support.timing import MS

GOOD = items(item(1, "ABC", "One"))


def test_a_request_has_the_headers_that_etoro_wants(serve: Serve, ask: AskServer) -> None:
    """The two keys and a fresh UUID; and the question says which fields are wanted."""
    server = serve(GOOD)
    for _ in range(2):
        ask(server, cache_dir="").find("ABC")
    first, second = server.peers
    assert first.header("x-api-key") == API_KEY
    assert first.header("x-user-key") == USER_KEY
    assert first.header("Host") == f"127.0.0.1:{server.port}"
    ids = [peer.header("x-request-id") or "" for peer in (first, second)]
    assert all(str(uuid.UUID(each)) == each for each in ids)
    assert ids[0] != ids[1]
    assert first.request.splitlines()[0] == (
        "GET /api/v1/market-data/search?internalSymbolFull=ABC&fields=instrumentId,"
        "internalSymbolFull,displayname&pageSize=100&pageNumber=1 HTTP/1.1"
    )


def test_what_is_asked_for_is_escaped(serve: Serve, ask: AskServer) -> None:
    """No symbol adds a parameter or a header."""
    server = serve(items())
    with pytest.raises(LookupError):
        ask(server).find("A&B=1 #/?\u00e9")
    assert "internalSymbolFull=A%26B%3D1+%23%2F%3F%C3%A9&fields" in paths(server)[0]


def test_an_address_may_have_a_path(serve: Serve) -> None:
    """As that of a gateway."""
    server = serve(GOOD)
    options = quick_options("ws://127.0.0.1:9/ws")
    one = Instruments(options, rest_url=f"{rest_url(server)}/gate/", cache_dir="")
    assert one.find("ABC") == 1
    assert paths(server)[0].startswith("/gate/api/v1/market-data/search?")


# How an answer may come -----------------------------------------------------------------------


BODY = answer(GOOD).partition(b"\r\n\r\n")[2]
RIGHT = {
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (BODY[:9], BODY[9:]))
    + b"0\r\n\r\n",
    "to the end": b"HTTP/1.1 200 OK\r\n\r\n" + BODY,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
    "after 100": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(GOOD),
    "other type": answer(GOOD, kind="text/plain"),
    "with a mark": answer(b"\xef\xbb\xbf" + BODY),
    "identity": answer(GOOD, "200 OK", "Content-Encoding: identity"),
}


@pytest.mark.parametrize("raw", RIGHT.values(), ids=RIGHT)
def test_an_answer_is_read_however_it_comes(raw: bytes, serve: Serve, ask: AskServer) -> None:
    """In pieces, with a length or without."""
    assert ask(serve(raw)).find("ABC") == 1


def test_an_answer_may_come_byte_by_byte(raw_server: StartServer, ask: AskServer) -> None:
    """As long as it is there in time."""

    def drip(peer: Peer) -> None:
        peer.read_request()
        for byte in answer(GOOD):
            peer.send(bytes([byte]))
            time.sleep(0.1 * MS)

    assert ask(raw_server(drip)).find("ABC") == 1


HTML = b"<html><body>Attention Required!</body></html>"
WRONG: dict[str, tuple[bytes, str, str | None]] = {
    "html": (answer(HTML, kind="text/html"), r"no JSON \(text/html\).*proxy, firewall", "HTTP 200"),
    "empty": (answer(b""), "and 0 B that are no JSON", "HTTP 200"),
    "no content": (answer(b"", "204 No Content"), "HTTP 204", "HTTP 204"),
    "a list": (answer([]), "no list 'items'", None),
    "other json": (answer({"items": {}}), "its interface has changed", None),
    "deep": (answer(b"[" * 200_000), "no JSON", "HTTP 200"),
    "not utf-8": (answer(b'{"items": "\xff"}'), "no JSON", "HTTP 200"),
    "404": (answer(HTML, "404 Not Found", kind="text/html"), "HTTP 404 Not Found", "HTTP 404"),
    "403 html": (answer(HTML, "403 Forbidden", kind="text/html"), "firewall", "HTTP 403"),
    "500": (
        answer({"errorCode": "UnhandledException", "errorMessage": "oops"}, "500 Oops"),
        r"UnhandledException \(oops\)",
        "UnhandledException",
    ),
    "not http": (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP", None),
    "no status": (b"HTTP/1.1 abc\r\n\r\n", "not HTTP", None),
    "endless header": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "not HTTP", None),
    "many headers": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "not HTTP", None),
    "nothing": (b"", "not HTTP", None),
    "cut head": (b"HTTP/1.1 200 OK\r\nContent-Le", "no JSON", "HTTP 200"),
    "cut body": (answer(GOOD)[:-5], "broke the answer off", None),
    "cut chunk": (RIGHT["chunked"][:-20], "broke the answer off", None),
    "json of a firewall": (answer({"message": "No"}, "403 No"), "HTTP 403 Forbidden:", "HTTP 403"),
    "busy": (
        answer({}, "429 No", "Retry-After: 9999"),
        "wait for 9999 s.*: no errorCode",
        "HTTP 429",
    ),
    "a list of a failure": (
        answer([1], "500 Oh"),
        "500 Internal Server Error: no errorCode",
        "HTTP 500",
    ),
    "cut json": (RIGHT["to the end"][:-5], "no JSON", "HTTP 200"),
    "gzip": (
        answer(gzip.compress(BODY), "200 OK", "Content-Encoding: gzip"),
        "compressed its answer",
        None,
    ),
}


@pytest.mark.parametrize(("raw", "words", "code"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_apart(
    raw: bytes, words: str, code: str | None, serve: Serve, ask: AskServer
) -> None:
    """What came, from where, and what to do."""
    server = serve(raw)
    with pytest.raises(EToroRestError, match=words) as caught:
        ask(server).find("ABC")
    assert caught.value.error_code == code
    assert f"127.0.0.1:{server.port}" in str(caught.value) or "no list" in str(caught.value)
    assert "Attention" not in str(caught.value)


def test_an_answer_that_is_too_long_is_not_read(serve: Serve, ask: AskServer) -> None:
    """Whether it says so before or not."""
    long = b"[" + b" " * 5000
    for raw in (answer(long), b"HTTP/1.1 200 OK\r\n\r\n" + long):
        with pytest.raises(EToroRestError, match="more than 2048 B, which max_message_bytes"):
            ask(serve(raw), max_message_bytes=2048).find("ABC")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_redirects_are_refused(status: str, serve: Serve, ask: AskServer) -> None:
    """The keys never travel to where a server points."""
    goal = serve(GOOD)
    server = serve(answer(b"", status, f"Location: {rest_url(goal)}/api"))
    with pytest.raises(EToroRestError, match="Redirects are not followed") as caught:
        ask(server).find("ABC")
    assert caught.value.error_code == f"HTTP {status[:3]}"
    assert goal.connections == 0


def test_a_redirect_is_refused_whatever_follows(serve: Serve, ask: AskServer) -> None:
    """Its page is not waited for."""
    server = serve(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 99\r\n\r\nMoved")
    with pytest.raises(EToroRestError, match="Redirects are not followed"):
        ask(server).find("ABC")


@pytest.mark.parametrize(
    ("raw", "words", "code"),
    [
        (answer({"errorCode": "InvalidKey"}, "401 No"), "rejected the keys", "InvalidKey"),
        (answer(b"", "401 Unauthorized"), "ETORO_API_KEY", "HTTP 401"),
        (answer({"errorCode": "Forbidden"}, "403 No"), "market-data:read", "Forbidden"),
        (
            answer({"errorCode": "InsufficientPermissions"}, "403 No"),
            "market-data:read",
            "InsufficientPermissions",
        ),
    ],
)
def test_rejected_keys_are_told(
    raw: bytes, words: str, code: str, serve: Serve, ask: AskServer
) -> None:
    """With the error that a client raises, too, and without another attempt."""
    server = serve(raw)
    with pytest.raises(EToroAuthError, match=words) as caught:
        ask(server).find("ABC")
    assert caught.value.error_code == code
    assert server.connections == 1


# Patience -------------------------------------------------------------------------------------


def test_a_request_is_repeated_when_the_server_asks_to_wait(serve: Serve, ask: AskServer) -> None:
    """As long as it says."""
    late = answer({}, "429 Too Many Requests", "Retry-After: 1")
    begin = monotonic()
    assert ask(serve(late, GOOD)).find("ABC") == 1
    assert monotonic() - begin >= 1


def test_a_date_to_wait_for_is_understood(serve: Serve, ask: AskServer) -> None:
    """By the server's own clock."""
    date = "Date: Sun, 06 Nov 1994 08:49:37 GMT"
    until = "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT"
    busy = answer({}, "503 Service Unavailable", date, until)
    assert ask(serve(busy, GOOD)).find("ABC") == 1


def test_a_server_that_always_asks_to_wait_is_given_up(serve: Serve, ask: AskServer) -> None:
    """After three attempts."""
    server = serve(answer({}, "429 Too Many Requests", "Retry-After: 0"))
    with pytest.raises(EToroRestError, match="HTTP 429") as caught:
        ask(server).find("ABC")
    assert caught.value.retry_after == 0
    assert server.connections == 3


def test_a_long_wait_is_left_to_the_program(serve: Serve, ask: AskServer) -> None:
    """It is told how long; and until then others of the same object are not sent either."""
    server = serve(answer({}, "429 Too Many Requests", "Retry-After: 7200"))
    instruments = ask(server)
    with pytest.raises(EToroRestError, match="asks to wait for 7200 s") as caught:
        instruments.find("ABC")
    assert caught.value.retry_after == 7200
    with pytest.raises(EToroRestError, match="lets no request pass for 3600 s"):
        instruments.find("ABC")
    assert server.connections == 1


@pytest.mark.parametrize("asked", [None, "soon", "-5", "1.5", "9" * 20, "Wed, 99 Nov 2026"])
def test_without_a_wait_that_can_be_understood_it_is_ten_seconds(
    asked: str | None, serve: Serve, ask: AskServer
) -> None:
    """Too many requests are too many, also where the server does not say for how long."""
    header = [] if asked is None else [f"Retry-After: {asked}"]
    server = serve(answer({}, "429 Too Many Requests", *header))
    instruments = ask(server)
    with pytest.raises(EToroRestError, match="HTTP 429"):
        instruments.find("ABC", timeout=5)
    with pytest.raises(EToroRestError, match=r"lets no request pass for \d+ s"):
        instruments.find("ABC", timeout=1)
    assert server.connections == 1


def test_a_wait_that_is_longer_than_the_timeout_is_not_begun(serve: Serve, ask: AskServer) -> None:
    """The answer that asked for it is raised at once."""
    server = serve(answer({}, "429 Too Many Requests", "Retry-After: 30"))
    begin = monotonic()
    with pytest.raises(EToroRestError, match="HTTP 429"):
        ask(server).find("ABC", timeout=10)
    assert monotonic() - begin < 9


def test_a_silent_server_is_given_up(raw_server: StartServer, ask: AskServer) -> None:
    """After request_timeout for all of its answer, however slowly it drips."""

    def drip(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n")
        for _ in range(1000):
            peer.send(b"X: y\r\n")
            time.sleep(20 * MS)

    for script in (drip, lambda peer: peer.wait_closed()):
        with pytest.raises(EToroRestError, match="did not answer in time") as caught:
            ask(raw_server(script), request_timeout=200 * MS).find("ABC")
        assert isinstance(caught.value.__cause__, TimeoutError)


FLOODS = {
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "tiny chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
}


def flood(begin: bytes, piece: bytes, started: threading.Event) -> Callable[[Peer], object]:
    """Send without an end."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(begin)
        with contextlib.suppress(OSError):
            while True:
                peer.send(piece * 1000)
                started.set()

    return script


@pytest.mark.parametrize(("begin", "piece"), FLOODS.values(), ids=FLOODS)
def test_a_server_that_never_stops_sending_is_given_up(
    begin: bytes, piece: bytes, raw_server: StartServer, ask: AskServer
) -> None:
    """After request_timeout, although there is always something to read."""
    server = raw_server(flood(begin, piece, threading.Event()))
    with pytest.raises(EToroRestError, match="did not answer in time"):
        ask(server, request_timeout=100 * MS).find("ABC")


def test_an_answer_without_an_end_is_read_to_the_limit(
    raw_server: StartServer, ask: AskServer
) -> None:
    """And not until the time is over, for memory ends earlier."""
    server = raw_server(flood(b"HTTP/1.1 200 OK\r\n\r\n", b" ", threading.Event()))
    with pytest.raises(EToroRestError, match="more than 2048 B"):
        ask(server, max_message_bytes=2048).find("ABC")


def test_close_ends_a_request_in_a_flood(raw_server: StartServer, ask: AskServer) -> None:
    """It does not wait until there is nothing to read."""
    started = threading.Event()
    instruments = ask(raw_server(flood(*FLOODS["continue"], started)), request_timeout=60.0)

    def find() -> None:
        with pytest.raises(EToroClosedError):
            instruments.find("ABC")

    running = run_in_thread(find)
    assert started.wait(5)
    instruments.close()
    running.wait()


class Stream:
    """A server from which there is always something to read."""

    unsent = b""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces

    def write(self, data: bytes) -> None:
        pass

    def read(self) -> bytes:
        return next(self.pieces, b"")


@pytest.mark.parametrize(("stopped", "error"), [(True, Interrupted), (False, EToroTimeoutError)])
def test_the_clock_is_looked_at_while_there_is_something_to_read(
    stopped: bool, error: type[Exception]
) -> None:
    """And so is close()."""
    stream = Stream(itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"))
    waker = Waker()
    if stopped:
        waker.stop()
    exchange = Exchange(stream, waker, monotonic() + stopped * 600, "there")  # type: ignore[arg-type]
    with pytest.raises(error):
        exchange.get("/", {}, 10_000)
    waker.close()


def test_what_came_while_the_process_stood_still_is_read() -> None:
    """Although it is late then, and has to be read in several pieces."""
    stream = Stream(bytes([each]) for each in answer(GOOD))
    waker = Waker()
    exchange = Exchange(stream, waker, monotonic() - 60, "there")  # type: ignore[arg-type]
    assert exchange.get("/", {}, 10_000).status == 200
    waker.close()


# The keys, TLS and proxies are the client's ---------------------------------------------------


def test_keys_may_be_functions(serve: Serve, ask: AskServer) -> None:
    """Called before each request."""
    keys = iter(["first-key", "second-key"])
    server = serve(GOOD)
    instruments = ask(server, cache_dir="", api_key=lambda: next(keys))
    instruments.search("ABC")
    instruments.search("ABC")
    assert [peer.header("x-api-key") for peer in server.peers] == ["first-key", "second-key"]
    with pytest.raises(EToroAuthError, match="raised StopIteration"):
        instruments.search("ABC")


@pytest.mark.parametrize(
    ("key", "kind", "words"),
    [
        (lambda: "", EToroAuthError, "missing"),
        (lambda: "a\nb", EToroValidationError, "control characters"),
        ("schl\u00fcssel", EToroAuthError, "no HTTP header"),
    ],
)
def test_keys_that_cannot_be_sent_are_told(
    key: Any, kind: type[Exception], words: str, serve: Serve, ask: AskServer
) -> None:
    """None of them adds a header of its own."""
    server = serve(GOOD)
    with pytest.raises(kind, match=words):
        ask(server, api_key=key).find("ABC")
    assert server.connections == 0


def test_tls_is_spoken_and_verified(
    serve: Serve, ask: AskServer, certificates: Certificates
) -> None:
    """By the context of the options; without it, the authority is unknown."""
    server = serve(GOOD, tls=certificates.server)
    assert rest_url(server).startswith("https://localhost:")
    assert ask(server, ssl_context=certificates.client).find("ABC") == 1
    with pytest.raises(EToroRestError, match="is not trusted") as caught:
        ask(server, cache_dir="").find("ABC")
    assert "ws" not in str(caught.value)


@pytest.mark.parametrize("name", ["wrong_host", "expired", "untrusted"])
def test_a_wrong_certificate_is_refused(
    name: str, raw_server: StartServer, ask: AskServer, certificates: Certificates
) -> None:
    """Before the keys are sent."""
    server = raw_server(lambda peer: peer.read_request(), getattr(certificates, name))
    with pytest.raises(EToroRestError, match="is not trusted"):
        ask(server, ssl_context=certificates.client).find("ABC")
    assert not any(peer.request for peer in server.peers)


def test_a_context_that_verifies_nothing_is_refused() -> None:
    """Although it was no danger for the address of the stream."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    options = quick_options("wss://localhost:9/ws", ssl_context=context)
    with pytest.raises(EToroValidationError, match="verifies no certificate"):
        Instruments(options, rest_url="https://example.invalid", cache_dir="")


@pytest.mark.heavy
def test_requests_go_through_the_proxy(
    serve: Serve, ask: AskServer, certificates: Certificates
) -> None:
    """HTTP and SOCKS5; one that refuses is named, and its password is not."""
    server = serve(GOOD, tls=certificates.server)

    def find(proxy: str) -> int:
        return ask(server, ssl_context=certificates.client, proxy=proxy, cache_dir="").find("ABC")

    with HttpProxy("user:pass") as proxy, SocksProxy() as socks:
        assert find(f"http://user:pass@127.0.0.1:{proxy.port}") == 1
        assert find(f"socks5h://127.0.0.1:{socks.port}") == 1
        assert socks.asked == [("localhost", server.port)]
        with pytest.raises(EToroRestError, match="HTTP 407") as caught:
            find(f"http://user:wrong-password@127.0.0.1:{proxy.port}")
        assert "wrong-password" not in str(caught.value)


def test_a_proxy_elsewhere_gets_no_keys(serve: Serve, ask: AskServer) -> None:
    """Those of a request to this machine would travel to it in the clear."""
    with pytest.raises(EToroRestError, match=re.escape("plain http://")) as caught:
        ask(serve(GOOD), proxy="http://proxy.invalid:3128").find("ABC")
    assert "ws" not in str(caught.value)
