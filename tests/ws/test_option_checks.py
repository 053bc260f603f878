"""What each option may be, and what the error for another value says."""

from __future__ import annotations

import dataclasses
import datetime
import math
import ssl
import sys
from typing import Any

import pytest

from etoro_sync.errors import EToroValidationError
from etoro_sync.ws.options import _CHECKS, DEFAULT_WS_URL, WsClientOptions
from tests.support.foreign import Context, Float, Int, bool_

SECRET = "secret-0123456789"
SECONDS = [
    *("auth_timeout", "connect_timeout", "request_timeout", "close_timeout", "reconnect_delay"),
    *("reconnect_max_delay", "heartbeat_interval", "heartbeat_timeout", "stale_after"),
]
POSITIVE = SECONDS[:4]


def test_every_setting_is_checked() -> None:
    """A new one is not forgotten."""
    assert set(_CHECKS) == {field.name for field in dataclasses.fields(WsClientOptions)}


BAD = [
    *(
        (name, v)
        for name in ("api_key", "user_key")
        for v in (None, 5, b"k", " k", "k\n", "k\x00y")
    ),
    *((name, value) for name in SECONDS for value in (-1, float("nan"), float("inf"), "1", None)),
    *(
        (name, value)
        for name in SECONDS
        for value in (True, 10**400, 1e300, -(10**5000), 1_000_001)
    ),
    *((name, 0) for name in POSITIVE),
    *((name, 0.009) for name in ("heartbeat_interval", "stale_after")),
    *(("conflate_after", value) for value in (-1, float("nan"), "1", True, 1_000_001)),
    *(("reconnect_attempts", value) for value in (-1, 1.5, "1", True, -(10**5000))),
    *(("callback_queue_size", value) for value in (0, -1, 1.5, None, True)),
    *(("max_message_bytes", value) for value in (0, 1023, 2048.0, None, True)),
    *(("ssl_context", value) for value in (5, "x", ssl)),
    *(("allow_unverified_tls", value) for value in (1, "yes", None)),
    *(
        ("proxy", value)
        for value in (5, b"http://h:1", "h:1", "http://h", "http://:1", "ftp://h:1")
    ),
    *(
        ("proxy", value)
        for value in (
            "socks5://h",
            "socks4://h:1080",
            "socks://h:1080",
            "http://h:99999",
            "http://h:x",
            "http://h\r\nX: y:1",
            " ",
        )
    ),
    *(("ws_url", v) for v in (None, 5, b"wss://h", "", "h", "https://h/", "wss://", "wss:///ws")),
    *(
        ("ws_url", v)
        for v in ("wss://h:x/", "wss://h:99999/", "wss://[::1/", "wss://h/ x", "wss://é/")
    ),
    *(
        ("ws_url", v)
        for v in ("wss://u@h/", "wss://u:p@h/", "wss://@h/", "wss://h/#f", "wss://h\\x/")
    ),
    *(("ws_url", v) for v in ("wss://h/\r\nX: y", "wss://ho\nst/", "wss://h/\t", " wss://h/")),
]


@pytest.mark.parametrize(("field", "value"), BAD, ids=[f"{f}-{n}" for n, (f, _) in enumerate(BAD)])
def test_a_bad_value_is_refused_with_the_fields_name(field: str, value: Any) -> None:
    """When the options are made."""
    with pytest.raises(EToroValidationError, match=field) as caught:
        WsClientOptions(**{field: value})
    assert caught.value.field == field
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [-1, math.inf])
def test_who_wants_unlimited_attempts_is_told_how(value: Any) -> None:
    """Other libraries write it as -1."""
    with pytest.raises(EToroValidationError, match="None is unlimited"):
        WsClientOptions(reconnect_attempts=value)


