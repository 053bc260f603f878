"""What ends a connection, and whether and when to try another one."""

from ..errors import EToroError

__all__ = ["ConnectionFailed"]


class ConnectionFailed(Exception):
    """The present connection, or attempt to connect, has failed; never leaves the reader thread.

    :param error: what users get.
    :param code: the close code to report if the connection was open.
    :param fatal: another connection would fail as well, so the client ends.
    :param slow: wait longer than usual before the next attempt.
    :param retry_after: seconds that the server requires before the next attempt; 0.0: none.
    """

    def __init__(
        self,
        error: EToroError,
        *,
        code: int = 1006,
        fatal: bool = False,
        slow: bool = False,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.code = code
        self.fatal = fatal
        self.slow = slow
        self.retry_after = retry_after
