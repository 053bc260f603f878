"""Whether what a subscriber shows is fresh, and since when messages may be missing."""

import logging
from collections.abc import Callable

from ... import clocks
from ...logs import log
from ...models import WsGap
from ...stream.live import LiveFeed

__all__ = ["Freshness"]

#: The code of a WebSocket that has ended without one.
_ABNORMAL = 1006
_NOBODY = "no publisher writes it. Start one: etoro-sync publish."
_OUTAGE = "its publisher is not connected to eToro."
_NOTHING_YET = "its publisher has brought nothing yet."


class Freshness:
    """Lets the state of a stream be LIVE only while a publisher is there and has eToro.

    Every method runs on the stream's thread.

    :param feed: of the stream.
    :param name: of the feed, for the log.
    """

    def __init__(self, feed: LiveFeed, name: str) -> None:
        self._feed = feed
        self._name = name
        #: Whether the publisher holds the lease.
        self.held = False
        #: Whether it is connected to eToro; None: it has not said so.
        self.connected: bool | None = None
        #: Whether ``"close"`` was emitted since the feed was live.
        self.closed = True
        #: The topics of the last state, for gaps.
        self.topics: tuple[str, ...] = ()
        #: When all that had come was read, in seconds since the epoch.
        self.read_at = 0.0
        self._longest_lease = 0
        self._live = self._ever_live = False
        self._since: float | None = None
        self._logged = ""

    def note_lease(self, milliseconds: int, now: float) -> None:
        """Note for how long the publisher's lease holds; -1: for ever, -2: there is none.

        :param now: seconds since the epoch.
        """
        self.held = milliseconds != -2
        if self.held:
            self._longest_lease = max(self._longest_lease, milliseconds)
            # The publisher was there when it last renewed the lease, and perhaps not since.
            behind = self._longest_lease - milliseconds if milliseconds >= 0 else 0
            self.read_at = max(self.read_at, now - behind / 1000)

    def lose(self, reason: str = _NOBODY) -> None:
        """Note that messages may be missing from now on.

        :param reason: why.
        """
        if self._ever_live and self._since is None:
            self._since = self.read_at
        self._log(logging.WARNING, reason)
        self._live = False
        if not self.closed:
            self.closed = True
            self._feed.emit("close", _ABNORMAL, f"The feed {self._name!r}: {reason}")
        self._feed.lost()

    def judge(self, show: Callable[[], None] = lambda: None) -> None:
        """Set the state; emit the gap, if there was one, when prices are fresh again.

        :param show: shows what was read anew: before ``connect()`` returns, and behind the gap.
        """
        trouble = self._trouble()
        if trouble:
            self._log(logging.WARNING, trouble)
            self._live = False
            show()
            self._feed.lost()
            return
        is_first = not self._ever_live
        if is_first:
            show()
        self._feed.live()
        if not self._live:
            self._live, self._ever_live, self.closed = True, True, False
            self._end_gap()
        if not is_first:
            show()

    def _end_gap(self) -> None:
        if self._since is not None:
            since, self._since = self._since, None
            until = max(clocks.wall_clock(), since)
            self._feed.gap(WsGap(since, until, self._feed.generation, self.topics))
        if self._logged:
            self._log(logging.INFO, "it is live.")
            self._logged = ""

    def _trouble(self) -> str:
        if not self.held:
            return _NOBODY
        return "" if self.connected else _NOTHING_YET if self.connected is None else _OUTAGE

    def end_outage(self, gap: WsGap) -> None:
        """Emit the publisher's own gap, or later a longer one, if more was missed here."""
        if self._since is None:
            self._feed.gap(gap)
        else:
            self._since = min(self._since, gap.from_)

    def _log(self, level: int, what: str) -> None:
        if what != self._logged:
            self._logged = what
            log(level, "The feed %r: %s", self._name, what)
