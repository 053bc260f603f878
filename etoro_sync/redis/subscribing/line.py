"""One connection to Redis, by which a thread reads, and which another thread may cut."""

import contextlib
import socket
from collections.abc import Sequence
from typing import Any

import redis

from ..connection import Address

__all__ = ["Command", "Line"]

Command = tuple[Any, ...]


class Line:
    """Sends commands, and returns the answers as they come: bytes, integers and lists.

    redis-py does the rest: connecting, logging in, TLS, the protocol. Its client is left out, which
    takes a connection out of a pool for each transaction, so that nobody could cut it, and whose
    answers differ between versions.

    :param address: of the server.
    :param timeout: seconds for connecting, and for each answer.
    :raises EToroRedisError: when the server cannot be reached, or refuses the user.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._connection: Any = address.client(timeout).connection_pool.make_connection()

    def open(self) -> None:
        """Connect and log in; :raises EToroRedisError: when that fails."""
        with self._address.calling():
            self._connection.connect()

    def call(self, *command: Any) -> Any:
        """Return the answer to a command; :raises EToroRedisError: when there is none."""
        with self._address.calling():
            self._connection.send_command(*command)
            return self._connection.read_response()

    def transaction(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to commands that Redis carries out at one moment.

        An answer may be a :class:`redis.ResponseError`.

        :raises EToroRedisError: when there is no answer, or one command is refused before.
        """
        with self._address.calling():
            packed = self._connection.pack_commands([("MULTI",), *commands, ("EXEC",)])
            self._connection.send_packed_command(packed)
            for _ in range(len(commands) + 1):
                self._connection.read_response()
            answers = self._connection.read_response()
            if type(answers) is not list or len(answers) != len(commands):
                raise redis.RedisError("it has not answered each command of a transaction")
            return answers

    def error(self, answer: Exception) -> Exception:
        """Return our error for an answer that is one of Redis's."""
        return self._address.error(answer)

    def cut(self) -> None:
        """End a call that waits, which raises an error. Any thread; takes no lock."""
        # Not disconnect(), which also takes apart what the other thread is using. redis-py has no
        # other way to it.
        sock = getattr(self._connection, "_sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                # The base class's: that of a TLS socket forgets its encryption first.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(redis.RedisError, OSError):
            self._connection.disconnect()
