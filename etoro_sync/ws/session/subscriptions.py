"""What a user wishes to be subscribed to, and how a caller waits until eToro has agreed."""

import logging
from collections.abc import Callable

from ... import clocks
from ...errors import EToroError, EToroTimeoutError, fresh
from ...lifecycle import Lifecycle
from ...logs import log
from ...state import ClientState
from ...synchronization import Monitor
from ...text import named
from ..protocol.control import Operation
from ..protocol.tracker import WsSubscriptionTracker

__all__ = ["Subscriptions", "Ticket"]


class Ticket:
    """Lets a caller wait for an operation that the reader thread carries out.

    The monitor's lock guards the outcome.
    """

    def __init__(self) -> None:
        self._monitor = Monitor()
        self._done = False
        self.error: EToroError | None = None

    def done(self, error: EToroError | None) -> None:
        """Note the outcome. Any thread."""
        with self._monitor.lock:
            self._done = True
            self.error = error
            self._monitor.changed()

    def wait(self, deadline: float) -> bool:
        """Block until the outcome is known; False when *deadline* has passed."""
        return self._monitor.wait(lambda: self._done, deadline)


class Subscriptions:
    """Records wishes and hands them to the session, from any thread.

    The wish is recorded first and handed over second: whatever other threads do in between, the
    operation that is handed over last finds the last wish.

    The tracker's lock guards which streams use a topic that nobody else has asked for. It is held
    while a wish is recorded, too, so that a stream and a user never undo each other's.

    :param tracker: the wanted topics.
    :param lifecycle: where the client stands.
    :param request_timeout: seconds to wait when the caller names none.
    """

    def __init__(
        self,
        tracker: WsSubscriptionTracker,
        lifecycle: Lifecycle,
        request_timeout: float,
    ) -> None:
        self._tracker = tracker
        self._lifecycle = lifecycle
        #: Hands an operation to the present session; set by the client, which must not be
        #: referred to from here: a circle would keep a client that nobody uses any more alive.
        self.post: Callable[[Operation], None] = lambda operation: None
        self._request_timeout = request_timeout
        # Re-entrant, and the tracker's, because the end of a stream may come from the garbage
        # collector, also while this thread is in the tracker.
        self._lock = tracker.lock
        self._streamed: dict[str, set[object]] = {}
        # Each stream, by an object of its own -> the topics that it uses.
        self._uses: dict[object, list[str]] = {}

    def subscribe(
        self, topics: list[str], snapshot: bool, wait: bool, timeout: float | None
    ) -> None:
        """Want *topics* for the user himself: a stream that ends will not take them away."""
        self._check_wait("subscribe()", wait)
        state = self._lifecycle.state
        if state in (ClientState.CLOSED, ClientState.FAILED):
            log(
                logging.WARNING,
                "subscribe() only records what is wanted, since the client %s: nothing will come "
                "until connect() is called.",
                "has failed" if state is ClientState.FAILED else "is closed",
            )
        with self._lock:
            self._disown(topics)
            wish = self._tracker.add(topics, snapshot)
        self._request("Subscribe", topics, snapshot, wait, timeout, wish)

    def unsubscribe(self, topics: list[str], wait: bool, timeout: float | None) -> None:
        """Want *topics* no longer, whoever wanted them."""
        self._check_wait("unsubscribe()", wait)
        with self._lock:
            self._disown(topics)
            self._tracker.remove(topics)
        self._request("Unsubscribe", topics, False, wait, timeout)

    def clear(self) -> None:
        """Want nothing."""
        with self._lock:
            self._streamed.clear()
            self._uses.clear()
            self._tracker.clear()

    def _disown(self, topics: list[str]) -> None:
        for topic in topics:
            self._streamed.pop(topic, None)

    # -- streams -------------------------------------------------------------------------------

    def hold(self, use: object, topics: list[str], timeout: float | None) -> None:
        """Want *topics* for a stream, until :meth:`release`, however this ends."""
        self._check_wait("stream()", True)
        with self._lock:
            self._uses[use] = topics
            for topic in topics:
                if topic in self._streamed or not self._tracker.has(topic):
                    self._streamed.setdefault(topic, set()).add(use)
            wish = self._tracker.add(topics, True)
        self._request("Subscribe", topics, True, True, timeout, wish)

    def release(self, use: object) -> None:
        """End a stream's use of topics; those that nobody uses any more are unsubscribed."""
        unused = []
        with self._lock:
            for topic in self._uses.pop(use, []):
                users = self._streamed.get(topic, set())
                # By who uses it, not by how many: the topic may have been disowned since, and be
                # used by other streams now.
                if use in users:
                    users.remove(use)
                    if not users:
                        self._streamed.pop(topic, None)
                        unused.append(topic)
            self._tracker.remove(unused)
        if unused:
            self._request("Unsubscribe", unused, False, False, None)

    # -- waiting -------------------------------------------------------------------------------

    def _check_wait(self, call: str, wait: bool) -> None:
        """Refuse a call that the reader would wait for, before anything is recorded."""
        if wait and self._lifecycle.state is ClientState.LIVE:
            instead = "Call it in another thread."
            if call != "stream()":
                instead = "Pass wait=False, or call it in another thread."
            self._lifecycle.own_threads.check(call, instead)

    def _request(
        self,
        name: str,
        topics: list[str],
        snapshot: bool,
        wait: bool,
        timeout: float | None,
        wish: int = 0,
    ) -> None:
        """Have the reader bring the connection to what is wanted; wait while it can."""
        if self._lifecycle.idle:
            return
        # Read before handing over: an outage that begins later must not make the caller return
        # as if nothing had been under way.
        live = self._lifecycle.state is ClientState.LIVE
        ticket = Ticket()
        snapshots = {topic: True for topic in topics if snapshot}
        awaited = wait and live
        operation = Operation(name, topics, snapshots, ticket.done, wish, awaited)
        self.post(operation)
        if not awaited:
            return
        seconds = self._request_timeout if timeout is None else timeout
        if not ticket.wait(clocks.monotonic() + seconds):
            operation.awaited = False
            raise EToroTimeoutError(
                f"{name} of {named(topics)} was not acknowledged within "
                f"{seconds:g} s. The wish stays recorded, and is fulfilled on the next connection "
                "at the latest."
            )
        if ticket.error is not None:
            raise fresh(ticket.error)
