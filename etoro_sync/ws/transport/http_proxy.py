"""Tunnels through proxies: what all kinds have in common, and the HTTP proxy's CONNECT.

Everything here runs on the reader thread.
"""

import base64
import contextlib
import re
from collections.abc import Iterator
from http import HTTPStatus

from ... import clocks
from ...errors import EToroTimeoutError, EToroWebSocketError
from ..failures import ConnectionFailed
from .dialer import Dialer
from .reasons import reason
from .retry_after import retry_after, status_text
from .socket_stream import SocketStream
from .target import Target

__all__ = ["ADVICE", "HttpTunnel", "Login", "ProxyTunnel"]

ADVICE = "Check the proxy option, or the variables https_proxy, all_proxy and no_proxy."
#: User and password, as they are sent to the proxy.
Login = tuple[bytes, bytes]


class ProxyTunnel:
    """Base of all tunnels; its errors name the proxy and never the password.

    :param entry: the proxy.
    :param target: where the tunnel is to lead.
    """

    advice = ADVICE

    def __init__(self, entry: Target, target: Target) -> None:
        self.entry = entry
        self.target = target

    def failed(self, what: str, code: str | None = None) -> EToroWebSocketError:
        """Return the error that says what the proxy did instead of establishing the tunnel.

        :param what: a verb and what follows it, such as ``"refused the user"``.
        :param code: the error's ``error_code``.
        """
        return EToroWebSocketError(
            f"The proxy {self.entry} did not connect to {self.target}: it {what}. {ADVICE}", code
        )

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the loss of the connection into an error that names the proxy."""
        try:
            yield
        except EToroTimeoutError:
            raise
        except OSError as exc:
            raise self.failed(f"ended the connection ({reason(exc)})") from exc

    def check_no_rest(self, rest: bytes | bytearray) -> None:
        """Raise if the proxy sent anything after its answer.

        It cannot come from the server, which in TLS and WebSocket never sends first.
        """
        if rest:
            raise self.failed("sent bytes of its own through the tunnel")


class HttpTunnel(ProxyTunnel):
    """A tunnel through an HTTP proxy, requested with CONNECT.

    :param entry: the proxy.
    :param target: where the tunnel is to lead.
    :param login: for Basic authentication; None: without.
    """

    def __init__(self, entry: Target, target: Target, login: Login | None) -> None:
        super().__init__(entry, target)
        self._credentials = ""
        if login is not None:
            encoded = base64.b64encode(b":".join(login)).decode()
            self._credentials = f"Proxy-Authorization: Basic {encoded}\r\n"

    def establish(self, stream: SocketStream, dialer: Dialer) -> None:
        """Request the tunnel on *stream*, which is connected to the proxy.

        :raises EToroWebSocketError: when the proxy refuses.
        :raises ConnectionFailed: when it also requires a longer wait before the next attempt.
        """
        request = (
            f"CONNECT {self.target} HTTP/1.1\r\nHost: {self.target}\r\n{self._credentials}\r\n"
        )
        what = f"the request to the proxy {self.entry}"
        with self.translated():
            dialer.send(stream, request.encode("ascii"), what)
            head, rest = dialer.read_head(stream, what)
        answer = re.match(rb"HTTP/\S*[ \t]+(\d{3})[ \t\r]", head)
        if answer is None:
            raise self.failed("answered with something that is not HTTP")
        self._check(int(answer[1]), head)
        self.check_no_rest(rest)

    def _check(self, status: int, head: bytes) -> None:
        if 200 <= status < 300:
            return
        asked = retry_after(status, head, clocks.wall_clock())
        error = self.failed(f"refused with {status_text(status, asked)}", f"HTTP {status}")
        slow = status == HTTPStatus.TOO_MANY_REQUESTS
        if slow or asked:
            raise ConnectionFailed(error, slow=slow, retry_after=asked or 0.0)
        raise error
