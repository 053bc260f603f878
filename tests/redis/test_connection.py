"""URLs of Redis: what they may be, TLS and users, and no password anywhere."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from etoro_sync import EToroRedisError, EToroValidationError
from etoro_sync.redis.connection import Address
from etoro_sync.redis.layout.keys import Keys
from tests.redis.conftest import StartRedis
from tests.support.redis_server import RedisServer
from tests.support.threads import open_descriptors

PASSWORD = "pass/word with 8 characters"
QUOTED = "pass%2Fword%20with%208%20characters"


def test_a_unix_socket_and_a_port_are_reached(server: RedisServer) -> None:
    """The same server, in both ways."""
    for url in (server.url, server.tcp_url):
        with Address(url).client() as client:
            client.set("x", 1)
            assert client.get("x") == b"1"


def test_a_client_that_was_closed_has_no_socket(server: RedisServer) -> None:
    """Also while something refers to it still."""
    before = open_descriptors()
    client = Address(server.url).client()
    client.ping()
    assert len(open_descriptors()) == len(before) + 1
    client.close()
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("url", "what"),
    [
        (5, "int"),
        ("", "begins with"),
        ("http://localhost", "http"),
        ("redis://localhost:port", "port"),
        ("redis://localhost/x", "database"),
        ("redis://localhost?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("redis://localhost?ssl_ca_certs=/x", "rediss"),
        ("unix://", "file"),
    ],
)
def test_an_url_that_cannot_be_used_says_what_it_may_be(url: Any, what: str) -> None:
    """A wrong option in it is an error, not ignored."""
    with pytest.raises(EToroValidationError, match=what) as caught:
        Address(url)
    assert caught.value.field == "url"


@pytest.mark.parametrize("scheme", ["redis", "rediss", "http"])
def test_promise_14_no_password_is_in_repr_or_errors(scheme: str) -> None:
    """As it is in the URL, and decoded."""
    url = f"{scheme}://user:{QUOTED}@127.0.0.1:1/0"
    texts = []
    try:
        address = Address(url)
        texts += [repr(address), str(address), str(vars(address))]
        with address.calling(), address.client(timeout=1) as client:
            texts.append(repr(client))
            client.ping()
    except (EToroValidationError, EToroRedisError) as exc:
        texts += [str(exc), repr(exc), repr(exc.__cause__)]
    assert len(texts) >= 3
    assert not [text for text in texts if PASSWORD in text or QUOTED in text]


def test_a_refused_connection_says_where_and_what_to_do() -> None:
    """No answer has no code."""
    address = Address("redis://127.0.0.1:1")
    with (
        pytest.raises(EToroRedisError, match=r"redis://127\.0\.0\.1:1 cannot be reached") as caught,
        address.calling(),
        address.client(timeout=1) as client,
    ):
        client.ping()
    assert caught.value.error_code is None


def test_a_stalled_server_times_out(start_redis: StartRedis) -> None:
    """Its connections stay open, and nothing comes."""
    own = start_redis()
    address = Address(own.url)
    with address.client(timeout=0.1) as client:
        client.ping()
        own.stall()
        with pytest.raises(EToroRedisError, match="in time") as caught, address.calling():
            client.ping()
        own.go_on()
        assert caught.value.error_code is None
        assert client.ping()


def test_users_of_an_acl_log_in(start_redis: StartRedis) -> None:
    """With the password of the URL; a wrong one, and a missing right, say so."""
    rights = "~etoro-sync:* +ping +get"
    own = start_redis(port=True, user=["default off", f'reader on ">{PASSWORD}" {rights}'])
    _, _, place = own.tcp_url.partition("//")
    address = Address(f"redis://reader:{QUOTED}@{place}")
    with address.client() as client:
        assert client.get(Keys("main").epoch) is None
        with pytest.raises(EToroRedisError, match=r"docs/redis\.md") as caught, address.calling():
            client.get("x")
        assert caught.value.error_code == "NOPERM"
    for login, code in (("reader:wrong@", "WRONGPASS"), ("", "NOAUTH")):
        address = Address(f"redis://{login}{place}")
        with pytest.raises(EToroRedisError) as caught, address.calling():
            address.client().ping()
        assert caught.value.error_code == code, caught.value
        assert "wrong" not in str(caught.value)


def test_a_long_command_without_a_password_says_so(start_redis: StartRedis) -> None:
    """Redis calls it a protocol error."""
    address = Address(start_redis(requirepass="another").url)
    with (
        pytest.raises(EToroRedisError, match="wants a password") as caught,
        address.calling(),
        address.client() as client,
    ):
        client.eval("return 1", 0, *range(100))
    assert caught.value.error_code == "NOAUTH"


def test_a_user_without_a_password_logs_in(start_redis: StartRedis) -> None:
    """As one of this machine may; it has the rights of that user, and not of the default one."""
    own = start_redis(port=True, user=["default off", "open on nopass ~* +@all"])
    with Address(own.tcp_url.replace("redis://", "redis://open@")).client() as client:
        assert client.acl_whoami() in ("open", b"open")


def test_tls_verifies(start_redis: StartRedis) -> None:
    """With the authority of the URL; without it, or for another name, it is refused."""
    own = start_redis(tls=True)
    with Address(own.tcp_url).client() as client:
        assert client.ping()
    unknown = Address(own.tcp_url.partition("?")[0])
    other = Address(own.tcp_url.replace("localhost", "127.0.0.1"))
    for address in (unknown, other):
        with pytest.raises(EToroRedisError, match="certificate"), address.calling():
            address.client().ping()


def test_answers_have_their_code_and_advice(raw: redis.Redis, server: RedisServer) -> None:
    """Whatever Redis refuses."""
    raw.set(Keys("main").rates, "x")
    address = Address(server.url)
    with pytest.raises(EToroRedisError, match="another feed") as caught, address.calling():
        address.client().xadd(Keys("main").rates, {"a": 1})
    assert caught.value.error_code == "WRONGTYPE"


def test_keys_have_the_feed_in_braces() -> None:
    """So that a cluster keeps them together."""
    keys = Keys("main")
    assert keys.rates == "etoro-sync:{main}:rates"
    assert len(set(keys.all())) == 10
    for bad in ("", "a b", "a}", None, "x" * 65):
        with pytest.raises(EToroValidationError, match="feed"):
            Keys(bad)  # type: ignore[arg-type]
