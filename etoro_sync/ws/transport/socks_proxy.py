"""Tunnels through SOCKS5 proxies. Needs the extra ``socks``; imported only for such a proxy.

socksio parses the messages (RFC 1928, RFC 1929) but needs each one complete, so they are cut from
the stream here. Everything here runs on the reader thread.
"""

import socket

from socksio import ProtocolError
from socksio.socks5 import (
    SOCKS5AuthMethod,
    SOCKS5AuthMethodsRequest,
    SOCKS5AuthReply,
    SOCKS5Command,
    SOCKS5CommandRequest,
    SOCKS5Reply,
    SOCKS5ReplyCode,
    SOCKS5UsernamePasswordReply,
    SOCKS5UsernamePasswordRequest,
)

from ...errors import EToroWebSocketError
from .dialer import Dialer
from .http_proxy import ADVICE, Login, ProxyTunnel
from .socket_stream import SocketStream
from .target import Target

__all__ = ["SocksTunnel"]

#: User, password and host names are sent with their length in one byte.
_LONGEST = 255
_NO_LOGIN = SOCKS5AuthMethod.NO_AUTH_REQUIRED
_LOGIN = SOCKS5AuthMethod.USERNAME_PASSWORD
#: Address type -> size of a reply with such an address, in bytes.
_SIZES = {1: 10, 4: 22}
_NAME = 3


class SocksTunnel(ProxyTunnel):
    """A tunnel through a SOCKS5 proxy.

    :param entry: the proxy.
    :param target: where the tunnel is to lead.
    :param login: user and password; None: without.
    :param by_name: whether the proxy resolves the target's name; otherwise it is resolved here.
    :raises EToroWebSocketError: when user, password or host are too long for SOCKS5.
    """

    def __init__(
        self, entry: Target, target: Target, login: Login | None, *, by_name: bool
    ) -> None:
        super().__init__(entry, target)
        self._login = login
        self._by_name = by_name
        if self._login is not None and not self._login[0]:
            raise EToroWebSocketError(f"A SOCKS5 proxy's password needs a user. {ADVICE}")
        if max(map(len, (*(self._login or ()), target.host))) > _LONGEST:
            raise EToroWebSocketError(
                f"User, password and host may have at most {_LONGEST} bytes each for a SOCKS5 "
                f"proxy. {ADVICE}"
            )

    def establish(self, stream: SocketStream, dialer: Dialer) -> None:
        """Request the tunnel on *stream*, which is connected to the proxy.

        :raises EToroWebSocketError: when the proxy refuses, or the name cannot be resolved.
        """
        host = self.target.host
        if not self._by_name:
            addresses = dialer.resolve(self.target, loopback_only=self.target.loopback_only)
            # The resolver's order depends on this machine's network, not the proxy's; a proxy is
            # most likely to reach IPv4.
            best = min(addresses, key=lambda each: each[0] != socket.AF_INET)
            host = str(best[4][0])
        answers = _Answers(stream, dialer, f"the request to the proxy {self.entry}")
        with self.translated():
            try:
                self._greet(answers)
                self._ask(answers, host)
            except ProtocolError:
                raise self.failed("answered with something that is not SOCKS5") from None
        self.check_no_rest(answers.rest)

    def _greet(self, answers: "_Answers") -> None:
        """Agree on an authentication method, and authenticate."""
        methods = [_NO_LOGIN] if self._login is None else [_NO_LOGIN, _LOGIN]
        answers.send(SOCKS5AuthMethodsRequest(methods).dumps())
        data = answers.take(2)
        if data[0] != 5:
            raise ProtocolError
        method = SOCKS5AuthReply.loads(data).method
        if method not in methods:
            known = self._login is not None
            wanted = "another way to log in than" if known else "a way to log in, such as"
            raise self.failed(f"wants {wanted} user and password")
        if method is not _LOGIN or self._login is None:
            return
        answers.send(SOCKS5UsernamePasswordRequest(*self._login).dumps())
        if not SOCKS5UsernamePasswordReply.loads(answers.take(2)).success:
            raise self.failed("refused the user and the password")

    def _ask(self, answers: "_Answers", host: str) -> None:
        """Request the connection to *host*, and read the reply."""
        connect = SOCKS5Command.CONNECT
        request = SOCKS5CommandRequest.from_address(connect, (host, self.target.port))
        answers.send(request.dumps())
        version, code = answers.peek(2)
        if version != 5:
            raise ProtocolError
        if code:
            # Before the rest is read, because some proxies send no more when they refuse.
            raise self.failed(f"refused with {_code_text(code)}", f"SOCKS {code}")
        *_, kind, length = answers.peek(5)
        size = 7 + length if kind == _NAME else _SIZES.get(kind)
        if size is None:
            raise ProtocolError
        SOCKS5Reply.loads(answers.take(size))


def _code_text(code: int) -> str:
    try:
        name = SOCKS5ReplyCode(bytes([code])).name
    except ValueError:
        return f"SOCKS code {code}"
    return f"SOCKS code {code}, {name.replace('_', ' ').lower()}"


class _Answers:
    """Cuts messages from what the proxy sends: one may come in pieces, or two at once.

    :param stream: connected to the proxy.
    :param dialer: has the deadline, and knows whether to stop.
    :param what: named by the error at the deadline.
    """

    def __init__(self, stream: SocketStream, dialer: Dialer, what: str) -> None:
        self._stream = stream
        self._dialer = dialer
        self._what = what
        #: Received bytes that were not taken yet.
        self.rest = bytearray()

    def send(self, data: bytes) -> None:
        self._dialer.send(self._stream, data, self._what)

    def peek(self, size: int) -> bytes:
        """Return the next *size* bytes without removing them."""
        while len(self.rest) < size:
            self.rest += self._dialer.read(self._stream, self._what)
        return bytes(self.rest[:size])

    def take(self, size: int) -> bytes:
        """Return the next *size* bytes and remove them."""
        data = self.peek(size)
        del self.rest[:size]
        return data
