"""The source behind a fleet: starts and ends its sessions, one after the other."""

from ..delivery.registry import Registry
from ..stats import Counters
from ..ws.options import WsClientOptions
from ..ws.session.manager import SessionManager
from ..ws.session.subscriptions import Subscriptions, Ticket
from .book import FleetBook
from .connections import Parts
from .lifecycles import FleetLifecycle
from .session import FleetSession
from .stats import merged
from .tracker import FleetTracker

__all__ = ["FleetManager"]


class FleetSubscriptions(Subscriptions):
    """Records what is wanted, and hands operations to the connections that have the topics.

    :param tracker: the topics of all connections.
    :param lifecycle: the fleet's.
    :param options: the fleet's.
    """

    def __init__(
        self, tracker: FleetTracker, lifecycle: FleetLifecycle, options: WsClientOptions
    ) -> None:
        super().__init__(tracker, lifecycle, options.request_timeout)
        self._fleet_lifecycle = lifecycle
        self._placement = tracker.placement
        self._opening_timeout = options.connect_timeout + options.auth_timeout
        #: The present session; set by the manager with ``post``.
        self.session: FleetSession | None = None

    def _request(
        self,
        name: str,
        topics: list[str],
        snapshot: bool,
        wait: bool,
        timeout: float | None,
        version: int = 0,
        ticket: Ticket | None = None,
    ) -> None:
        if name == "Unsubscribe" and self._fleet_lifecycle.idle:
            with self._lock:
                self._placement.left(topics)
        super()._request(name, topics, snapshot, wait, timeout, version, ticket)

    def _patience(self, topics: list[str]) -> float:
        """Return how long to wait for an acknowledgement, with the time to open a connection."""
        session, seconds = self.session, super()._patience(topics)
        opening = session is not None and session.is_opening(topics)
        return seconds + self._opening_timeout if opening else seconds


class FleetManager(SessionManager):
    """Connects and disconnects a fleet, and holds what outlives a session.

    :param options: the fleet's.
    :param registry: the fleet's handlers and queues.
    :param counters: of the callbacks.
    :param connections: how many there may be; None: as many as are needed.
    """

    def __init__(
        self,
        options: WsClientOptions,
        registry: Registry,
        counters: Counters,
        connections: int | None,
    ) -> None:
        lifecycle, tracker, book = FleetLifecycle(), FleetTracker(connections), FleetBook()
        requests = FleetSubscriptions(tracker, lifecycle, options)
        super().__init__(options, registry, counters, lifecycle, tracker, book, requests)
        self._fleet_lifecycle = lifecycle
        self._fleet_requests = requests
        #: What all sessions share.
        self.parts = Parts(
            options,
            self.redactor,
            registry,
            self.order_states,
            self.dispatcher,
            tracker,
            book,
            lifecycle,
            [],
        )

    def connect(self, timeout: float | None, retry: bool = False) -> None:
        """Begin a session and wait until all connections that it needs are authenticated."""
        self._fleet_lifecycle.retries = retry
        super().connect(timeout, retry)

    def _make_session(self, number: int, resumed: bool) -> FleetSession:
        before = self._fleet_requests.session
        if before is not None:
            before.finish(self._options.close_timeout)
        self._fleet_requests.session = session = FleetSession(number, self.parts, resumed)
        return session

    def _clear(self) -> None:
        session = self._fleet_requests.session
        if session is not None:
            # First, or a connection without topics could be taken for one that is to close.
            session.open_no_more()
        super()._clear()

    @property
    def session(self) -> FleetSession | None:
        """The present session, or the last one; None before the first."""
        return self._fleet_requests.session

    def total(self) -> Counters:
        """Return the counters of all connections together, also of those that have ended."""
        members = list(self.parts.members)
        return merged([self._counters, *(member.counters for member in members)])
