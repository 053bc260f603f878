"""Records what users want to be subscribed to, and lets callers wait for the acknowledgement."""

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
    """Lets a caller wait for the end of an operation that the reader thread carries out.

    The monitor's lock guards the outcome.
    """

    def __init__(self) -> None:
        self._monitor = Monitor()
        self._done = False
        self.error: EToroError | None = None
        #: Whether the caller goes on without the outcome.
        self.left = False

    def done(self, error: EToroError | None) -> None:
        """Set the outcome and wake the caller. Any thread.

        :param error: None: the operation was acknowledged.
        """
        with self._monitor.lock:
            self._done = True
            self.error = error
            self._monitor.changed()

    def leave(self) -> None:
        """Let the caller go on without the outcome. Any thread."""
        self.left = True
        self.done(None)

    def wait(self, deadline: float) -> bool:
        """Block until the outcome is set; False: *deadline* has passed.

        :param deadline: monotonic time.
        """
        return self._monitor.wait(lambda: self._done, deadline)


class Subscriptions:
    """Records what is wanted and hands operations to the session, from any thread.

    A change is recorded before its operation is handed over. So whatever other threads do in
    between, the operation that is handed over last sees the final state.

    The tracker's lock guards which streams use a topic that no ``subscribe()`` has requested. It is
    held while the tracker changes, too, so that the two agree.

    :param tracker: the wanted topics.
    :param lifecycle: the client's state.
    :param request_timeout: seconds to wait when the caller gives none.
    """

    def __init__(
        self,
        tracker: WsSubscriptionTracker,
        lifecycle: Lifecycle,
        request_timeout: float,
    ) -> None:
        self._tracker = tracker
        self._lifecycle = lifecycle
        #: Hands an operation to the present session. Set by the session manager, which must not be
        #: referred to from here: the cycle would delay the collection of an unused client.
        self.post: Callable[[Operation], None] = lambda operation: None
        self._request_timeout = request_timeout
        # Re-entrant, because the garbage collector may end a stream while this thread holds it.
        self._lock = tracker.lock
        # Topic that only streams want -> those streams, each identified by an object.
        self._streamed: dict[str, set[object]] = {}
        # Stream -> the topics that it uses.
        self._uses: dict[object, list[str]] = {}
        # Stream -> what its hold() waits for, or has waited for.
        self._holding: dict[object, Ticket] = {}

    def subscribe(
        self, topics: list[str], snapshot: bool, wait: bool, timeout: float | None
    ) -> None:
        """Subscribe to *topics* until they are unsubscribed; the end of a stream does not do that.

        :param topics: valid names.
        :param snapshot: whether to request their snapshots.
        :param wait: whether to wait for the acknowledgement.
        :param timeout: seconds to wait; None: ``request_timeout``.
        :raises EToroSubscriptionError: when eToro refuses.
        :raises EToroTimeoutError: when the acknowledgement does not come in time.
        """
        self._check_wait("subscribe()", wait)
        state = self._lifecycle.state
        if state in (ClientState.CLOSED, ClientState.FAILED):
            log(
                logging.WARNING,
                "subscribe() only records the topics, because the client %s: nothing will come "
                "until connect() is called.",
                "has failed" if state is ClientState.FAILED else "is closed",
            )
        with self._lock:
            version = self._tracker.add(topics, snapshot)
            # Behind it, since a fleet raises where there are too many.
            self._forget_streams(topics)
        self._request("Subscribe", topics, snapshot, wait, timeout, version)

    def unsubscribe(self, topics: list[str], wait: bool, timeout: float | None) -> None:
        """Unsubscribe *topics*, also those that streams use; arguments as :meth:`subscribe`."""
        self._check_wait("unsubscribe()", wait)
        with self._lock:
            self._forget_streams(topics)
            self._tracker.remove(topics)
        self._request("Unsubscribe", topics, False, wait, timeout)

    def clear(self) -> None:
        """Forget all wanted topics and the streams that use them."""
        with self._lock:
            self._streamed.clear()
            self._uses.clear()
            self._tracker.clear()

    def _forget_streams(self, topics: list[str]) -> None:
        """Note that *topics* belong to no stream, so that the end of none unsubscribes them."""
        for topic in topics:
            self._streamed.pop(topic, None)

    # -- streams -------------------------------------------------------------------------------

    def hold(self, use: object, topics: list[str], timeout: float | None) -> None:
        """Subscribe a stream to *topics*, with snapshots, and wait for the acknowledgement.

        The topics stay in use until :meth:`release`, also when this raises. A release while this
        waits ends the wait.

        :param use: identifies the stream.
        :param topics: valid names.
        :param timeout: seconds to wait; None: ``request_timeout``.
        """
        self._check_wait("stream()", True)
        with self._lock:
            self._uses[use] = topics
            for topic in topics:
                if topic in self._streamed or not self._tracker.has(topic):
                    self._streamed.setdefault(topic, set()).add(use)
            version = self._tracker.add(topics, True)
            ticket = self._holding[use] = Ticket()
        self._request("Subscribe", topics, True, True, timeout, version, ticket)

    def release(self, use: object) -> None:
        """End a stream's use of its topics; those that are not used any more are unsubscribed.

        :param use: as passed to :meth:`hold`.
        """
        unused = []
        with self._lock:
            for topic in self._uses.pop(use, []):
                users = self._streamed.get(topic, set())
                # Users are compared, not counted: since hold(), subscribe() may have taken the
                # topic over, and later streams may use it again.
                if use in users:
                    users.remove(use)
                    if not users:
                        self._streamed.pop(topic, None)
                        unused.append(topic)
            self._tracker.remove(unused)
            ticket = self._holding.pop(use, None)
        if ticket is not None:
            ticket.leave()
        if unused:
            self._request("Unsubscribe", unused, False, False, None)

    # -- waiting -------------------------------------------------------------------------------

    def _check_wait(self, call: str, wait: bool) -> None:
        """Raise if *call* would block a thread of the client, before anything is recorded."""
        if wait and self._lifecycle.state is ClientState.LIVE:
            instead = "Call it in another thread."
            if call != "stream()":
                instead = "Pass wait=False, or call it in another thread."
            self._lifecycle.own_threads.check(call, instead)

    def _patience(self, topics: list[str]) -> float:
        """Return how long to wait for the acknowledgement of *topics* that were posted."""
        return self._request_timeout

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
        """Hand an operation to the session, and wait for its end if *wait* and the client is live.

        :param version: of the tracker, from ``add()``.
        :param ticket: to wait for; None: one that only this call knows.
        :raises EToroError: what ended the operation.
        """
        if self._lifecycle.idle:
            return
        # Read before the operation is handed over: if an outage begins after that, the caller still
        # waits for the outcome.
        live = self._lifecycle.state is ClientState.LIVE
        ticket = ticket or Ticket()
        snapshots = {topic: True for topic in topics if snapshot}
        awaited = wait and live
        operation = Operation(name, topics, snapshots, ticket.done, version, awaited)
        self.post(operation)
        if not awaited:
            return
        seconds = self._patience(topics) if timeout is None else timeout
        in_time = ticket.wait(clocks.monotonic() + seconds)
        if ticket.left or not in_time:
            operation.nobody_waits()
        if not in_time:
            raise EToroTimeoutError(
                f"{name} of {named(topics)} was not acknowledged within "
                f"{seconds:g} s. It stays recorded, and is carried out on the next connection at "
                "the latest."
            )
        if ticket.error is not None:
            raise fresh(ticket.error)
