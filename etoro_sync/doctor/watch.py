"""Observes connections for minutes: what no public source says about them is measured here.

One connection has the order events alone, since users have reported that pings on such a connection
stay unanswered; another one has an instrument, for comparison. Each has a thread of its own, and is
replaced when it ends.
"""

import threading
from collections.abc import Callable

from .. import clocks
from ..errors import EToroError, EToroSubscriptionError
from ..redaction import Redactor
from ..synchronization import Interrupted, join_thread
from ..ws.failures import ConnectionFailed
from ..ws.options import WsClientOptions
from ..ws.session.connector import Connector
from ..ws.session.credentials import Credentials
from ..ws.transport.addresses import Addresses
from ..ws.transport.waker import Waker
from .deviations import Deviations
from .findings import parted
from .link import Link
from .plan import Plan
from .privacy import Scrubber
from .records import End, Spread, Watched
from .traffic import Traffic

__all__ = ["watch"]

#: Seconds between two pings of one connection.
PING_EVERY = 20.0
#: Seconds before the next connection: at first, and at most.
WAIT, LONGEST_WAIT = 5.0, 60.0
#: A connection that has lasted so long makes the next wait short again, in seconds.
_LASTED = 60.0
_PERIOD = 1.0
_KEPT = 100
#: Seconds that a thread may take to end: name resolution cannot be interrupted.
_TO_END = 5.0


def watch(
    plan: Plan,
    options: WsClientOptions,
    redactor: Redactor,
    scrubber: Scrubber,
    deviations: Deviations,
    results: list[Watched],
    on_watch: Callable[[float, list[Watched]], object],
) -> None:
    """Observe connections for as long as the plan says, or until Ctrl-C.

    :param results: what was seen is added here at the beginning, and updated all the time.
    :param on_watch: called about once a second with the seconds that are left, and *results*.
    """
    kinds = [("private",)] if plan.private else []
    kinds.append((f"instrument:{plan.instrument_ids[0]}",))
    watchers: list[Watcher] = []
    deadline = clocks.monotonic() + 60.0 * plan.minutes
    pause = threading.Event()
    try:
        for topics in kinds:
            watchers.append(Watcher(topics, options, redactor, scrubber, deviations.another()))
            results.append(watchers[-1].seen)
            watchers[-1].start()
        while (left := deadline - clocks.monotonic()) > 0 and any(w.is_alive for w in watchers):
            on_watch(left, results)
            pause.wait(min(left, _PERIOD))
    finally:
        for each in watchers:
            each.stop()
        for each in watchers:
            each.join()
            deviations.merge(each.deviations)


class Watcher:
    """Observes connections with the same topics, one after another, on a thread of its own.

    :param topics: what to subscribe to.
    :param options: the client's.
    :param redactor: masks the keys.
    :param scrubber: makes a server's text fit to be shown.
    :param deviations: its own, since its thread writes them.
    """

    def __init__(
        self,
        topics: tuple[str, ...],
        options: WsClientOptions,
        redactor: Redactor,
        scrubber: Scrubber,
        deviations: Deviations,
    ) -> None:
        self._options = options
        self._scrubber = scrubber
        self.deviations = deviations
        self._waker = Waker()
        # Asked before each connection, because keys that are functions may rotate.
        self._credentials = Credentials(options, redactor, self._waker)
        self._connector = Connector(options, redactor, self._waker, Addresses())
        self._traffic = Traffic(deviations)
        self._open_before = 0.0
        #: Written by the thread; others may read it at any time.
        self.seen = Watched(topics)
        self._thread = threading.Thread(
            target=self._run, name=f"etoro-sync-doctor-{topics[0]}", daemon=True
        )

    # -- any thread ----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it has not given up."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Make the thread end soon."""
        self._waker.stop()

    def join(self) -> None:
        """Wait until the thread has ended, if it was started."""
        if self._thread.ident is not None:
            join_thread(self._thread, _TO_END)
        if not self._thread.is_alive():
            self._waker.close()

    # -- its own thread ------------------------------------------------------------------------

    def _run(self) -> None:
        wait = 0.0
        while not self._waker.stopping:
            asked = 0.0
            lasted = 0.0
            try:
                lasted = self._observe()
            except Interrupted:
                break
            except (EToroError, ConnectionFailed) as error:
                asked = getattr(error, "retry_after", 0.0)
                self._note_failure(error)
                if _is_final(error):
                    break
            wait = next_wait(wait, lasted)
            self._pause(max(wait, asked))

    def _observe(self) -> float:
        """Observe one connection; return the seconds for which it was open.

        :raises EToroError: when it could not be opened.
        :raises ConnectionFailed: likewise, or when the keys or a topic are refused.
        :raises Interrupted: when the time is over.
        """
        deadline = clocks.monotonic() + self._options.connect_timeout
        keys, deadline = self._credentials.get(deadline)
        stream, dialer = self._connector.reach(deadline)
        link = Link.open(stream, dialer, self._options, self._scrubber, self._traffic)
        try:
            link.authenticate(keys)
            link.subscribe(self.seen.topics, snapshot=True)
            self.seen.connections += 1
            self._read(link)
        finally:
            self._open_before += link.age
            link.close()
        return link.age

    def _read(self, link: Link) -> None:
        """Read and send pings, until the connection ends or the time is over."""
        pinged_at = -PING_EVERY  # the first at once
        try:
            while not self._waker.stopping:
                link.read(lambda: self._waker.stopping, min(_PERIOD, PING_EVERY))
                now = clocks.monotonic()
                if now - pinged_at >= PING_EVERY:
                    pinged_at = now
                    self.seen.pings += 1
                    link.ping(f"doctor {self.seen.pings}".encode())
                self._update(link.age)
        except ConnectionFailed as failure:
            code, reason = link.closed_with or (1006, parted(failure)[0])
            self.seen.ended += 1
            if len(self.seen.ends) < _KEPT:
                self.seen.ends.append(End(code, self._scrubber(reason), round(link.age, 1)))
        finally:
            self._update(link.age)

    def _update(self, age: float) -> None:
        seen, traffic = self.seen, self._traffic
        seen.seconds = round(self._open_before + age, 1)
        seen.pongs = traffic.answered
        seen.round_trips = Spread.of(traffic.round_trips)
        seen.nuls = traffic.counts["NUL keepalives"]
        seen.nul_intervals = Spread.of(traffic.nul_intervals)
        seen.server_pings = traffic.counts["pings of the server"]
        seen.longest_silence = round(traffic.silence(), 1)
        seen.counts = dict(traffic.counts)

    def _note_failure(self, error: Exception) -> None:
        self.seen.failed += 1
        if len(self.seen.failures) < _KEPT:
            self.seen.failures.append(self._scrubber(parted(error)[0]))

    def _pause(self, seconds: float) -> None:
        until = clocks.monotonic() + seconds
        while not self._waker.stopping and (left := until - clocks.monotonic()) > 0:
            self._waker.wait(left)


def next_wait(wait: float, lasted: float) -> float:
    """Return the seconds before the next connection: twice as many each time, up to a limit.

    :param wait: those before the last one.
    :param lasted: how long that was open, in seconds; after a long time the waits begin anew.
    """
    return WAIT if lasted >= _LASTED else min(max(2 * wait, WAIT), LONGEST_WAIT)


def _is_final(error: Exception) -> bool:
    """Whether another attempt could only fail: the keys or the topic are refused."""
    return getattr(error, "fatal", False) or isinstance(error, EToroSubscriptionError)
