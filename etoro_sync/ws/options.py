"""The options of a client, all checked when they are made, so that an error comes at once."""

import os
import ssl
import sys
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from ..errors import EToroTypeError, EToroValidationError, forget_locals
from ..redaction import MASK, Redactor, Secret, readings
from .option_checks import (
    check_context,
    check_flag,
    check_key,
    check_key_source,
    check_proxy,
    check_url,
    or_none,
    seconds,
    whole_number,
)
from .transport.tls import check_verified

__all__ = [
    "DEFAULT_WS_URL",
    "Key",
    "WsClientOptions",
    "check_key",
    "hide_locals",
    "is_options",
    "secrets_of",
]

#: A key, or a function that returns it.
Key = str | Callable[[], str]

#: For demo and real accounts; the key decides which one is meant.
DEFAULT_WS_URL = "wss://ws.etoro.com/ws"
_SECRETS = ("api_key", "user_key")
#: Field -> its check, from :mod:`.option_checks`.
_CHECKS = {
    **dict.fromkeys(_SECRETS, check_key_source),
    "ws_url": check_url,
    "reconnect_attempts": or_none(whole_number(0, " (None is unlimited)")),
    "auth_timeout": seconds(positive=True),
    "connect_timeout": seconds(positive=True),
    "request_timeout": seconds(positive=True),
    "close_timeout": seconds(positive=True),
    "reconnect_delay": seconds(),
    "reconnect_max_delay": seconds(),
    "heartbeat_interval": seconds(recurring=True),
    "heartbeat_timeout": seconds(),
    "stale_after": seconds(recurring=True),
    "conflate_after": or_none(seconds()),
    "callback_queue_size": whole_number(1),
    "max_message_bytes": whole_number(1024),
    "proxy": check_proxy,
    "ssl_context": check_context,
    "allow_unverified_tls": check_flag,
}

P = ParamSpec("P")
T = TypeVar("T")


