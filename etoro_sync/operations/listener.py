"""A small HTTP server: fixed pages for GET and HEAD, and few connections at a time.

Who sends slowly or nothing blocks nobody: each connection has a thread of its own, and when there
are too many, the oldest is cut off. So a scrape that is made now is always served.
"""

import contextlib
import http.server
import logging
import os
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from .. import clocks
from ..logs import log
from ..synchronization import join_thread
from ..text import no_thread

__all__ = ["Listener", "Page", "Source"]

#: Connections that are served at a time.
_MOST = 16
#: Threads whose connections were cut off, and that have not ended: those of a few moments, or those
#: that hang in a collector of the program.
_MOST_LEFT = 100
#: Seconds to wait for the next byte of a request, or for room to send.
_PATIENCE = 5.0
#: Seconds to wait after the system has refused a connection, since descriptors have run out.
_BREATH = 0.1


@dataclass(frozen=True)
class Page:
    """An answer.

    :param status: of HTTP.
    :param kind: the content's type.
    :param body: the content.
    """

    status: int
    kind: str
    body: bytes


#: What a page is made of: metrics, or a function.
Source = CollectorRegistry | Callable[[], Page]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request, on a thread of its own."""

    server: "Listener"
    server_version = "etoro-sync"
    sys_version = ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"
    timeout = _PATIENCE

    def __getattr__(self, name: str) -> Callable[[], None]:
        # http.server looks for a method of each name that a request may have.
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def do_GET(self) -> None:
        """Send a page."""
        page = self._page()
        self.send_response(page.status)
        self.send_header("Content-Type", page.kind)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(page.body)

    do_HEAD = do_GET

    def _page(self) -> Page:
        source = self.server.pages.get(self.path.partition("?")[0])
        if source is None:
            known = " and ".join(self.server.pages)
            return Page(404, "text/plain; charset=utf-8", f"Here are {known}.\n".encode())
        if isinstance(source, CollectorRegistry):
            return _metrics(source, self.headers.get("Accept", ""))
        return source()

    def _refuse(self) -> None:
        body = b"Only GET and HEAD.\n"
        self.send_response(405)
        self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a scrape every few seconds is no news."""


def _metrics(registry: CollectorRegistry, accept: str) -> Page:
    """Return all metrics in the format that is asked for."""
    try:
        # A line break, as a folded header has it, would get into the answer's own.
        encode, kind = choose_encoder(accept if accept.isprintable() else "")
    except TypeError:  # a version that is no number
        encode, kind = choose_encoder("")
    try:
        return Page(200, kind, encode(registry))
    except Exception as exc:  # a collector that the program has added may raise anything
        log(logging.ERROR, "A collector in the registry of metrics has failed", exc_info=exc)
        return Page(500, "text/plain; charset=utf-8", b"A collector has failed; see the log.\n")


class Listener(socketserver.TCPServer):
    """Listens, and serves each connection on a thread of its own.

    The lock guards the connections that are served, and the threads of those that were cut off.

    :param host: to listen on.
    :param port: to listen on; 0 takes a free one.
    :param pages: path -> what makes the page.
    :raises OSError: when it cannot listen there.
    """

    # Elsewhere it would allow two programs to listen on one port.
    allow_reuse_address = os.name == "posix"
    request_queue_size = 64

    def __init__(self, host: str, port: int, pages: Mapping[str, Source]) -> None:
        self.pages = pages
        self._lock = threading.Lock()
        self._served: dict[socket.socket, threading.Thread] = {}
        self._left: list[threading.Thread] = []
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where it is found from this machine."""
        host = str(self.server_address[0])
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    # -- the listening thread --------------------------------------------------------------------

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(_BREATH)  # else this thread would spin until a descriptor is free
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread; with too many, cut off the oldest."""
        thread = threading.Thread(
            target=self._serve,
            args=(request, client_address),
            name=f"etoro-sync-metrics-{self.port}-request",
            daemon=True,
        )
        with self._lock:
            self._left = [each for each in self._left if each.is_alive()]
            if len(self._left) >= _MOST_LEFT:
                raise RuntimeError("the threads of earlier requests hang in a collector")
            oldest = next(iter(self._served)) if len(self._served) >= _MOST else None
            if oldest is not None:
                # Its thread ends; another one is cut off next time.
                self._left.append(self._served.pop(oldest))
            self._served[request] = thread
        if oldest is not None:
            _cut(oldest)
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what is a defect. Also called on the threads of connections, in an ``except``."""
        exc = sys.exc_info()[1]
        if isinstance(exc, RuntimeError) and "thread" in str(exc):
            reason = f"{exc}." if "hang" in str(exc) else no_thread(exc)
            log(logging.WARNING, "A request for metrics is refused: %s", reason)
        elif not isinstance(exc, OSError):  # which a client that has gone leads to
            log(logging.ERROR, "Metrics could not be served; please report this", exc_info=exc)

    # -- a thread for each connection ------------------------------------------------------------

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection. Any thread."""
        with self._lock:
            self._served.pop(request, None)
        super().shutdown_request(request)

    # -- any thread ------------------------------------------------------------------------------

    def server_close(self) -> None:
        """Free the port, and end all connections."""
        super().server_close()
        with self._lock:
            served = list(self._served.items())
        for request, _ in served:
            _cut(request)
        deadline = clocks.monotonic() + 1.0
        for _, thread in served:
            if thread is not threading.current_thread() and thread.ident is not None:
                join_thread(thread, deadline - clocks.monotonic())


def _cut(request: socket.socket) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)
