"""What a user wishes to be subscribed to, and how a caller waits until eToro has agreed."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from ..errors import EToroError, EToroTimeoutError, fresh
from .lifecycle import ClientState, Lifecycle
from .monitor import Monitor
from .protocol import Operation
from .subscription import WsSubscriptionTracker

__all__ = ["Held", "Requests", "Ticket"]


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


class Held(NamedTuple):
    """Topics that a stream uses.

    :param epoch: how often all topics had been forgotten when it began.
    :param topics: those that are to be unsubscribed when no stream uses them any more.
    """

    epoch: int
    topics: list[str]


class Requests:
    """Records wishes and hands them to the session, from any thread.

    The wish is recorded first and handed over second: whatever other threads do in between, the
    operation that is handed over last finds the last wish.

    The lock guards how many streams use a topic that nobody else has asked for, and since which
    :meth:`clear`.

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
        # Re-entrant, because the end of a stream may come from the garbage collector.
        self._lock = threading.RLock()
        self._streamed: dict[str, int] = {}
        self._epoch = 0

    def subscribe(
        self, topics: list[str], snapshot: bool, wait: bool, timeout: float | None
    ) -> None:
        """Want *topics* for the user himself: a stream that ends will not take them away."""
        self._disown(topics)
        wish = self._tracker.add(topics, snapshot)
        self._request("Subscribe", topics, snapshot, wait, timeout, wish)

    def unsubscribe(self, topics: list[str], wait: bool, timeout: float | None) -> None:
        """Want *topics* no longer, whoever wanted them."""
        self._disown(topics)
        self._tracker.remove(topics)
        self._request("Unsubscribe", topics, False, wait, timeout)

    def clear(self) -> None:
        """Want nothing."""
        with self._lock:
            self._streamed.clear()
            self._epoch += 1
        self._tracker.clear()

    def _disown(self, topics: list[str]) -> None:
        with self._lock:
            for topic in topics:
                self._streamed.pop(topic, None)

    # -- streams -------------------------------------------------------------------------------

    def hold(self, topics: list[str], timeout: float | None) -> Held:
        """Want *topics* for a stream; return what it is to :meth:`release`."""
        with self._lock:
            held = [t for t in topics if t in self._streamed or not self._tracker.has(t)]
            for topic in held:
                self._streamed[topic] = self._streamed.get(topic, 0) + 1
            wish = self._tracker.add(topics, True)
            use = Held(self._epoch, held)
        try:
            self._request("Subscribe", topics, True, True, timeout, wish)
        except BaseException:
            self.release(use)
            raise
        return use

    def release(self, use: Held) -> None:
        """End a stream's use of topics; those that nobody uses any more are unsubscribed."""
        with self._lock:
            if use.epoch != self._epoch:
                # Forgotten since; who uses these topics now is another stream.
                return
            unused = []
            for topic in use.topics:
                uses = self._streamed.pop(topic, 0) - 1
                if uses > 0:
                    self._streamed[topic] = uses
                elif uses == 0:
                    unused.append(topic)
            self._tracker.remove(unused)
        if unused:
            self._request("Unsubscribe", unused, False, False, None)

    # -- waiting -------------------------------------------------------------------------------

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
        self.post(Operation(name, topics, snapshots, ticket.done, wish, awaited))
        if not awaited:
            return
        seconds = self._request_timeout if timeout is None else timeout
        if not ticket.wait(time.monotonic() + seconds):
            raise EToroTimeoutError(
                f"{name} of {len(topics)} topics (first {topics[0]}) was not acknowledged within "
                f"{seconds:g} s. The wish stays recorded, and is fulfilled on the next connection "
                "at the latest."
            )
        if ticket.error is not None:
            raise fresh(ticket.error)
