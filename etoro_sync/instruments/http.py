"""One HTTP request on a connected stream, read by the standard library's ``http.client``.

The stream is the client's own transport, so that one deadline holds for the whole answer, however
slowly it drips, and any thread can end the wait. Runs on the thread of the caller.
"""

import http.client
import io
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from .. import clocks
from ..errors import EToroRestError, EToroTimeoutError
from ..synchronization import Interrupted
from ..ws.transport.reasons import reason
from ..ws.transport.retry_after import retry_after
from ..ws.transport.socket_stream import SocketStream
from ..ws.transport.waker import Waker

__all__ = ["Answer", "Exchange"]

_READ_SIZE = 65536


@dataclass(frozen=True)
class Answer:
    """What a server has answered.

    :param status: such as 200.
    :param kind: its Content-Type, or ``""``.
    :param body: the content.
    :param retry_after: the seconds that it asks to wait, or None.
    """

    status: int
    kind: str
    body: bytes
    retry_after: float | None = None


class Exchange:
    """One request and its answer.

    :param stream: connected, TLS done.
    :param waker: says whether to stop.
    :param deadline: absolute monotonic time for all of it.
    :param where: the server, for errors.
    """

    def __init__(self, stream: SocketStream, waker: Waker, deadline: float, where: str) -> None:
        self._stream = stream
        self._waker = waker
        self._deadline = deadline
        self._where = where
        self._late = False

    def get(self, path: str, headers: Mapping[str, str], most: int) -> Answer:
        """Ask for *path* and return the answer.

        :param path: with the query.
        :param headers: all of ASCII.
        :param most: how many bytes the content may have.
        :raises EToroRestError: when there is no answer that can be used.
        :raises EToroTimeoutError: at the deadline.
        :raises Interrupted: when it is to stop.
        """
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
        try:
            self._send("\r\n".join([*lines, "", ""]).encode("ascii"))
            return self._read(most)
        except EToroTimeoutError:
            raise
        except http.client.IncompleteRead:
            fault = "broke the answer off"
        except http.client.HTTPException as exc:
            # Not its words, nor the error itself: they hold what the server has sent.
            fault = f"answered with something that is not HTTP ({type(exc).__name__})"
        except (OSError, ValueError) as exc:
            fault = f"ended the connection ({reason(exc)})"
        raise EToroRestError(f"{self._where} {fault}. Check rest_url and the network.")

    def _send(self, data: bytes) -> None:
        stream = self._stream
        stream.write(data)
        while stream.unsent:
            self.wait()
            stream.flush()

    def _read(self, most: int) -> Answer:
        response = http.client.HTTPResponse(_Socket(self), method="GET")  # type: ignore[arg-type]
        response.begin()
        # A redirect's page, and what it leads to, are of no interest.
        redirected = 300 <= response.status < 400
        body = b"" if redirected else response.read(most + 1)
        if len(body) > most:
            raise EToroRestError(
                f"{self._where} answered with more than {most} B, which max_message_bytes forbids."
            )
        # http.client counts what is still to come, and takes an end before that for the end.
        if response.length and not redirected:
            raise http.client.IncompleteRead(b"")
        coding = response.getheader("Content-Encoding", "identity")
        if coding.strip().lower() != "identity" and response.status == HTTPStatus.OK:
            raise EToroRestError(
                f"{self._where} compressed its answer, which nobody has asked for. Check rest_url."
            )
        head = "\n".join(["", *(f"{name}: {text}" for name, text in response.getheaders())])
        asked = retry_after(response.status, head.encode("latin-1", "replace"), clocks.wall_clock())
        return Answer(response.status, response.getheader("Content-Type", ""), body, asked)

    def receive(self) -> bytes:
        """Return what comes next; ``b""`` at the end."""
        # Also while there is something to read: a server may send without an end.
        self._check()
        while (data := self._stream.read()) is None:
            self.wait()
        return data

    def wait(self) -> None:
        """Wait for the stream, to try again what was in vain just now."""
        self._check()
        self._stream.wait(self._deadline)

    def _check(self) -> None:
        if self._waker.stopping:
            raise Interrupted
        now = clocks.monotonic()
        if now < self._deadline:
            return
        if self._late:
            raise EToroTimeoutError(
                f"{self._where} did not answer in time. Check the network, or raise "
                "request_timeout."
            )
        # What came while the process stood still came in time, and is read first.
        self._late = True
        self._deadline = clocks.put_off(self._deadline, self._deadline, now)


class _Socket:
    """What ``http.client`` takes for a socket."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self._exchange), _READ_SIZE)


class _Incoming(io.RawIOBase):
    """The bytes of the answer, as a file."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._rest or self._exchange.receive()
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        self._rest = data[size:]
        return size
