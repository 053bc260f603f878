"""A server that does to a client what a WebSocket library would never do.

It listens on the loopback interface and hands every connection to a script, a function that is
given the server's end of it::

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send(frame(TEXT, b"cut off", declared_length=1000))
        peer.reset()

    with RawServer(script) as server:
        connect_to(server.url)

Leaving the block stops everything within a second, and raises the first exception of a script, so
that a script whose assertion fails is a test that fails.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Sequence
from types import TracebackType

from etoro_sync.clocks import monotonic

from .frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame
from .peer import Peer
from .stream import Disconnected
from .timing import MS

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "Disconnected",
    "Peer",
    "RawServer",
    "Refuser",
    "Script",
    "frame",
]

Script = Callable[[Peer], object]

_HOST = "127.0.0.1"


class RawServer:
    """A server run by scripts.

    :param script: for every connection; or a sequence, of which the i-th runs the i-th connection
        and the last one all that follow
    :param tls: the context of a TLS server; its URL then names ``localhost``, as certificates do
    :param recv_buffer: size of the kernel's receive buffer: with a small one, a client that nobody
        reads from soon cannot send any more
    :param send_buffer: size of the kernel's send buffer
    :ivar port: where it listens; stays the same when it pauses listening
    :ivar peers: the server's ends of all connections so far, in order
    :ivar errors: exceptions of scripts, except those of a connection that ended
    """

    def __init__(
        self,
        script: Script | Sequence[Script],
        tls: ssl.SSLContext | None = None,
        *,
        recv_buffer: int | None = None,
        send_buffer: int | None = None,
    ) -> None:
        self._scripts = [script] if callable(script) else list(script)
        self._tls = tls
        self._buffers = {socket.SO_RCVBUF: recv_buffer, socket.SO_SNDBUF: send_buffer}
        self.port = 0
        self.peers: list[Peer] = []
        self.errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        # Guards peers, errors and _threads, and is notified of each connection.
        self._changed = threading.Condition()
        self._listener: _Listener | None = None

    @property
    def url(self) -> str:
        """Where a client finds the server."""
        if self._tls is None:
            return f"ws://{_HOST}:{self.port}/ws"
        return f"wss://localhost:{self.port}/ws"

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        with self._changed:
            return len(self.peers)

    def start(self) -> RawServer:
        """Listen on a free port."""
        self.start_listening()
        return self

    def start_listening(self) -> None:
        """Listen, or listen again on the same port after :meth:`stop_listening`."""
        assert self._listener is None, "the server listens already"
        self._listener = _Listener(self.port, self._buffers, self._accepted)
        self.port = self._listener.port

    def stop_listening(self) -> None:
        """Refuse new connections; the present ones stay. Does nothing when it does not listen."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def wait_connections(self, count: int, timeout: float = 5_000 * MS) -> None:
        """Block until that many connections were accepted.

        :raises TimeoutError: there were fewer
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.peers) >= count, timeout):
                raise TimeoutError(f"{len(self.peers)} of {count} connections after {timeout} s")

    def stop(self, timeout: float = 0.9) -> None:
        """Refuse new connections and end all scripts, within a bounded time.

        A script that waits for something the server knows nothing of is reported among the errors.
        """
        deadline = monotonic() + timeout
        self._stopping.set()
        self.stop_listening()
        with self._changed:
            peers, threads = list(self.peers), list(self._threads)
        for peer in peers:
            peer.abort()
        for thread in threads:
            thread.join(max(0.0, deadline - monotonic()))
            if thread.is_alive():
                self.errors.append(RuntimeError(f"the script of {thread.name} does not end"))
        for peer in peers:
            peer.close()

    def __enter__(self) -> RawServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is None:
            self.raise_errors()
        for hidden in self.errors:
            # The test fails with an error of its own, often because of this one: show both.
            traceback.print_exception(type(hidden), hidden, hidden.__traceback__)

    def raise_errors(self) -> None:
        """Raise the first exception of a script, if there is one."""
        if self.errors:
            raise self.errors[0]

    def _accepted(self, sock: socket.socket) -> None:
        """Start a connection's script. Runs on the listener's thread."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._changed:
            index = len(self.peers)
            peer = Peer(sock, index, self._stopping)
            script = self._scripts[min(index, len(self._scripts) - 1)]
            # A daemon, so that a script that does not end cannot keep the test run from ending.
            thread = threading.Thread(
                target=self._run, args=(script, peer), name=f"raw-server-{index}", daemon=True
            )
            self.peers.append(peer)
            self._threads.append(thread)
            thread.start()
            self._changed.notify_all()

    def _run(self, script: Script, peer: Peer) -> None:
        """Run one script to its end. Runs on the connection's thread."""
        try:
            if self._tls is None or peer.start_tls(self._tls):
                script(peer)
        # A failed assertion of pytest is no Exception.
        except BaseException as error:
            if not self._is_expected(error):
                with self._changed:
                    self.errors.append(error)
        finally:
            peer.finish()

    def _is_expected(self, error: BaseException) -> bool:
        """Tell a connection that ended from a script that failed."""
        if isinstance(error, (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return True
        # A socket that stop() shuts down fails in as many ways as there are operations on it.
        return self._stopping.is_set() and isinstance(error, OSError)


class _Listener:
    """A listening socket and the thread that accepts from it."""

    def __init__(
        self,
        port: int,
        buffers: dict[int, int | None],
        accepted: Callable[[socket.socket], None],
    ) -> None:
        self._accepted = accepted
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            for option, size in buffers.items():
                if size is not None:
                    # Before listen: accepted sockets inherit it, and the first window obeys it.
                    self._socket.setsockopt(socket.SOL_SOCKET, option, size)
            self._socket.bind((_HOST, port))
            self._socket.listen(128)
            # The client may leave between select and accept, which must not block then.
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        # Closing a socket does not wake a thread that accepts from it.
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="raw-server-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop accepting; connections that nobody accepted yet are reset."""
        self._wake.close()
        self._thread.join()

    def _run(self) -> None:
        with self._socket, self._woken, selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not any(key.fileobj is self._woken for key, _ in selector.select()):
                with contextlib.suppress(OSError):
                    sock, _ = self._socket.accept()
                    sock.setblocking(True)
                    self._accepted(sock)


class Refuser:
    """A port that refuses connections, and that nobody else can take meanwhile."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Bound but not listening: the kernel answers with a reset, and the port stays taken.
        self._socket.bind((_HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"ws://{_HOST}:{self.port}/ws"

    def __enter__(self) -> Refuser:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
