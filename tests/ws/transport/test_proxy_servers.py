"""The whole client through real proxies: HTTP CONNECT and SOCKS5, with and without a password."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from etoro_sync import EToroWebSocketError, WsClient
from etoro_sync.simulator import EToroSimulator
from etoro_sync.ws.core import core_of
from tests.support.clients import API_KEY, USER_KEY, Ear, make_client
from tests.support.proxies import HttpProxy, SocksProxy
from tests.support.raw_server import RawServer, Refuser
from tests.ws.transport.tools import SOON

pytestmark = pytest.mark.heavy

LOGIN = "user:planted-secret"
SECRET = "planted-secret"
#: Options of each way through a proxy: scheme, and user and password.
WAYS = [(scheme, login) for scheme in ("http", "socks5", "socks5h") for login in ("", LOGIN)]


@pytest.fixture(scope="module")
def proxies() -> Iterator[dict[tuple[str, str], HttpProxy]]:
    """HTTP proxies that serve the whole module, since a process takes a second to start."""
    with HttpProxy() as free, HttpProxy(LOGIN) as closed:
        yield {("http", ""): free, ("http", LOGIN): closed}


@pytest.fixture
def simulator() -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> EToroSimulator:
            quiet = {"rate": 0, "nul_interval": 0, "api_key": API_KEY, "user_key": USER_KEY}
            return stack.enter_context(EToroSimulator(**{**quiet, **options}))

        yield start


def url_of(proxy: HttpProxy | SocksProxy, scheme: str, login: str = "") -> str:
    return f"{scheme}://{login and login + '@'}127.0.0.1:{proxy.port}"


@contextlib.contextmanager
def running(
    proxies: dict[tuple[str, str], HttpProxy], scheme: str, login: str
) -> Iterator[HttpProxy | SocksProxy]:
    if scheme == "http":
        yield proxies[scheme, login]
    else:
        with SocksProxy(login) as proxy:
            yield proxy


def get_a_rate(client: WsClient, simulator: EToroSimulator, bid: float) -> None:
    """Subscribe, and receive what the simulator publishes."""
    with client.queue("instrument:rate") as rates:
        client.subscribe([1001], snapshot=True)
        rates.get(timeout=10)
        simulator.publish(1001, Bid=f"{bid}", Ask=f"{bid + 1}")
        instrument_id, rate = rates.get(timeout=10)
    assert (instrument_id, rate.bid, rate.ask) == (1001, bid, bid + 1)


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize(("scheme", "login"), WAYS)
def test_rates_come_through_a_real_proxy(
    proxies: dict[tuple[str, str], HttpProxy], simulator: Any, scheme: str, login: str, tls: bool
) -> None:
    """Connect, authenticate, subscribe, get rates; TLS is between the client and the target."""
    sim = simulator(tls=tls)
    context = sim.client_ssl_context() if tls else None
    with running(proxies, scheme, login) as proxy:
        url = url_of(proxy, scheme, login)
        client = make_client(sim.url, proxy=url, ssl_context=context)
        try:
            client.connect()
            get_a_rate(client, sim, 227.5)
        finally:
            client.disconnect()
        if isinstance(proxy, SocksProxy):
            host = "localhost" if tls and scheme == "socks5h" else "127.0.0.1"
            assert proxy.asked == [(host, sim.port)]


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_the_certificate_behind_a_real_proxy_is_verified(
    proxies: dict[tuple[str, str], HttpProxy], simulator: Any, scheme: str
) -> None:
    """A tunnel is no reason to trust whoever is at its end."""
    sim = simulator(tls=True)
    with running(proxies, scheme, "") as proxy:
        client = make_client(sim.url, proxy=url_of(proxy, scheme))
        with pytest.raises(EToroWebSocketError, match="certificate"):
            client.connect()
    assert not sim.requests


@pytest.mark.parametrize("proxy", [HttpProxy, SocksProxy])
def test_a_proxy_that_comes_back_is_used_again(simulator: Any, proxy: Any) -> None:
    """Its outage is an outage like any other: the connection is lost, then restored."""
    sim = simulator()
    with proxy() as running_proxy:
        scheme = "http" if proxy is HttpProxy else "socks5h"
        options = {"proxy": url_of(running_proxy, scheme), "reconnect_attempts": None}
        client = make_client(sim.url, **options)
        ear = Ear(client)
        try:
            client.connect()
            client.subscribe([1001])
            running_proxy.stop()
            ear.wait_for("close")
            ear.wait_for("reconnecting", 2)
            running_proxy.start()
            assert ear.wait_for("reconnected", timeout=20)[0].topics == ("instrument:1001",)
        finally:
            client.disconnect()


# Refusals


def refused(caplog: pytest.LogCaptureFixture, proxy: str, target: str) -> EToroWebSocketError:
    """Connect in vain; return the error, which shows the password as little as the log does."""
    caplog.set_level(logging.DEBUG)
    client = make_client(target, proxy=proxy)
    with pytest.raises(EToroWebSocketError) as caught:
        client.connect()
    shown = "".join(traceback.format_exception(caught.value))
    for text in (shown, caplog.text, repr(client), repr(core_of(client).options)):
        assert SECRET not in text
    assert "Check the proxy option" in str(caught.value)
    return caught.value


def test_a_403_of_a_real_proxy_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """With the names of the proxy and of the target."""
    with HttpProxy(plugin="tests.support.refusing_plugin.Refuse") as proxy:
        error = refused(caplog, url_of(proxy, "http", LOGIN), "wss://127.0.0.1:1/ws")
    assert str(error).startswith(
        f"The proxy 127.0.0.1:{proxy.port} did not connect to 127.0.0.1:1: "
        "it refused with HTTP 403 Forbidden."
    )
    assert error.error_code == "HTTP 403"


@pytest.mark.parametrize("login", ["", f"user:wrong-{SECRET}", f"other:{SECRET}"])
def test_a_real_http_proxy_refuses_a_wrong_password(
    proxies: dict[tuple[str, str], HttpProxy], caplog: pytest.LogCaptureFixture, login: str
) -> None:
    """Or none, where it wants one."""
    proxy = proxies["http", LOGIN]
    error = refused(caplog, url_of(proxy, "http", login), "wss://127.0.0.1:1/ws")
    assert "refused with HTTP 407 Proxy Authentication Required" in str(error)
    assert error.error_code == "HTTP 407"


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ("", "it wants a way to log in, such as user and password"),
        (f"user:wrong-{SECRET}", "it refused the user and the password"),
        (f"other:{SECRET}", "it refused the user and the password"),
        ("user", "it refused the user and the password"),
    ],
)
def test_a_real_socks_proxy_refuses_a_wrong_password(
    caplog: pytest.LogCaptureFixture, login: str, words: str
) -> None:
    """Or none, where it wants one."""
    with SocksProxy(LOGIN) as proxy:
        error = refused(caplog, url_of(proxy, "socks5", login), "wss://127.0.0.1:1/ws")
        assert not proxy.asked
    assert f"The proxy 127.0.0.1:{proxy.port} did not connect to 127.0.0.1:1: {words}" in str(error)


def test_a_target_that_a_real_proxy_cannot_reach_is_said_so(
    proxies: dict[tuple[str, str], HttpProxy], caplog: pytest.LogCaptureFixture
) -> None:
    """It is the proxy that failed, and the error has its word for it."""
    with Refuser() as nobody, SocksProxy() as socks:
        error = refused(caplog, url_of(socks, "socks5h"), nobody.url)
        assert "it refused with SOCKS code 5, connection refused" in str(error)
        assert error.error_code == "SOCKS 5"
        error = refused(caplog, url_of(proxies["http", ""], "http"), nobody.url)
        assert "it refused with HTTP 502 Bad Gateway" in str(error)


# The environment


@pytest.mark.parametrize(
    ("variables", "way"),
    [
        ({"https_proxy": "http"}, "http"),
        ({"HTTPS_PROXY": "socks5h"}, "socks5h"),
        ({"all_proxy": "socks5h"}, "socks5h"),
        ({"ALL_PROXY": "socks5"}, "socks5"),
        ({"all_proxy": "socks5", "https_proxy": "http"}, "http"),
        ({"all_proxy": "socks5", "no_proxy": "elsewhere.invalid"}, "socks5"),
        ({"all_proxy": "socks5", "no_proxy": "stream.invalid"}, None),
        ({"https_proxy": "http", "no_proxy": ".invalid"}, None),
    ],
)
def test_the_environment_leads_the_client_to_a_real_proxy(
    proxies: dict[tuple[str, str], HttpProxy],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    way: str | None,
) -> None:
    """And where no_proxy says so, past it: the error tells who failed to find the host."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with SocksProxy() as socks:
        ports = {"http": proxies["http", ""].port, "socks5": socks.port, "socks5h": socks.port}
        for name, value in variables.items():
            url = f"{value}://127.0.0.1:{ports[value]}" if value in ports else value
            monkeypatch.setenv(name, url)
        client = make_client("wss://stream.invalid/ws", proxy=None)
        with pytest.raises(EToroWebSocketError) as caught:
            client.connect()
        text = str(caught.value)
        by_name = (
            f"The proxy 127.0.0.1:{ports.get(way or '')} did not connect to stream.invalid:443"
        )
        expected = "Cannot resolve stream.invalid" if way in (None, "socks5") else by_name
        assert expected in text
        # Where nobody calls there is nothing to wait for.
        called = way in ("socks5", "socks5h")
        assert socks.connected.acquire(timeout=SOON if called else 0) == called
        assert socks.asked == ([("stream.invalid", 443)] if way == "socks5h" else [])


# Plain ws://


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
def test_plain_ws_is_refused_through_a_proxy_too(scheme: str) -> None:
    """To another machine by the options; to a proxy on another machine before it is called."""
    proxy = RawServer(lambda peer: peer.wait_closed())
    with proxy:
        with pytest.raises(ValueError, match="must use wss://"):
            make_client("ws://192.0.2.1/ws", proxy=f"{scheme}://127.0.0.1:{proxy.port}")
        client = make_client("ws://127.0.0.1:1/ws", proxy=f"{scheme}://192.0.2.1:{proxy.port}")
        with pytest.raises(EToroWebSocketError, match="plain ws://"):
            client.connect()
    assert proxy.connections == 0
