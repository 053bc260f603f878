"""The opening handshake, which makes a WebSocket of a connected stream.

websocket-client builds the request and checks the answer. It gets a wrapper of the stream in place
of a socket, so that the deadline holds, ``disconnect()`` can interrupt, and the answer's size is
bounded. Everything here runs on the reader thread.
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
#: Headers of the answer that websocket-client does not get to see. It keeps cookies for the whole
#: process and would send them for other accounts, too. It also reads the body of an error to its
#: end, however long or slow that is, although only the status is used.
_DROPPED = frozenset(["set-cookie", "content-length"])
#: Headers that may be split into several lines; the library would use the last line only.
_LISTS = (b"connection", b"upgrade")


class _HandshakeSocket:
    """The socket that websocket-client gets for the opening handshake.

    It reads the whole head of the answer first, interruptibly, with the deadline and a bounded
    size. The library gets the head and nothing else.

    :param stream: connected, with TLS complete.
    :param dialer: has the deadline, and knows whether to stop.
    :param what: named by errors.
    :param redact: removes the keys from text of the server.
    """

    def __init__(
        self, stream: SocketStream, dialer: Dialer, what: str, redact: Callable[[str], str]
    ) -> None:
        self._stream = stream
        self._dialer = dialer
        self._what = what
        self._redact = redact
        self._head: io.BytesIO | None = None
        #: The head of the answer, without secrets; empty until it was read.
        self.head = b""
        #: Bytes that were received after the head.
        self.early = b""

    def gettimeout(self) -> float:
        # 0 makes the library call recv() and send() directly; these do the waiting.
        return 0.0

    def send(self, data: bytes) -> int:
        # Cookies may come from other connections that the library has made in this process.
        lines = [line for line in data.split(b"\r\n") if not line.startswith(b"Cookie:")]
        self._dialer.send(self._stream, b"\r\n".join(lines), self._what)
        return len(data)

    def recv(self, size: int) -> bytes:
        if self._head is None:
            raw, self.early = self._dialer.read_head(self._stream, self._what)
            # Redacted before the library gets it, which logs it when its trace is enabled.
            text = self._redact(raw.decode("utf-8", "surrogateescape"))
            self.head = text.encode("utf-8", "surrogateescape")
            # Split exactly as the library does it, or it would see a header that is not dropped.
            lines = [line for line in self.head.split(b"\n") if _name_of(line) not in _DROPPED]
            self._head = io.BytesIO(b"\n".join(_joined(lines)))
        return self._head.read(size)

    def close(self) -> None:
        self._stream.close()


def _name_of(line: bytes) -> str:
    return line.decode(errors="replace").strip().partition(":")[0].strip().lower()


def _joined(lines: list[bytes]) -> list[bytes]:
    """Join the lines of each header in ``_LISTS`` into one; lines after the head are kept."""
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
    url: str,
    stream: SocketStream,
    dialer: Dialer,
    redact: Callable[[str], str],
    on_head: Callable[[bytes], object] = lambda head: None,
) -> bytes:
    """Do the opening handshake on *stream*; return the bytes that were received after it.

    :param url: of the WebSocket.
    :param stream: connected, with TLS complete.
    :param dialer: has the deadline, and knows whether to stop.
    :param redact: removes the keys from text of the server.
    :param on_head: called with the head of the answer, without the keys, also of a refusal.
    :raises ConnectionFailed: when the answer is an HTTP error.
    :raises EToroWebSocketError: when the other end is no WebSocket server, or closes.
    :raises EToroTimeoutError: at the deadline.
    :raises Interrupted: when the client is to stop.
    """
    target = Target.of(url)
    shim = _HandshakeSocket(stream, dialer, f"the opening handshake with {target}", redact)
    # A new one for each connection, because it may keep part of a frame.
    ws = WebSocket(enable_multithread=False, skip_utf8_validation=True)
    try:
        with _translated(target, shim, redact):
            ws.connect(
                # With the scheme in lower case, as the library requires.
                urlsplit(url).geturl(),
                socket=shim,
                # The library would send the same headers to any host that it is redirected to.
                redirect_limit=0,
                suppress_origin=True,
                header=[f"User-Agent: {_USER_AGENT}"],
            )
    finally:
        on_head(shim.head)
    if ws.status != HTTPStatus.SWITCHING_PROTOCOLS:
        raise EToroWebSocketError(
            f"{target} answered the opening handshake with {ws.status}. Redirects are not "
            "followed. Check ws_url."
        )
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
        # The library wraps our own errors, too; these say more.
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
