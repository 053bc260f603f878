"""The opening handshake: from a connected stream to an open WebSocket.

websocket-client builds the request and checks the answer; the socket that it is given is a small
stand-in over the stream, so that one deadline holds, ``disconnect()`` interrupts, and the size of
the answer is bounded. Everything here runs on the reader thread.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

from ... import clocks
from ..._version import __version__
from ...errors import EToroError, EToroTimeoutError, EToroWebSocketError
from ...text import shorten
from ..failures import ConnectionFailed
from .dialer import Dialer
from .reasons import reason
from .retry_after import retry_after, status_text
from .socket_stream import SocketStream
from .target import Target
from .websocket_client import WebSocket, WebSocketBadStatusException, WebSocketException

__all__ = ["open_websocket"]

_USER_AGENT = f"etoro-sync/{__version__}"
#: Headers of the answer that are kept from websocket-client. It has one jar of cookies for the
#: whole process and would send them for other accounts too; and it reads the page that comes with
#: an error to its end, however long or slow, while all that counts is the status.
_DROPPED = frozenset(["set-cookie", "content-length"])
#: Headers that are lists, which may be cut into several lines; the library knows the last one only.
_LISTS = (b"connection", b"upgrade")


class _HandshakeSocket:
    """What websocket-client takes for a socket while it does the opening handshake.

    It reads the whole head of the answer first: within the deadline, interruptible, of bounded
    size. The library gets the head and nothing else.
    """

    def __init__(
        self, stream: SocketStream, dialer: Dialer, what: str, redact: Callable[[str], str]
    ) -> None:
        self._stream = stream
        self._dialer = dialer
        self._what = what
        self._redact = redact
        self._head: io.BytesIO | None = None
        #: The head of the answer, without secrets; empty before it is there.
        self.head = b""
        #: What came right behind the head.
        self.early = b""

    def gettimeout(self) -> float:
        # 0 makes the library call recv() and send() directly; the waiting is done in here.
        return 0.0

    def send(self, data: bytes) -> int:
        # The jar may hold cookies that other users of the library in this process have collected.
        lines = [line for line in data.split(b"\r\n") if not line.startswith(b"Cookie:")]
        self._dialer.send(self._stream, b"\r\n".join(lines), self._what)
        return len(data)

    def recv(self, size: int) -> bytes:
        if self._head is None:
            raw, self.early = self._dialer.read_head(self._stream, self._what)
            # Before the library sees it, which logs it when its trace is on.
            text = self._redact(raw.decode("utf-8", "surrogateescape"))
            self.head = text.encode("utf-8", "surrogateescape")
            # Cut into lines and names exactly as the library does it, or a header gets past.
            lines = [line for line in self.head.split(b"\n") if _name_of(line) not in _DROPPED]
            self._head = io.BytesIO(b"\n".join(_joined(lines)))
        return self._head.read(size)

    def close(self) -> None:
        self._stream.close()


def _name_of(line: bytes) -> str:
    return line.decode(errors="replace").strip().partition(":")[0].strip().lower()


def _joined(lines: list[bytes]) -> list[bytes]:
    """Return the lines of a head with one line for each list; what is behind the head is left."""
    end = next((n for n, line in enumerate(lines) if not line.strip()), len(lines))
    head, rest = lines[:end], lines[end:]
    for name in _LISTS:
        found = [line for line in head[1:] if line.partition(b":")[0].lower() == name]
        if len(found) > 1:
            values = [line.partition(b":")[2].strip() for line in found]
            head = [line for line in head if line not in found]
            head.append(name + b": " + b", ".join(values) + b"\r")
    return head + rest


def open_websocket(
    url: str, stream: SocketStream, dialer: Dialer, redact: Callable[[str], str]
) -> bytes:
    """Do the opening handshake on *stream*; return the bytes that came right behind it.

    :param url: what to ask for.
    :param stream: connected, TLS done.
    :param dialer: knows the deadline and whether to stop.
    :param redact: removes the keys from text of the server.
    :raises ConnectionFailed: when the answer is an HTTP error.
    :raises EToroWebSocketError: when there is no WebSocket server at the other end.
    :raises Interrupted: when the client is to stop.
    """
    target = Target.of(url)
    shim = _HandshakeSocket(stream, dialer, f"the opening handshake with {target}", redact)
    # A new one for each connection: it would keep half a frame of the last.
    ws = WebSocket(enable_multithread=False, skip_utf8_validation=True)
    with _translated(target, shim, redact):
        ws.connect(
            # The library knows schemes in lower case only.
            urlsplit(url).geturl(),
            socket=shim,
            # The library would send the same headers to wherever it is redirected.
            redirect_limit=0,
            suppress_origin=True,
            header=[f"User-Agent: {_USER_AGENT}"],
        )
    if ws.status != HTTPStatus.SWITCHING_PROTOCOLS:
        raise EToroWebSocketError(f"{target} answered the opening handshake with {ws.status}.")
    return shim.early


@contextlib.contextmanager
def _translated(
    target: Target, shim: _HandshakeSocket, redact: Callable[[str], str]
) -> Iterator[None]:
    """Turn what websocket-client raises into this package's errors."""
    try:
        yield
    except WebSocketBadStatusException as exc:
        raise _http_error(target, exc.status_code, shim.head) from None
    except WebSocketException as exc:
        # The library wraps every timeout; ours says more.
        if isinstance(exc.__context__, EToroError):
            raise exc.__context__ from None
        # Not chained: the library quotes the server in full, without redaction.
        raise EToroWebSocketError(
            f"The opening handshake with {target} failed: {shorten(redact(str(exc)))}. "
            "Redirects are not followed. Check ws_url."
        ) from None
    except EToroTimeoutError:
        raise
    except (OSError, ValueError) as exc:
        raise EToroWebSocketError(
            f"The connection to {target} was lost in the opening handshake: "
            f"{shorten(redact(reason(exc)))}."
        ) from exc


def _http_error(target: Target, status: int | None, head: bytes) -> ConnectionFailed:
    if status is None:
        return ConnectionFailed(
            EToroWebSocketError(f"{target} gave an answer that is not HTTP. Check ws_url.")
        )
    asked = retry_after(status, head, clocks.wall_clock())
    error = EToroWebSocketError(
        f"{target} refused the opening handshake with {status_text(status, asked)}. That is the "
        "answer of a proxy, firewall or gateway on the way, not of eToro's stream.",
        f"HTTP {status}",
    )
    slow = status == HTTPStatus.TOO_MANY_REQUESTS
    return ConnectionFailed(error, slow=slow, retry_after=asked or 0.0)
