"""Connections through an HTTP proxy, by the standard library's own CONNECT client.

Loaded only when a proxy is in use. It blocks for at most the given timeout per step and cannot be
interrupted; ``disconnect()`` does not wait for it.
"""

import base64
import http.client
import socket
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import EToroWebSocketError
from .dialing import Target

__all__ = ["find_proxy", "open_tunnel"]


def find_proxy(option: str | None, target: Target) -> SplitResult | None:
    """Return the proxy to use for *target*, or None for a direct connection.

    :param option: the client's ``proxy``; None means the environment (``https_proxy`` for wss,
        ``http_proxy`` for ws, ``no_proxy``).
    """
    if option is not None:
        return urlsplit(option) if option else None
    if proxy_bypass(target.host) or _is_local(target.host):
        return None
    url = getproxies().get("https" if target.secure else "http")
    if not url:
        return None
    return urlsplit(url if "://" in url else f"http://{url}")


def _is_local(host: str) -> bool:
    # A proxy's own loopback is another machine's.
    return host in ("localhost", "127.0.0.1", "::1")


def open_tunnel(proxy: SplitResult, target: Target, timeout: float) -> socket.socket:
    """Return a socket that leads through *proxy* to *target*.

    :param proxy: ``http://[user:password@]host:port``.
    :param timeout: seconds per step.
    :raises EToroWebSocketError: when the proxy is not reached or refuses.
    """
    name = f"{proxy.hostname}:{proxy.port or 80}"
    headers = {}
    if proxy.username is not None:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    tunnel = http.client.HTTPConnection(proxy.hostname or "", proxy.port or 80, timeout=timeout)
    try:
        tunnel.set_tunnel(target.host, target.port, headers=headers)
        tunnel.connect()
    except (OSError, http.client.HTTPException) as exc:
        tunnel.close()
        raise EToroWebSocketError(
            f"The proxy {name} did not lead to {target}: {exc}. Check the proxy option, or the "
            "variables https_proxy and no_proxy."
        ) from exc
    sock: socket.socket = tunnel.sock
    return sock
