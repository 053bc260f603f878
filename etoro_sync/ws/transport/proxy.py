"""Which proxy to use, and what kind of tunnel it makes.

Loaded only when a client connects, because the standard library's search for the system's
proxies is large. Everything here runs on the reader thread.
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

#: Scheme of the proxy's URL -> its port, where the URL has none.
_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}
#: How often the environment is read, where another thread changes it meanwhile.
_READINGS = 10


def find_proxy(option: str | None, target: Target) -> SplitResult | None:
    """Return the proxy to use for *target*, or None for a direct connection.

    :param option: the client's ``proxy``; None means the environment: ``https_proxy`` for wss and
        ``http_proxy`` for ws, else ``all_proxy``, unless ``no_proxy`` names the host. Each may be
        written in capitals too, and the small letters win.
    :raises EToroWebSocketError: when the environment's proxy is no URL, or cannot be read.
    """
    if option is not None:
        return urlsplit(option) if option else None
    # A proxy's own loopback is another machine's.
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
            # The library goes through os.environ name by name, and a name may be gone by then.
            continue
    raise EToroWebSocketError(
        f"The proxy's variables cannot be read: another thread keeps changing them. {ADVICE}"
    )


def make_tunnel(proxy: SplitResult, target: Target) -> Tunnel:
    """Return the tunnel that a proxy makes.

    :param proxy: of the kind ``http://``, ``socks5://`` or ``socks5h://``.
    :param target: where it is to lead.
    :raises EToroWebSocketError: when this proxy cannot be used, or must not be.
    """
    try:
        host, port = proxy.hostname, proxy.port
    except ValueError:
        host = port = None
    # A password with an unescaped / or # ends up in there, and its beginning in the port.
    if not host or "@" in proxy.path + proxy.query + proxy.fragment:
        raise _unusable()
    scheme = proxy.scheme.lower()
    if scheme not in _PORTS:
        # Not even https: the password would travel to it in the clear.
        raise EToroWebSocketError(
            f"A proxy of the kind {scheme}:// is not supported, only http://, socks5:// and "
            f"socks5h://. {ADVICE}"
        )
    if target.loopback_only and not is_loopback(host):
        how = "TLS that is not verified" if target.secure else "plain ws://"
        raise EToroWebSocketError(
            f"The keys must not travel to a proxy over {how}. Use wss://, verified, or proxy=''."
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
        words = f"A SOCKS proxy needs an extra: {advice('socksio', 'socks')}."
        raise EToroWebSocketError(f"{words} {ADVICE}") from exc
    return SocksTunnel(entry, target, login, by_name=scheme == "socks5h")


def _unusable() -> EToroWebSocketError:
    # Without the URL: it may hold a password.
    return EToroWebSocketError(f"The proxy is not like http://host:port. {ADVICE}")
