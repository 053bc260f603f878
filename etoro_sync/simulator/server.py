"""The simulator itself: what users start, steer and stop."""

import contextlib
import ssl
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import NoReturn

from . import arguments
from .clocks import monotonic
from .controls import Controls
from .endpoint import Endpoint
from .feed import Feed
from .hub import Hub
from .market import Market
from .profile import MIXES, OWN
from .session import Policy
from .tls import make_certificates


class EToroSimulator(Controls):
    """
    An embedded simulator of eToro's WebSocket feed.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. All methods may be called
    from any thread. It listens on this machine only.

    :param instruments: None lets every instrument id exist, with a price derived from the seed and
        the id. A mapping gives ids and their first mid price, an iterable only ids; then other ids
        can be subscribed to as well, but nothing is ever sent for them.
    :param api_key: The right API key; None accepts any that is not empty.
    :param user_key: The right user key; None accepts any that is not empty.
    :param rate: Rate messages per second in total, over all instruments that anybody has subscribed
        to; 0 sends none on its own. None is the pace of the real feed: about one message a second
        for each instrument.
    :param mix: How often each shape of message comes. With ``"own"``, each instrument has a mix of
        its own, as on the real feed; ``"liquid"``, ``"universe"`` and ``"full"`` are one for all.
    :param seed: Same seed, same sequence of prices.
    :param order_interval: Seconds between automatic order events on ``private``; None sends none.
    :param nul_interval: Seconds between the binary NUL keepalives; 0 sends none.
    :param nul_before_auth: Send one before each reply to ``Authenticate``, too.
    :param max_topics: Topics that one connection may hold.
    :param max_frame_bytes: A longer text message from a client is answered with a TCP reset.
    :param duplicate_error: Refuse to subscribe a topic again that is subscribed. The default is
        to accept it and to send its snapshot again.
    :param max_backlog: Messages that may wait for a client who reads too slowly; with more, or when
        it takes nothing for 5 s, its connection is reset.
    :param tls: Speak TLS, with a certificate for ``localhost`` from an authority made for this
        simulator: see :attr:`ca_pem`.
    :param host: A loopback address.
    :param port: 0 takes a free one.
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
        certificates = make_certificates() if arguments.flag("tls", tls) else None
        hub = Hub(
            Market(
                arguments.instruments(instruments),
                seed=arguments.integer("seed", seed),
                mix=arguments.choice("mix", mix, MIXES),
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
        self._host = arguments.loopback("host", host)
        self._port = arguments.integer("port", port, 0, 65535)
        self._endpoint: Endpoint | None = None
        hub.on_faults_changed = self._update_listening

    # Life

    def start(self) -> "EToroSimulator":
        """
        Start to listen. After :meth:`stop` it can be started again, on the same port.

        :raises RuntimeError: If it is running.
        :raises OSError: If the port is taken, or the system has no thread left.
        """
        with self._hub.changed:
            if self._endpoint is not None:
                raise RuntimeError("the simulator is running already")
            self._hub.run_due(monotonic())  # a script may be waiting for the start
            context = self._certificates.context if self._certificates is not None else None
            with _threads_needed():
                self._endpoint = Endpoint(self._hub, self._host, self._port, context, self._backlog)
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
        """
        Close all connections and stop to listen; afterwards no thread and no descriptor is left.

        Clients get a close frame with code 1001; those who don't answer it within half a second are
        reset. Scripts end, and all faults are healed. Stopping twice does no harm, and finishes a
        stop that was interrupted.
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
        """End all that runs. May be done again when it was interrupted."""
        self._feed.stop()
        endpoint.stop()
        with self._hub.changed:
            for script in self._scripts:
                script.stop()
            self._hub.timers.clear()
        self.heal()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an EToroSimulator can't be copied or pickled: its threads belong to this process. "
            "Pass on its url"
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
        """Let the listening socket follow the faults. Runs with the lock held."""
        if self._endpoint is not None:
            self._endpoint.update_listening()

    def _wait_settled(self) -> None:
        """Wait until it does."""
        endpoint = self._endpoint
        if endpoint is not None:
            endpoint.wait_settled()

    # Where it is

    @property
    def port(self) -> int:
        """
        The port that it listens on.

        :raises RuntimeError: If it is 0 because the simulator has never been started.
        """
        if not self._port:
            raise RuntimeError("the simulator has no port before start()")
        return self._port

    @property
    def url(self) -> str:
        """What a client connects to; ``wss://localhost`` with TLS."""
        if self._certificates is not None:
            return f"wss://localhost:{self.port}/ws"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self.port}/ws"

    @property
    def ca_pem(self) -> str | None:
        """The certificate of the authority to trust, as PEM; None without TLS."""
        return self._certificates.ca_pem if self._certificates is not None else None

    def client_ssl_context(self) -> ssl.SSLContext:
        """
        Make a context for clients that trusts this simulator.

        :raises RuntimeError: Without TLS.
        """
        if self._certificates is None:
            raise RuntimeError("the simulator doesn't speak TLS; use tls=True")
        return self._certificates.client_context()

    def drop(self) -> int:
        """
        Cut all TCP connections off with a reset: no close frame, nothing of what was on its way.

        :return: How many clients it were.
        """
        count = self._hub.close_all(lambda peer: peer.abort())
        endpoint = self._endpoint
        if endpoint is not None:
            endpoint.reset_all()
        return count


class _NoThreadError(OSError, RuntimeError):
    """The system's limit is reached: its error, and also what Python raises for it."""


@contextlib.contextmanager
def _threads_needed() -> Iterator[None]:
    """Say what to do when no thread can be started: there are limits, and interpreters without."""
    try:
        yield
    except RuntimeError as exc:
        if exc.__context__ is not None:  # Ctrl-C in the middle of Thread.start()
            raise
        raise _NoThreadError(
            f"the simulator cannot start its threads: {exc}. Raise the limit of processes and "
            "threads (ulimit -u, or that of the container), or use the main interpreter."
        ) from exc