def lenient(verify_mode: ssl.VerifyMode = ssl.CERT_NONE) -> ssl.SSLContext:
    """A context that accepts the certificate of any host, or, without the argument, any at all."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = verify_mode
    return context


@pytest.mark.parametrize(
    ("mode", "words"),
    [(ssl.CERT_NONE, "verifies no certificate"), (ssl.CERT_REQUIRED, "of any host")],
)
def test_a_context_that_anybody_passes_is_refused(mode: ssl.VerifyMode, words: str) -> None:
    """Unless the other end is this machine, or an option allows it."""
    context = lenient(mode)
    for url in (DEFAULT_WS_URL, "wss://192.0.2.1/ws", "wss://localhost.example/"):
        with pytest.raises(EToroValidationError, match=words) as caught:
            WsClientOptions(ws_url=url, ssl_context=context)
        assert caught.value.field == "ssl_context"
        assert "allow_unverified_tls=True" in str(caught.value)
        WsClientOptions(ws_url=url, ssl_context=context, allow_unverified_tls=True)
    for url in ("wss://localhost:1/", "wss://127.0.0.1:1/", "wss://[::1]:1/"):
        WsClientOptions(ws_url=url, ssl_context=context)


@pytest.mark.parametrize("path", ["ws;v=2", "ws;", "a/;b?c", ";"])
def test_what_would_not_be_sent_of_the_url_is_refused(path: str) -> None:
    """websocket-client silently drops the parameters of a path."""
    with pytest.raises(EToroValidationError, match="Write %3B") as caught:
        WsClientOptions(ws_url=f"wss://h/{path}")
    assert caught.value.field == "ws_url"


@pytest.mark.parametrize(
    "values",
    [
        {"reconnect_attempts": None},
        {"reconnect_attempts": 0, "reconnect_delay": 0, "reconnect_max_delay": 0},
        {"heartbeat_interval": 0, "heartbeat_timeout": 0, "stale_after": 0},
        {"heartbeat_interval": 0.01, "heartbeat_timeout": 0.001, "stale_after": 0.01},
        {"conflate_after": None},
        {"conflate_after": 0},
        {"auth_timeout": 0.001, "close_timeout": 1_000_000, "max_message_bytes": 1024},
        {"callback_queue_size": 1, "ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)},
        {"proxy": "http://user:pass@proxy:3128"},
        {"proxy": "socks5://user:pass@proxy:1080"},
        {"proxy": "socks5h://proxy:1080"},
        {"proxy": ""},
        {"ws_url": "wss://example.com:8443/ws?x=1"},
        {"ws_url": "wss://[2001:db8::1]/ws"},
        {"ws_url": "wss://h/a;b/ws%3Bc?d;e"},
    ],
)
def test_good_values_are_taken(values: dict[str, Any]) -> None:
    """At their limits."""
    options = WsClientOptions(**values)
    assert {name: getattr(options, name) for name in values} == values


def test_numbers_of_other_libraries_are_kept_as_pythons() -> None:
    """Such as numpy's: they would look different, and are no JSON."""
    options = WsClientOptions(
        reconnect_attempts=Int(3),
        connect_timeout=Float(1.5),
        stale_after=Int(2),
        callback_queue_size=Int(7),
        max_message_bytes=Int(2048),
        allow_unverified_tls=bool_(True),
    )
    assert "reconnect_attempts=3" in repr(options)
    assert options.allow_unverified_tls is True
    for name in ("reconnect_attempts", "stale_after", "callback_queue_size", "max_message_bytes"):
        assert type(getattr(options, name)) is int
    assert type(options.connect_timeout) is float


@pytest.mark.parametrize(
    ("field", "value", "advice"),
    [
        ("connect_timeout", "5", "Convert it with float()."),
        ("connect_timeout", datetime.timedelta(seconds=5), "Pass its total_seconds()."),
        ("connect_timeout", "soon", "not a str."),
        ("reconnect_attempts", "5", "Convert it with int()."),
        ("reconnect_attempts", "1.5", "not a str."),
    ],
)
def test_the_refusal_of_a_number_says_how_to_convert_it(
    field: str, value: Any, advice: str
) -> None:
    """What comes from a file or the environment is text."""
    with pytest.raises(EToroValidationError) as caught:
        WsClientOptions(**{field: value})
    assert str(caught.value).endswith(advice)


def test_an_ssl_context_is_what_acts_like_one() -> None:
    """A library may have replaced the class, as truststore does, or wrap one of its own."""
    context: Any = Context(ssl.create_default_context())
    assert WsClientOptions(ssl_context=context).ssl_context is context
    for other in (ssl, ssl.SSLContext, ssl.create_default_context, Context, "tls"):
        with pytest.raises(EToroValidationError, match="an object with its wrap_socket"):
            WsClientOptions(ssl_context=other)  # type: ignore[arg-type]


def test_a_class_that_was_patched_still_makes_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was made before the class was replaced, and one that was made after."""
    before: Any = ssl.create_default_context()
    monkeypatch.setattr(ssl, "SSLContext", type("SSLContext", (), {}))
    WsClientOptions(ssl_context=before)
    WsClientOptions(ssl_context=Context(before))  # type: ignore[arg-type]


def test_a_socks_proxy_without_its_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it, and the values still told apart."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    for scheme in ("socks5", "socks5h"):
        with pytest.raises(
            EToroValidationError, match=r'pip install "etoro-sync\[socks\]"'
        ) as caught:
            WsClientOptions(proxy=f"{scheme}://user:{SECRET}@h:1080")
        assert caught.value.field == "proxy"
        assert SECRET not in str(caught.value)
    assert WsClientOptions(proxy="http://h:1080").proxy


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.0.0.2", "127.255.255.254", "[::1]"]
)
def test_plain_ws_is_allowed_to_this_machine(host: str) -> None:
    """With a port and without."""
    for suffix in ("", ":8080", ":8080/ws", "/ws"):
        assert WsClientOptions(ws_url=f"ws://{host}{suffix}").ws_url


@pytest.mark.parametrize(
    "host",
    [
        *("example.com", "localhost.evil.com", "127.0.0.1.evil.com", "evil.com/localhost"),
        *(
            "localhost@evil.com",
            "127.0.0.1@evil.com",
            "localhost:80@evil.com",
            "evil.com#localhost",
        ),
        *("localhost\\@evil.com", "localhost\\.evil.com", "0.0.0.0", "[::]", "[::2]", "10.0.0.1"),
        *("127.1", "2130706433", "0x7f000001", "localhost.", "notlocalhost", "[::ffff:10.0.0.1]"),
        *("128.0.0.1", "evil.com?localhost", "127.0.0.1%00.evil.com", "local\nhost"),
    ],
)
def test_plain_ws_is_refused_to_any_other_machine(host: str) -> None:
    """However much it looks like this one: the keys travel in the first message."""
    with pytest.raises(EToroValidationError) as caught:
        WsClientOptions(ws_url=f"ws://{host}/ws")
    assert caught.value.field == "ws_url"
