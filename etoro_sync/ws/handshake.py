"""The opening handshake: from a connected wire to an open WebSocket.

websocket-client builds the request and checks the answer; the socket that it is given is a small
stand-in over the wire, so that one deadline holds, ``disconnect()`` interrupts, and the size of
the answer is bounded. Everything here runs on the reader thread.
"""

import contextlib
from collections.abc import Callable, Iterator
from http import HTTPStatus

import websocket

from .._version import __version__
from ..errors import EToroError, EToroTimeoutError, EToroWebSocketError
from .dialing import Dialer, Target
from .message_parser import shorten
from .replies import ConnectionFailed
from .wire import Wire

__all__ = ["open_websocket"]

_MAX_HEAD = 64 * 1024
_USER_AGENT = f"etoro-sync/{__version__}"


class _HandshakeSocket:
    """What websocket-client takes for a socket while it does the opening handshake.

    It reads the whole head of the answer first: within the deadline, interruptible, of bounded
    size. ``Set-Cookie`` lines are left out, because the library keeps cookies in one jar per
    process and would send them for other accounts too.
    """

    def __init__(self, wire: Wire, dialer: Dialer, what: str) -> None:
        self._wire = wire
        self._dialer = dialer
        self._what = what
        self._head_read = False
        self._total = 0
        self.buffer = b""

    def gettimeout(self) -> float:
        # 0 makes the library call recv() and send() directly; the waiting is done in here.
        return 0.0

    def send(self, data: bytes) -> int:
        self._wire.write(data)
        while self._wire.unsent:
            self._dialer.wait(self._wire, self._what)
            self._wire.flush()
        return len(data)

    def recv(self, size: int) -> bytes:
        if not self._head_read:
            self._read_head()
        elif not self.buffer:
            self._more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def _read_head(self) -> None:
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return
        self._head_read = True
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        lines = [x for x in head.split(b"\r\n") if not x.lower().startswith(b"set-cookie")]
        self.buffer = b"\r\n".join([*lines, b"", b""]) + rest

    def _more(self) -> bool:
        """Read some bytes; return whether there were any before the end of the stream."""
        while (data := self._wire.read()) is None:
            self._dialer.wait(self._wire, self._what)
        self._total += len(data)
        if self._total > _MAX_HEAD:
            raise EToroWebSocketError(f"The answer to the opening handshake is over {_MAX_HEAD} B.")
        self.buffer += data
        return bool(data)

    def close(self) -> None:
        self._wire.close()


def open_websocket(url: str, wire: Wire, dialer: Dialer, redact: Callable[[str], str]) -> bytes:
    """Do the opening handshake on *wire*; return the bytes that came right behind it.

    :param url: what to ask for.
    :param wire: connected, TLS done.
    :param dialer: knows the deadline and whether to stop.
    :param redact: removes the keys from text of the server.
    :raises ConnectionFailed: when the answer is an HTTP error.
    :raises EToroWebSocketError: when there is no WebSocket server at the other end.
    :raises Interrupted: when the client is to stop.
    """
    target = Target.of(url)
    shim = _HandshakeSocket(wire, dialer, f"the opening handshake with {target}")
    ws = websocket.WebSocket(enable_multithread=False, skip_utf8_validation=True)
    with _translated(target, redact):
        ws.connect(  # type: ignore[no-untyped-call]  # as websocket-client ships it
            url,
            socket=shim,
            # The library would send the same headers to wherever it is redirected.
            redirect_limit=0,
            suppress_origin=True,
            header=[f"User-Agent: {_USER_AGENT}"],
        )
    if ws.status != HTTPStatus.SWITCHING_PROTOCOLS:
        raise EToroWebSocketError(f"{target} answered the opening handshake with {ws.status}.")
    return shim.buffer


@contextlib.contextmanager
def _translated(target: Target, redact: Callable[[str], str]) -> Iterator[None]:
    """Turn what websocket-client raises into this package's errors."""
    try:
        yield
    except websocket.WebSocketBadStatusException as exc:
        raise _http_error(target, exc.status_code) from None
    except websocket.WebSocketException as exc:
        # The library wraps every timeout; ours says more.
        if isinstance(exc.__context__, EToroError):
            raise exc.__context__ from None
        raise EToroWebSocketError(
            f"The opening handshake with {target} failed: {shorten(redact(str(exc)))}. "
            "Redirects are not followed. Check ws_url."
        ) from exc
    except EToroTimeoutError:
        raise
    except (OSError, ValueError) as exc:
        raise EToroWebSocketError(
            f"The connection to {target} was lost in the opening handshake: "
            f"{shorten(redact(str(exc)))}."
        ) from exc


def _http_error(target: Target, status: int) -> ConnectionFailed:
    try:
        words = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        words = str(status)
    error = EToroWebSocketError(
        f"{target} refused the opening handshake with HTTP {words}. That is the answer of a "
        "proxy, firewall or gateway on the way, not of eToro's stream.",
        f"HTTP {status}",
    )
    return ConnectionFailed(error, slow=status == HTTPStatus.TOO_MANY_REQUESTS)
