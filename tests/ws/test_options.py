"""Options are checked when they are made, and never show secrets."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import ssl
from typing import Any

import pytest

from etoro_sync.errors import EToroTypeError, EToroValidationError
from etoro_sync.ws.options import DEFAULT_WS_URL, WsClientOptions, is_options

SECRET = "secret-0123456789"


def test_the_first_eight_fields_are_etoropys() -> None:
    """Order and defaults included, so that positional calls can be ported."""
    options = WsClientOptions()
    names = [field.name for field in dataclasses.fields(options)]
    assert [(name, getattr(options, name)) for name in names[:8]] == [
        ("api_key", ""),
        ("user_key", ""),
        ("ws_url", "wss://ws.etoro.com/ws"),
        ("reconnect_attempts", 10),
        ("reconnect_delay", 1.0),
        ("auth_timeout", 10.0),
        ("heartbeat_interval", 30.0),
        ("heartbeat_timeout", 10.0),
    ]
    assert all(field.kw_only for field in dataclasses.fields(options)[8:])
    with pytest.raises(TypeError):
        WsClientOptions("", "", DEFAULT_WS_URL, 1, 1.0, 1.0, 1.0, 1.0, 1.0)  # type: ignore[misc]


def test_options_of_a_class_that_was_reloaded_are_options() -> None:
    """A notebook with autoreload has two classes of one name."""
    fields = {
        f.name: getattr(WsClientOptions(), f.name) for f in dataclasses.fields(WsClientOptions)
    }
    other = type("WsClientOptions", (), {**fields, "redact": str, "remember": str})
    assert is_options(other())
    for wrong in (other, {}, None, "key", fields):
        assert not is_options(wrong)


# Secrets -----------------------------------------------------------------------------------------


def test_the_repr_masks_the_keys_and_leaves_the_proxy_out() -> None:
    """It tells whether there is a key."""
    options = WsClientOptions(SECRET, proxy=f"http://u:{SECRET}@h:1")
    assert repr(options).startswith("WsClientOptions(api_key='***', user_key='', ws_url='wss://")
    assert SECRET not in f"{options} {options!r}"


def test_a_key_may_be_a_callable() -> None:
    """It is stored, and neither called nor shown."""

    def never() -> str:
        raise AssertionError("called")

    options = WsClientOptions(never, user_key=SECRET)
    assert options.api_key is never
    assert repr(options).startswith("WsClientOptions(api_key=<callable>, user_key='***', ws_url=")
    assert dataclasses.replace(options, stale_after=1).api_key is never
    assert WsClientOptions.from_env(api_key=never).api_key is never


def test_a_coroutine_function_is_no_source_of_keys() -> None:
    """It returns a coroutine instead of a key."""

    async def read() -> str:
        return SECRET

    with pytest.raises(EToroValidationError, match="must not be a coroutine function") as caught:
        WsClientOptions(user_key=read)  # type: ignore[arg-type]
    assert caught.value.field == "user_key"


MISPLACED = [
    *((name, SECRET) for name in ("ws_url", "proxy", "reconnect_attempts", "auth_timeout")),
    *((name, SECRET) for name in ("max_message_bytes", "ssl_context", "stale_after")),
    *(("ws_url", f"{scheme}://user:{SECRET}@h/") for scheme in ("https", "wss", "ws")),
    ("ws_url", f"wss://h/#{SECRET}"),
    ("proxy", f"ftp://user:{SECRET}@h:1"),
    ("api_key", f" {SECRET}"),
    ("api_key", [SECRET]),
]


@pytest.mark.parametrize(("field", "value"), MISPLACED)
def test_no_error_shows_a_misplaced_key(field: str, value: Any) -> None:
    """Arguments in the wrong order, or a password in a URL, are refused without their values."""
    with pytest.raises(EToroValidationError) as caught:
        WsClientOptions(**{field: value})
    assert "0123" not in str(caught.value)


def test_redact_masks_keys_and_the_proxys_password() -> None:
    """In plain and in escaped spelling; one key may begin like the other."""
    options = WsClientOptions("prefix-1234", "prefix-1234/more", proxy="http://u:p%40ss@h:1")
    text = r"prefix-1234/more prefix-1234 prefix-1234\/more p%40ss p@ss u"
    assert options.redact(text) == "*** *** *** *** *** u"
    assert WsClientOptions().redact("text") == "text"
    assert WsClientOptions(proxy="http://h:1").redact("text") == "text"


def test_options_can_be_copied_replaced_and_pickled() -> None:
    """Also after their first use."""
    options = WsClientOptions(SECRET)
    options.redact("x")
    for other in (copy.copy(options), pickle.loads(pickle.dumps(options))):
        assert other == options
        assert other.redact(SECRET) == "***"
    other = dataclasses.replace(options, api_key="other-0123456789")
    assert other.redact(f"{SECRET} other-0123456789") == f"{SECRET} ***"


def test_options_with_a_context_can_be_copied_and_say_how_to_be_pickled() -> None:
    """A context of OpenSSL belongs to its process."""
    options = WsClientOptions(SECRET, ssl_context=ssl.create_default_context())
    assert copy.copy(options) == copy.deepcopy(options) == options
    with pytest.raises(EToroTypeError, match=r"replace\(options, ssl_context=None\)") as caught:
        pickle.dumps(options)
    assert SECRET not in str(caught.value)
    pickle.dumps(dataclasses.replace(options, ssl_context=None))


def test_a_key_that_is_a_function_is_in_no_pickle() -> None:
    """It is called where the options are loaded."""
    options = WsClientOptions(read_key)
    pickled = pickle.dumps(options)
    assert SECRET.encode() not in pickled
    assert pickle.loads(pickled).api_key is read_key


def read_key() -> str:
    """Return a key, as a function that reads a keyring does."""
    return SECRET


def test_a_subclass_may_use_any_private_name() -> None:
    """A program may add fields of any private name to its own options."""

    @dataclasses.dataclass(frozen=True)
    class Mine(WsClientOptions):
        account: str = "demo"
        _redactor: str = "mine"

    taken = {*vars(WsClientOptions), *vars(WsClientOptions())}
    assert [name for name in taken if name.startswith("_") and not name.endswith("__")] == []
    options = Mine(SECRET, account="real")
    assert options.redact(SECRET) == "***"
    assert SECRET not in repr(options)


def test_options_cannot_be_changed() -> None:
    """Several threads read them."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        WsClientOptions().api_key = "x"  # type: ignore[misc]


