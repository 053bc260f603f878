"""What eToro's error codes ask of a client. Pure.

The codes are the union of every public source (protocol fact sheet, section 1); the set is open,
so an unknown code is an error of its own kind and keeps its name.
"""

from enum import Enum, auto
from typing import Any

from ..errors import EToroError
from .message_parser import shorten

__all__ = ["ConnectionFailed", "ErrorKind", "classify", "refusal_text"]


class ErrorKind(Enum):
    """What to do about an error code."""

    FATAL = auto()  #: the credentials or the request are wrong; asking again cannot help
    RETRY = auto()  #: a fault of the server; ask again
    SLOW = auto()  #: asked too often; ask again with patience
    BENIGN = auto()  #: what was asked for is already so
    REFUSED = auto()  #: anything else, unknown codes included


_KINDS = {
    "InvalidKey": ErrorKind.FATAL,
    "Unauthorized": ErrorKind.FATAL,
    "Forbidden": ErrorKind.FATAL,
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


def classify(error_code: str) -> ErrorKind:
    """Return what *error_code* asks for; unknown codes are REFUSED."""
    return _KINDS.get(error_code, ErrorKind.REFUSED)


def refusal_text(what: str, error_code: str, reply: dict[str, Any]) -> str:
    """Return one sentence with the server's own words, shortened."""
    words = reply.get("errorMessage")
    return f"{what}: {shorten(error_code)}{f' ({shorten(words)})' if words else ''}."


class ConnectionFailed(Exception):
    """The present connection cannot go on; never leaves the reader thread.

    :param error: what users are told.
    :param code: the close code, where the connection was open.
    :param fatal: no other connection would do better: the client ends.
    :param slow: the next attempt is to wait longer.
    """

    def __init__(
        self, error: EToroError, *, code: int = 1006, fatal: bool = False, slow: bool = False
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.code = code
        self.fatal = fatal
        self.slow = slow
