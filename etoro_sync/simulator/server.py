"""The simulator itself: the class that users start, control and stop."""

import contextlib
import ssl
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import NoReturn

from . import arguments
from .catalogue import Catalogue
from .clocks import monotonic
from .controls import Controls
from .endpoint import Endpoint
from .feed import Feed
from .hub import Hub
from .market import Market
from .profile import MIXES, OWN
from .rest import RestEndpoints
from .session import Policy
from .tls import make_certificates


class EToroSimulator(Controls):
    """A simulator of eToro's WebSocket feed that runs in this process.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. All methods may be called
    from any thread. It accepts connections from this machine only.

    :param instruments: None: every instrument id exists, at a price derived from the seed and the
        id. A mapping gives ids and their first mid prices, an iterable only ids. Other ids can then
        be subscribed to as well, but no messages are sent for them.
    :param api_key: the API key that is accepted; None accepts any that is not empty.
    :param user_key: the user key that is accepted; None accepts any that is not empty.
    :param rate: rate messages per second in total, over all instruments that any client has
        subscribed to; 0 sends none automatically. None is the pace of the real feed: about one
        message a second for each instrument.
    :param mix: how often each kind of message is sent. With ``"own"``, each instrument has a mix of
        its own, as on the real feed; ``"liquid"``, ``"universe"`` and ``"full"`` apply to all.
    :param seed: the same seed gives the same sequence of prices.
    :param order_interval: seconds between automatic order events on ``private``; None sends none.
        Some of these orders are filled, others rejected, canceled, or filled in part.
    :param nul_interval: seconds between the binary NUL keepalives; 0 sends none.
    :param nul_before_auth: also send a keepalive before each reply to ``Authenticate``.
    :param max_topics: how many topics one connection may subscribe to.
    :param max_frame_bytes: a client that sends a longer text message gets a TCP reset.
    :param duplicate_error: refuse to subscribe to a topic a second time. By default this is
        accepted and sends another snapshot.
    :param max_backlog: how many messages may wait for a client that reads too slowly. When there
        are more, or when the client reads nothing for 5 s, its connection is reset.
    :param tls: use TLS, with a certificate for ``localhost`` from an authority made for this
        simulator: see :attr:`ca_pem`.
    :param rest: also answer, on the same port, the two requests of eToro's REST API that tell the
        names of instruments: see :attr:`rest_url`. A few hundred have names and usual prices.
    :param host: a loopback address.
    :param port: 0 chooses a free one.
    """

    def __init__(
        self,
        instruments: Mapping[int, float] | Iterable[int] | None = None,
        *,
        api_key: str | None = None,
        user_key: str | None = None,
        rate: float | None = None,
        mix: str = OWN,
        seed: int = 0,
        order_interval: float | None = None,
        nul_interval: float = 5.0,
        nul_before_auth: bool = False,
        max_topics: int = 4999,
        max_frame_bytes: int = 25 * 1024,
        duplicate_error: bool = False,
        max_backlog: int = 20_000,
        tls: bool = False,
        rest: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        for name, key in (("api_key", api_key), ("user_key", user_key)):
            if key is not None:
                arguments.text(name, key, empty=False)
        if order_interval is not None:
            arguments.number("order_interval", order_interval, above=0)
        policy = Policy(
            api_key=api_key,
            user_key=user_key,
            max_topics=arguments.integer("max_topics", max_topics, 0),
            duplicate_error=arguments.flag("duplicate_error", duplicate_error),
        )
        usual = dict[int, float]()
        if arguments.flag("rest", rest):
            usual = {each.id: each.price for each in Catalogue().listings}
        certificates = make_certificates() if arguments.flag("tls", tls) else None
        hub = Hub(
            Market(
                arguments.instruments(instruments),
                seed=arguments.integer("seed", seed),
                mix=arguments.choice("mix", mix, MIXES),
                usual=usual,
            ),
            policy,
            certificates,
            seed=seed,
            max_frame_bytes=arguments.integer("max_frame_bytes", max_frame_bytes, 1),
            nul_before_auth=arguments.flag("nul_before_auth", nul_before_auth),
        )
        feed = Feed(
            hub,
            None if rate is None else arguments.number("rate", rate),
            order_interval,
            arguments.number("nul_interval", nul_interval),
            seed,
        )
        super().__init__(hub, feed)
        self._backlog = arguments.integer("max_backlog", max_backlog, 1)
        self._certificates = certificates
        self._rest: RestEndpoints | None = None
        if usual:
            self._rest = RestEndpoints(Catalogue(hub.market.knows), policy)
        self._host = arguments.loopback("host", host)
        self._port = arguments.integer("port", port, 0, 65535)
        self._endpoint: Endpoint | None = None
        hub.on_faults_changed = self._update_listening

    # Starting and stopping

    def start(self) -> "EToroSimulator":
        """Start listening.

        After :meth:`stop` it can be started again, on the same port.

        :raises RuntimeError: if it is running.
        :raises OSError: if the port is taken, or the system cannot start another thread.
        """
        with self._hub.changed:
            if self._endpoint is not None:
                raise RuntimeError("the simulator is already running; call stop() first")
            self._hub.run_due(monotonic())  # a script may be waiting for the start
            context = self._certificates.context if self._certificates is not None else None
            with _threads_needed():
                self._endpoint = Endpoint(
                    self._hub, self._host, self._port, context, self._backlog, self._rest
                )
            self._port = self._endpoint.port
        try:
            self._wait_settled()
            with _threads_needed():
                self._feed.start()
        except BaseException:  # Ctrl-C, for instance
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close all connections and stop listening; no thread and no file descriptor is left.

        Clients get a close frame with code 1001; connections whose client does not answer it
        within half a second are reset. Scripts end, and all faults are healed. Stopping twice is
        harmless; a second call completes a stop that was interrupted.
        """
        with self._hub.changed:
            endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            try:
                self._shut_down(endpoint)
            except BaseException:  # Ctrl-C, for instance
                self._endpoint = endpoint
                raise

    def _shut_down(self, endpoint: Endpoint) -> None:
        """Stop everything that runs. Can be called again after an interruption."""
        self._feed.stop()
        endpoint.stop()
        with self._hub.changed:
            for script in self._scripts:
                script.stop()
            self._hub.timers.clear()
        self.heal()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an EToroSimulator cannot be copied or pickled: its threads belong to this process. "
            "Pass its url instead."
        )

    def __enter__(self) -> "EToroSimulator":
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = self.url if self._endpoint is not None else "not running"
        count = len(self.clients)
        return f"<EToroSimulator {state}, {count} client{'' if count == 1 else 's'}>"

    def _update_listening(self) -> None:
        """Listen or refuse connections, as the faults require. Requires the lock."""
        if self._endpoint is not None:
            self._endpoint.update_listening()

    def _wait_settled(self) -> None:
        """Wait until the listening socket is as the faults require."""
        endpoint = self._endpoint
        if endpoint is not None:
            endpoint.wait_settled()

    # Its address

    @property
    def port(self) -> int:
        """The port that it listens on.

        :raises RuntimeError: if it is to be chosen at the first start, which has not happened yet.
        """
        if not self._port:
            raise RuntimeError("the simulator has no port yet; call start() first")
        return self._port

    @property
    def url(self) -> str:
        """The URL for clients; it begins with ``wss://localhost`` if the simulator uses TLS."""
        if self._certificates is not None:
            return f"wss://localhost:{self.port}/ws"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self.port}/ws"

    @property
    def rest_url(self) -> str:
        """The address of the REST API for clients, such as for ``ETORO_REST_URL``.

        :raises RuntimeError: if the simulator has none.
        """
        if self._rest is None:
            raise RuntimeError("the simulator has no REST API; create it with rest=True")
        return f"http{self.url.removeprefix('ws').removesuffix('/ws')}"

    @property
    def rest_requests(self) -> list[str]:
        """Path and query of the last 10,000 REST requests, oldest first."""
        with self._hub.changed:
            return [] if self._rest is None else list(self._rest.requests)

    @property
    def ca_pem(self) -> str | None:
        """The authority's certificate, which clients must trust, as PEM; None without TLS."""
        return self._certificates.ca_pem if self._certificates is not None else None

    def client_ssl_context(self) -> ssl.SSLContext:
        """Create an SSL context for clients that trusts this simulator.

        :raises RuntimeError: if the simulator does not use TLS.
        """
        if self._certificates is None:
            raise RuntimeError("the simulator does not use TLS; create it with tls=True")
        return self._certificates.client_context()

    def drop(self) -> int:
        """Reset all TCP connections, without a close frame; unsent messages are lost.

        :returns: how many clients were connected.
        """
        count = self._hub.close_all(lambda peer: peer.abort())
        endpoint = self._endpoint
        if endpoint is not None:
            endpoint.reset_all()
        return count


class _NoThreadError(OSError, RuntimeError):
    """A limit of the system: an OSError, but also a RuntimeError, as Python itself raises it."""


@contextlib.contextmanager
def _threads_needed() -> Iterator[None]:
    """Explain what to do when no thread can be started.

    The system may have reached a limit, or a subinterpreter may not allow threads.
    """
    try:
        yield
    except RuntimeError as exc:
        if exc.__context__ is not None:  # Ctrl-C in the middle of Thread.start()
            raise
        raise _NoThreadError(
            f"the simulator cannot start its threads: {exc}. Raise the limit of processes and "
            "threads (ulimit -u, or that of the container), or use the main interpreter."
        ) from exc