# The environment ---------------------------------------------------------------------------------


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks around values are removed; overrides take precedence."""
    monkeypatch.setenv("ETORO_API_KEY", f" {SECRET}\n")
    monkeypatch.setenv("ETORO_USER_KEY", "user")
    monkeypatch.setenv("ETORO_WS_URL", "wss://example.com/ws")
    options = WsClientOptions.from_env(user_key="mine", stale_after=5)
    assert (options.api_key, options.user_key) == (SECRET, "mine")
    assert (options.ws_url, options.stale_after) == ("wss://example.com/ws", 5)


def test_an_empty_environment_leaves_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is none."""
    monkeypatch.delenv("ETORO_API_KEY", raising=False)
    monkeypatch.setenv("ETORO_USER_KEY", "")
    monkeypatch.setenv("ETORO_WS_URL", "  ")
    assert WsClientOptions.from_env() == WsClientOptions()


def test_bad_values_from_the_environment_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same rules."""
    monkeypatch.setenv("ETORO_WS_URL", "ws://example.com/ws")
    with pytest.raises(EToroValidationError, match="must use wss://"):
        WsClientOptions.from_env()


def test_an_unknown_override_is_refused() -> None:
    """With all known names."""
    with pytest.raises(
        EToroValidationError, match=r"Unknown option 'api_kee'.*heartbeat"
    ) as caught:
        WsClientOptions.from_env(api_kee="x")
    assert caught.value.field == "api_kee"
