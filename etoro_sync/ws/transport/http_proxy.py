"""The way through a proxy: what all kinds have in common, and the HTTP proxy's CONNECT.

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
#: User and password, as the proxy is to get them.
Login = tuple[bytes, bytes]


class ProxyTunnel:
    """What every tunnel says of itself; its errors name the proxy and never the password.

    :param entry: the proxy.
    :param target: where the tunnel is to lead.
    """

    advice = ADVICE

    def __init__(self, entry: Target, target: Target) -> None:
        self.entry = entry
        self.target = target

    def failed(self, words: str, code: str | None = None) -> EToroWebSocketError:
        """Return the error that says what the proxy did instead.

        :param words: what follows "it".
        :param code: the error's ``error_code``.
        """
        return EToroWebSocketError(
            f"The proxy {self.entry} did not lead to {self.target}: it {words}. {ADVICE}", code
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
        """Refuse what came behind the proxy's answer.

        Neither TLS nor WebSocket lets the server speak first.
        """
        if rest:
            raise self.failed("sent bytes of its own into the tunnel")


class HttpTunnel(ProxyTunnel):
    """A tunnel that an HTTP proxy makes when asked with CONNECT.

    :param entry: the proxy.
    :param target: where the tunnel is to lead.
    :param login: for Basic authentication.
    """

    def __init__(self, entry: Target, target: Target, login: Login | None) -> None:
        super().__init__(entry, target)
        self._credentials = ""
        if login is not None:
            encoded = base64.b64encode(b":".join(login)).decode()
            self._credentials = f"Proxy-Authorization: Basic {encoded}\r\n"

    def establish(self, stream: SocketStream, dialer: Dialer) -> None:
        """Ask for the tunnel on *stream*, which leads to the proxy.

        :raises EToroWebSocketError: when the proxy refuses.
        :raises ConnectionFailed: when it asks for patience, too.
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
