"""What eToro's error codes mean, and the errors that users get for them. Pure.

The codes are the union of every public source (protocol fact sheet, section 1). eToro may add
others: an unknown code is treated as a refusal, and errors show it as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from ...errors import EToroAuthError, EToroError, EToroSubscriptionError, EToroWebSocketError
from ...text import fit, named, show

__all__ = [
    "KNOWN_CODES",
    "PERMISSIONS",
    "ErrorKind",
    "Outcome",
    "auth_advice",
    "auth_error",
    "classify",
    "error_code",
    "is_refusal",
    "key_faults",
    "refusal",
    "refusal_text",
    "says_full",
    "stray_error",
    "succeeded",
]


@dataclass(frozen=True)
class Outcome:
    """What a reply has changed, for the controller to act on.

    :param name: ``"Authenticate"``, ``"Subscribe"``, ``"Unsubscribe"``, or ``""`` for a reply that
        belongs to no request in flight.
    :param topics: the topics of the request.
    :param error: the refusal; None: eToro accepted the request.
    :param duplicate: the topics were subscribed already, so eToro sends no snapshot.
    :param unproven: this connection has not subscribed to them, so there is only eToro's word.
    :param raised: a caller waits for the error and raises it.
    :param moved: topics that another connection subscribes to, because this one is full.
    """

    name: str
    topics: tuple[str, ...] = ()
    error: EToroError | None = None
    duplicate: bool = False
    unproven: bool = False
    raised: bool = False
    moved: tuple[str, ...] = ()


class ErrorKind(Enum):
    """What to do about an error code."""

    FATAL = auto()  #: the credentials or the request are wrong; a retry cannot help
    RETRY = auto()  #: a fault of the server; retry
    SLOW = auto()  #: too many requests; retry later
    BENIGN = auto()  #: the request has no effect, because the state is already so
    REFUSED = auto()  #: anything else, unknown codes included


_KINDS = {
    "InvalidKey": ErrorKind.FATAL,
    "Unauthorized": ErrorKind.FATAL,
    "Forbidden": ErrorKind.FATAL,
    "InsufficientPermissions": ErrorKind.FATAL,
    "ApiKeyRequired": ErrorKind.FATAL,
    "UserKeyRequired": ErrorKind.FATAL,
    "DataRequired": ErrorKind.FATAL,
    "SessionAlreadyAuthenticated": ErrorKind.BENIGN,
    "TopicAlreadySubscribed": ErrorKind.BENIGN,
    "TooManyRequests": ErrorKind.SLOW,
    "UnhandledException": ErrorKind.RETRY,
    "BinaryMessagesNotSupported": ErrorKind.REFUSED,
    "SubscribeFailed": ErrorKind.REFUSED,
}
#: Every code that is publicly known.
KNOWN_CODES = frozenset(_KINDS)
#: Benign code -> the request that it belongs to.
_BENIGN = {
    "SessionAlreadyAuthenticated": "Authenticate",
    "TopicAlreadySubscribed": "Subscribe",
}


_CHECK_KEYS = (
    "Check ETORO_API_KEY and ETORO_USER_KEY: are the two swapped, and were quotation marks or "
    "blanks left around them?"
)
#: What to do when the keys are right, but lack the permission.
PERMISSIONS = (
    "The permissions of the key do not suffice: in eToro's settings for API keys, give it the "
    "scopes that you need, such as market-data:read for prices and trade.demo:read for the "
    "orders of the demo account."
)
_QUOTES = tuple("\"'`\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb")


def succeeded(reply: dict[str, Any]) -> bool | None:
    """Return whether *reply* reports success; None: it does not say. ``"true"`` counts, too."""
    value = reply.get("success")
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def says_full(reply: dict[str, Any]) -> bool:
    """Whether *reply* refuses topics because the connection has as many as eToro allows."""
    message = reply.get("errorMessage")
    return (
        reply.get("errorCode") == "SubscribeFailed"
        and isinstance(message, str)
        and "too many subscriptions" in message.lower()
    )


def is_refusal(reply: dict[str, Any]) -> bool:
    """Whether *reply* reports a failure, by ``success`` or by ``errorCode``."""
    return succeeded(reply) is False or bool(reply.get("errorCode"))


def key_faults(api_key: str, user_key: str) -> str:
    """Return what looks wrong with the keys, in sentences that show neither; ``""``: nothing."""
    faults = []
    for name, key in (("api_key", api_key), ("user_key", user_key)):
        if key.startswith(_QUOTES) or key.endswith(_QUOTES):
            faults.append(f"The {name} has a quotation mark at its beginning or end: remove it.")
        elif any(letter.isspace() for letter in key):
            faults.append(f"The {name} has a blank in it.")
    if api_key == user_key:
        faults.append("The api_key and the user_key are the same.")
    return " ".join(faults)


def auth_advice(reply: dict[str, Any], faults: str = "") -> str:
    """Return what to do about a refused authentication.

    :param reply: the refusal.
    :param faults: what looks wrong with the keys, from :func:`key_faults`.
    """
    code = reply.get("errorCode")
    if code == "InsufficientPermissions":
        return PERMISSIONS
    advice = f"{_CHECK_KEYS} {faults}" if faults else _CHECK_KEYS
    return f"{advice} {PERMISSIONS}" if code == "Forbidden" else advice


def classify(reply: dict[str, Any], request: str = "") -> ErrorKind:
    """Return the kind of the error code in *reply*; unknown codes are REFUSED.

    :param request: the name of the request; a code is benign only as the reply to the request
        that it belongs to.
    """
    code = reply.get("errorCode")
    kind = _KINDS.get(code, ErrorKind.REFUSED) if isinstance(code, str) else ErrorKind.REFUSED
    if kind is ErrorKind.BENIGN and _BENIGN[str(code)] != request:
        return ErrorKind.REFUSED
    return kind


def error_code(reply: dict[str, Any], redact: Callable[[str], str]) -> str:
    """Return the error code for errors and logs: one short line, with the keys redacted."""
    code = reply.get("errorCode")
    if not code:
        return "no errorCode"
    return fit(code if isinstance(code, str) else show(code), redact, 60)


def refusal_text(what: str, reply: dict[str, Any], redact: Callable[[str], str]) -> str:
    """Return one sentence with the server's message, shortened and without secrets.

    :param what: the beginning of the sentence, such as ``"eToro refused the authentication"``.
    """
    message = reply.get("errorMessage")
    if not message:
        return f"{what}: {error_code(reply, redact)}."
    message = fit(message if isinstance(message, str) else show(message, 1000), redact)
    return f"{what}: {error_code(reply, redact)} ({message})."


def refusal(
    name: str, topics: Sequence[str], reply: dict[str, Any], redact: Callable[[str], str]
) -> EToroSubscriptionError:
    """Return the error for a refused request.

    :param name: ``"Subscribe"`` or ``"Unsubscribe"``.
    :param topics: those of the refused frame.
    """
    text = refusal_text(f"eToro refused {name} of {named(topics)}", reply, redact)
    code = error_code(reply, redact)
    if code in ("InsufficientPermissions", "Forbidden"):
        text = f"{text} {PERMISSIONS}"
    return EToroSubscriptionError(text, code, topics)


def auth_error(
    kind: ErrorKind, reply: dict[str, Any], faults: str, redact: Callable[[str], str]
) -> EToroError:
    """Return the error for a refused authentication.

    :param kind: from :func:`classify`.
    :param faults: what looks wrong with the keys, from :func:`key_faults`.
    """
    text = refusal_text("eToro refused the authentication", reply, redact)
    code = error_code(reply, redact)
    if kind in (ErrorKind.RETRY, ErrorKind.SLOW):
        return EToroWebSocketError(f"{text} Try again later.", code)
    return EToroAuthError(f"{text} {auth_advice(reply, faults)}", code)


def stray_error(reply: dict[str, Any], redact: Callable[[str], str]) -> EToroError | None:
    """Return the error in a reply that answers no request.

    None: the reply is a late or repeated acknowledgement, and can be ignored.
    """
    if not is_refusal(reply):
        return None
    text = refusal_text("eToro reported an error that belongs to no request", reply, redact)
    return EToroWebSocketError(text, error_code(reply, redact))
