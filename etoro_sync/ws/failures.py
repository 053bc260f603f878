"""Why a connection cannot go on."""

from ..errors import EToroError

__all__ = ["ConnectionFailed"]


class ConnectionFailed(Exception):
    """The present connection cannot go on; never leaves the reader thread.

    :param error: what users are told.
    :param code: the close code, where the connection was open.
    :param fatal: no other connection would do better: the client ends.
    :param slow: the next attempt is to wait longer.
    :param asked: seconds that the server asked to wait before it; 0.0 is none.
    """

    def __init__(
        self,
        error: EToroError,
        *,
        code: int = 1006,
        fatal: bool = False,
        slow: bool = False,
        asked: float = 0.0,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.code = code
        self.fatal = fatal
        self.slow = slow
        self.asked = asked
