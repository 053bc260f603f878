"""Chooses the proxy, and the kind of tunnel through it.

Imported only when a client connects, because the standard library's search for proxies imports
much. Everything here runs on the reader thread.
"""

from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from ...errors import EToroWebSocketError
from ...extras import advice
from ...redaction import bytes_of
from .dialer import Tunnel
from .http_proxy import ADVICE, HttpTunnel, Login
from .target import Target, is_loopback

__all__ = ["find_proxy", "make_tunnel"]

#: Scheme of the proxy's URL -> its default port.
_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}
#: How many times to try to read the environment, if another thread changes it meanwhile.
_READINGS = 10


def find_proxy(option: str | None, target: Target) -> SplitResult | None:
    """Return the proxy to use for *target*, or None for a direct connection.

    :param option: the client's ``proxy``; None means the environment: ``https_proxy`` for wss and
        ``http_proxy`` for ws, else ``all_proxy``, unless ``no_proxy`` names the host. The variables
        may be in capitals, too; those in small letters take precedence.
    :param target: where the connection is to lead.
    :raises EToroWebSocketError: when the environment's proxy is not a URL, or cannot be read.
    """
    if option is not None:
        return urlsplit(option) if option else None
    # Never for this machine: a proxy would connect to its own loopback instead.
    url = None if is_loopback(target.host) else _of_environment(target)
    if not url:
        return None
    try:
        return urlsplit(url if "://" in url else f"http://{url}")
    except ValueError:
        raise _unusable() from None


def _of_environment(target: Target) -> str | None:
    for _ in range(_READINGS):
        try:
            # no_proxy may name a host, or a host and a port.
            if proxy_bypass(target.host) or proxy_bypass(str(target)):
                return None
            proxies = getproxies()
            return proxies.get("https" if target.secure else "http") or proxies.get("all")
        except (KeyError, RuntimeError):
            # The library iterates over os.environ, from which another thread has removed a name.
            continue
    raise EToroWebSocketError(
        "The environment cannot be searched for a proxy, because another thread keeps changing it. "
        "Pass the proxy option, '' for a direct connection."
    )


def make_tunnel(proxy: SplitResult, target: Target) -> Tunnel:
    """Return a tunnel through *proxy*, not established yet.

    :param proxy: its URL: ``http://``, ``socks5://`` or ``socks5h://``.
    :param target: where the tunnel is to lead.
    :raises EToroWebSocketError: when the URL is wrong or its scheme is not supported, when a
        package is missing, or when the keys could be read on the way to the proxy.
    """
    try:
        host, port = proxy.hostname, proxy.port
    except ValueError:
        host = port = None
    # A password with an unescaped / or # is parsed as path or fragment, its beginning as port.
    if not host or "@" in proxy.path + proxy.query + proxy.fragment:
        raise _unusable()
    scheme = proxy.scheme.lower()
    if scheme not in _PORTS:
        # Not https either: the proxy's password would be sent to it without encryption.
        raise EToroWebSocketError(
            f"A proxy of the kind {scheme}:// is not supported, only http://, socks5:// and "
            f"socks5h://. {ADVICE}"
        )
    if target.loopback_only and not is_loopback(host):
        how = "TLS that is not verified" if target.secure else "plain ws://"
        raise EToroWebSocketError(
            f"The keys must not be sent to a proxy over {how}, because they could be read on the "
            "way. Use wss:// with a certificate that is verified, or proxy=''."
        )
    login: Login | None = None
    if proxy.username is not None:
        login = bytes_of(proxy.username), bytes_of(proxy.password or "")
    entry = Target(host, port or _PORTS[scheme], False)
    if scheme == "http":
        return HttpTunnel(entry, target, login)
    try:
        from .socks_proxy import SocksTunnel
    except ImportError as exc:
        missing = f"A SOCKS proxy needs an extra: {advice('socksio', 'socks')}."
        raise EToroWebSocketError(f"{missing} {ADVICE}") from exc
    return SocksTunnel(entry, target, login, by_name=scheme == "socks5h")


def _unusable() -> EToroWebSocketError:
    # Without the URL, which may contain a password.
    return EToroWebSocketError(f"The proxy is not a URL like http://host:port. {ADVICE}")
