"""The way through an HTTP proxy: which one to use, and how to ask it for a tunnel.

Loaded only when a connection is opened, because the standard library's search for the system's
proxies is large. Everything here runs on the reader thread.
"""

import base64
import ipaddress
from http import HTTPStatus
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import EToroTimeoutError, EToroWebSocketError
from .dialing import Dialer, Target
from .wire import Wire

__all__ = ["HttpTunnel", "find_proxy"]

_ADVICE = "Check the proxy option, or the variables https_proxy and no_proxy."


def find_proxy(option: str | None, target: Target) -> SplitResult | None:
    """Return the proxy to use for *target*, or None for a direct connection.

    :param option: the client's ``proxy``; None means the environment (``https_proxy`` for wss,
        ``http_proxy`` for ws, ``no_proxy``).
    :raises EToroWebSocketError: when the environment's proxy is no URL.
    """
    if option is not None:
        return urlsplit(option) if option else None
    # A proxy's own loopback is another machine's; no_proxy may name a host, or a host and a port.
    if _is_loopback(target.host) or proxy_bypass(target.host) or proxy_bypass(str(target)):
        return None
    url = getproxies().get("https" if target.secure else "http")
    if not url:
        return None
    try:
        return urlsplit(url if "://" in url else f"http://{url}")
    except ValueError:
        raise _unusable() from None


def _unusable() -> EToroWebSocketError:
    # Without the URL: it may hold a password.
    return EToroWebSocketError(f"The proxy is not like http://host:port. {_ADVICE}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class HttpTunnel:
    """A tunnel that an HTTP proxy makes when asked with CONNECT.

    :param proxy: ``http://[user:password@]host[:port]``.
    :param target: where it is to lead.
    :raises EToroWebSocketError: when this proxy cannot be used, or must not be.
    """

    def __init__(self, proxy: SplitResult, target: Target) -> None:
        try:
            host, port = proxy.hostname, proxy.port
        except ValueError:
            host = port = None
        if not host:
            raise _unusable()
        if proxy.scheme.lower() != "http":
            # Not even https: the password would travel to it in the clear.
            raise EToroWebSocketError(
                f"A proxy of the kind {proxy.scheme}:// is not supported, only http://. {_ADVICE}"
            )
        if not target.secure and not _is_loopback(host):
            raise EToroWebSocketError(
                "The keys must not travel to a proxy over plain ws://. Use wss://, or proxy=''."
            )
        self.entry = Target(host, port or 80, False)
        self.advice = _ADVICE
        self._target = target
        self._credentials = ""
        if proxy.username is not None:
            pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
            encoded = base64.b64encode(pair.encode()).decode()
            self._credentials = f"Proxy-Authorization: Basic {encoded}\r\n"

    def pierce(self, wire: Wire, dialer: Dialer) -> None:
        """Ask for the tunnel on *wire*, which leads to the proxy.

        :raises EToroWebSocketError: when the proxy refuses.
        """
        request = (
            f"CONNECT {self._target} HTTP/1.1\r\nHost: {self._target}\r\n{self._credentials}\r\n"
        )
        what = f"the request to the proxy {self.entry}"
        try:
            dialer.send(wire, request.encode("ascii"), what)
            head, rest = dialer.read_head(wire, what)
        except EToroTimeoutError:
            raise
        except OSError as exc:
            raise self._failed(f"ended the connection ({exc.strerror or exc})") from exc
        status = head.split(b"\r\n")[0].split(None, 2)[1:2]
        if not head.startswith(b"HTTP/") or not status or not status[0].isdigit():
            raise self._failed("answered with something that is not HTTP")
        self._check(int(status[0]))
        if rest:
            # Neither TLS nor WebSocket lets the server speak first.
            raise self._failed("sent bytes of its own into the tunnel")

    def _check(self, status: int) -> None:
        if 200 <= status < 300:
            return
        try:
            words = f"{status} {HTTPStatus(status).phrase}"
        except ValueError:
            words = str(status)
        error = self._failed(f"refused with HTTP {words}")
        error.error_code = f"HTTP {status}"
        raise error

    def _failed(self, words: str) -> EToroWebSocketError:
        return EToroWebSocketError(
            f"The proxy {self.entry} did not lead to {self._target}: it {words}. {_ADVICE}"
        )
