"""A TLS server that sends back what it gets, in both directions at once, from one thread.

It never waits for one direction while the other could move, so whatever goes wrong on a
connection to it is the client's doing. ``python benchmarks/tls_echo.py CERTIFICATE`` runs it alone.
"""

import contextlib
import selectors
import socket
import ssl
import sys
import threading

__all__ = ["EchoServer"]

#: Bytes that wait to be sent back; beyond it nothing is read.
_MOST_WAITING = 1 << 20
_WANTS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class EchoServer:
    """Serves one connection after the other. :meth:`run` blocks until :meth:`stop`.

    :param context: with a certificate for localhost.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self._stopping = threading.Event()
        self.port: int = self._listener.getsockname()[1]

    def run(self) -> None:
        with self._listener:
            while not self._stopping.is_set():
                with contextlib.suppress(OSError):
                    self._serve(self._listener.accept()[0])

    def stop(self) -> None:
        self._stopping.set()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(10)
        with self._context.wrap_socket(plain, server_side=True) as sock:
            sock.setblocking(False)
            self._echo(sock)

    def _echo(self, sock: ssl.SSLSocket) -> None:
        """Send back until the client leaves; an error of the connection is an OSError."""
        waiting = bytearray()
        with selectors.DefaultSelector() as selector:
            key = selector.register(sock, selectors.EVENT_READ)
            while not self._stopping.is_set():
                moved = False
                with contextlib.suppress(*_WANTS):
                    if len(waiting) < _MOST_WAITING:
                        data = sock.recv(65536)
                        if not data:
                            return
                        waiting += data
                        moved = True
                with contextlib.suppress(*_WANTS):
                    if waiting:
                        # One record per write: many small ones are what makes trouble.
                        del waiting[: sock.send(waiting[:1024])]
                        moved = True
                if not moved:
                    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if waiting else 0)
                    if events != key.events:
                        key = selector.modify(sock, events)
                    selector.select(0.1)


if __name__ == "__main__":
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(sys.argv[1])
    server = EchoServer(server_context)
    print(server.port, flush=True)
    # It ends with its parent, whose end of the pipe is closed then.
    threading.Thread(target=lambda: (sys.stdin.read(), server.stop()), daemon=True).start()
    server.run()