def hide_locals(function: Callable[P, T]) -> Callable[P, T]:
    """Wrap *function* so that tracebacks of its errors do not show its arguments, such as keys."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        # An error that the caller is handling becomes the context of ours; it must stay unchanged.
        handled = sys.exc_info()[1]
        try:
            return function(*args, **kwargs)
        except BaseException as exc:
            del args, kwargs
            forget_locals(exc, but=handled)
            raise

    return call


if TYPE_CHECKING:
    # Not in the standard library of Python 3.10; nothing needs it when the program runs.
    from typing_extensions import TypedDict, Unpack

    class Settings(TypedDict, total=False):
        """The fields of :class:`WsClientOptions`, for calls that take them by keyword."""

        api_key: Key
        user_key: Key
        ws_url: str
        reconnect_attempts: int | None
        reconnect_delay: float
        auth_timeout: float
        heartbeat_interval: float
        heartbeat_timeout: float
        reconnect_max_delay: float
        connect_timeout: float
        request_timeout: float
        close_timeout: float
        stale_after: float
        callback_queue_size: int
        conflate_after: float | None
        allow_unverified_tls: bool
        max_message_bytes: int
        proxy: str | None
        ssl_context: ssl.SSLContext | None


@dataclass(frozen=True)
class WsClientOptions:
    """Options of a :class:`~etoro_sync.WsClient`. All times are in seconds.

    They can be pickled, for clients in other processes. A pickle contains the keys. To keep them
    out of it, for example to write it to a file, pass functions of a module as keys: these are
    pickled by name, and called where the pickle is loaded.

    The first eight fields are etoropy's, in its order and with its defaults.

    :param api_key: eToro's API key (REST header ``x-api-key``), or a function without arguments
        that returns it. The function is called before each attempt to connect, in a thread of the
        client; the attempt fails if it raises or takes longer than ``connect_timeout``.
    :param user_key: eToro's user key (REST header ``x-user-key``), likewise.
    :param ws_url: ``wss://...``; plain ``ws://`` only to this machine, because the first message
        contains the keys.
    :param reconnect_attempts: failed attempts in a row after which the client ends; None:
        unlimited, 0: none. The count starts again at a connection on which all subscriptions were
        acknowledged.
    :param reconnect_delay: upper bound of the first wait before reconnecting. It doubles with each
        attempt, and starts again after a connection that lasted 5 s after the acknowledgement of
        all subscriptions.
    :param auth_timeout: how long the answer to Authenticate may take.
    :param heartbeat_interval: silence after which a ping is sent; 0 disables keepalive.
    :param heartbeat_timeout: silence after the ping that ends the connection; 0: never. A message
        that is not complete after interval and timeout together ends it, too.
    :param reconnect_max_delay: upper bound of any wait before reconnecting, unless the server
        requires a longer one (``Retry-After``), up to an hour.
    :param connect_timeout: how long getting the keys, TCP, the proxy's tunnel, TLS and the opening
        handshake may take together.
    :param request_timeout: how long an acknowledgement may take.
    :param close_timeout: how long the closing handshake may take.
    :param stale_after: silence of one instrument after which ``"stale"`` is emitted; 0: never.
    :param callback_queue_size: how many rates and messages wait for callbacks at most; then some
        are conflated or dropped.
    :param conflate_after: seconds; a rate that has waited longer for a callback or a ``stream()``
        is skipped if a newer one of its instrument waits, too. 0 skips all but the newest; None
        skips nothing while there is room. A consumer that keeps up gets every rate.
    :param allow_unverified_tls: accept an ``ssl_context`` that does not verify certificates, or not
        that they belong to the host, so that the keys could be read on the way. Connections to
        this machine do not need it.
    :param max_message_bytes: a longer message from the server ends the connection.
    :param proxy: ``http://[user:password@]host:port``, ``socks5h://`` for a SOCKS5 proxy that
        resolves host names, or ``socks5://`` for one that does not. None: from ``https_proxy``,
        ``all_proxy`` and ``no_proxy`` in the environment; ``""``: connect directly.
    :param ssl_context: for certificates that the system does not trust; None: the default context.
        One that verifies less than that is refused, see ``allow_unverified_tls``.
    :raises EToroValidationError: when a value is not valid; names the field.
    """

    api_key: Key = field(default="", repr=False)
    user_key: Key = field(default="", repr=False)
    ws_url: str = DEFAULT_WS_URL
    reconnect_attempts: int | None = 10
    reconnect_delay: float = 1.0
    auth_timeout: float = 10.0
    heartbeat_interval: float = 30.0
    heartbeat_timeout: float = 10.0
    _: KW_ONLY
    reconnect_max_delay: float = 60.0
    connect_timeout: float = 10.0
    request_timeout: float = 10.0
    close_timeout: float = 1.0
    stale_after: float = 0.0
    callback_queue_size: int = 10_000
    conflate_after: float | None = 1.0
    allow_unverified_tls: bool = False
    max_message_bytes: int = 16 * 1024 * 1024
    proxy: str | None = field(default=None, repr=False)
    ssl_context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        for name in (*_SECRETS, "proxy"):
            value = getattr(self, name)
            if isinstance(value, str):
                object.__setattr__(self, name, Secret(value))
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        if self.ssl_context is not None and not self.allow_unverified_tls:
            check_verified(self.ssl_context, urlsplit(self.ws_url).hostname or "")

    def __repr__(self) -> str:
        shown = [f"{name}={_masked(getattr(self, name))}" for name in _SECRETS]
        shown += [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr]
        return f"{type(self).__name__}({', '.join(shown)})"

    # Immutable, so a copy can be the same object.
    def __copy__(self) -> "WsClientOptions":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "WsClientOptions":
        return self

    def __getstate__(self) -> dict[str, Any]:
        if self.ssl_context is not None:
            raise EToroTypeError(
                "Options with an ssl_context cannot be pickled, because the context cannot. Pickle "
                "dataclasses.replace(options, ssl_context=None), and make a context in the other "
                "process."
            )
        return dict(vars(self))

    @classmethod
    @hide_locals
    def from_env(cls, **overrides: "Unpack[Settings]") -> "WsClientOptions":
        """Return options with keys and URL from the environment.

        The variables are ``ETORO_API_KEY``, ``ETORO_USER_KEY`` and ``ETORO_WS_URL``; empty ones are
        ignored.

        :param overrides: any fields; they take precedence over the environment.
        :raises EToroValidationError: for a value that is not valid, or an unknown field; names it.
        """
        values: dict[str, Any] = {}
        for name in ("api_key", "user_key", "ws_url"):
            value = os.environ.get(f"ETORO_{name.upper()}", "").strip()
            if value:
                values[name] = value
        unknown = sorted(set(overrides) - {f.name for f in fields(cls)})
        if unknown:
            raise EToroValidationError(
                f"Unknown option {unknown[0]!r}. Known options: "
                f"{', '.join(f.name for f in fields(cls))}.",
                unknown[0],
            )
        return cls(**{**values, **overrides})

    def redact(self, text: str) -> str:
        """Return *text* with the keys and the proxy's password masked.

        :param text: such as an error message of a server, which may repeat them.
        """
        return Redactor(secrets_of(self))(text)


# dataclass writes __init__ only after the class's body.
WsClientOptions.__init__ = hide_locals(WsClientOptions.__init__)  # type: ignore[method-assign]


def is_options(value: object) -> bool:
    """Whether *value* has all fields of the options.

    Not by its class, because a notebook may have reloaded the module, and so made another class.
    """
    names = [f.name for f in fields(WsClientOptions)]
    return not isinstance(value, type) and all(hasattr(value, name) for name in names)


def secrets_of(options: WsClientOptions) -> set[str]:
    """Return the keys and the proxy's password; keys that callables return are not known here."""
    secrets = {key for key in (options.api_key, options.user_key) if isinstance(key, str)}
    return secrets | readings(urlsplit(options.proxy or "").password or "")


def _masked(key: Key) -> str:
    if callable(key):
        return "<callable>"
    return repr(MASK if key else "")
