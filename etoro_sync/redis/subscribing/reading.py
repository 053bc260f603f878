"""How a subscriber reads a feed: the state of one moment, then what follows it in the streams.

What follows is complete as long as the numbers of the rates follow each other. Where they do not,
where another publisher has taken over, or where Redis was lost, a gap is emitted, and the state is
read anew. Redis does not say that a publisher has gone: its lease is looked at when nothing comes.
"""

import random
from typing import NoReturn

from ... import clocks
from ...errors import EToroRedisError
from ...stream.live import LiveFeed
from ..connection import Address
from ..layout.keys import Keys
from .entries import COUNT, Broken, Entries
from .freshness import Freshness
from .generations import Generations
from .line import Line
from .moment import connection_of, read_moment, read_states, spell

__all__ = ["Reading"]

#: Seconds for connecting, and for each answer.
_TIMEOUT = 3.0
#: Seconds that Redis waits for something new before it answers that there is nothing.
_BLOCK = 1.0
#: Seconds after which a read has taken so long that the process must have stood still.
_STANDSTILL = 5.0
#: Bounds of the waits between attempts, and between readings of the whole state, in seconds.
_SHORTEST, _LONGEST = 0.05, 5.0
#: Redis's codes after which another attempt would end in the same way.
_FINAL = frozenset(["WRONGPASS", "NOAUTH", "NOPERM"])


class _Back(Exception):
    """There is a publisher again: the state has to be read anew."""


class Reading:
    """One session of a subscriber. Every method runs on the stream's thread.

    :param feed: gets what is read.
    :param address: of Redis.
    :param keys: of the feed.
    :param wanted: the only instruments that are read; None: all.
    :param generations: counts the publisher's connections, in all sessions.
    """

    def __init__(
        self,
        feed: LiveFeed,
        address: Address,
        keys: Keys,
        wanted: frozenset[int] | None,
        generations: Generations,
    ) -> None:
        self._feed = feed
        self._address = address
        self._keys = keys
        self._wanted = wanted
        self._line: Line | None = None
        self._fresh = Freshness(feed, keys.feed)
        self._entries = Entries(feed, keys, wanted, self._fresh, generations)
        self._attempts = 0
        self._begun_at = 0.0

    def run(self) -> NoReturn:
        """Read until the stream is to end.

        :raises EToroRedisError: when the first attempt fails, or Redis refuses the user.
        :raises EToroValidationError: when the feed has another layout.
        """
        try:
            while True:
                try:
                    self._read(self._line or self._connect())
                except _Back:
                    self._wait_before_next(None)
                except Broken as broken:
                    self._fresh.lose(str(broken))
                    self._wait_before_next(None)
                except EToroRedisError as exc:
                    self._feed.wait(0)  # which raises if the line was cut to end it
                    self._hang_up()
                    if not self._entries.at or exc.error_code in _FINAL:
                        raise
                    self._fresh.lose(str(exc))
                    self._wait_before_next(exc)
        finally:
            self._hang_up()

    def _connect(self) -> Line:
        self._line = Line(self._address, _TIMEOUT)
        self._feed.on_stop(self._line.cut)
        self._feed.attempt()
        self._line.open()
        self._feed.opened()
        return self._line

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _wait_before_next(self, error: EToroRedisError | None) -> None:
        """Wait a while, so that neither a server that is down nor odd content costs much."""
        if clocks.monotonic() - self._begun_at > _LONGEST:
            self._attempts = 0
        self._attempts += 1
        if error is None and self._attempts == 1:
            return
        ceiling = min(_SHORTEST * 2.0 ** min(self._attempts, 20), _LONGEST)
        delay = random.uniform(0.0, ceiling)
        if error is not None:
            self._feed.emit("reconnecting", self._attempts, delay)
        self._feed.wait(delay)

    def _read(self, line: Line) -> NoReturn:
        """Read the state, and all that follows."""
        now = clocks.wall_clock()
        self._feed.next_read()
        states = read_states(line, self._keys, self._wanted, self._feed.bad)
        fresh, moment = self._fresh, states.moment
        fresh.connected = connection_of(line, self._keys, moment)
        self._entries.begin(states)
        fresh.note_lease(moment.lease, now)
        fresh.judge(lambda: self._entries.publish_state(states.rates))
        fresh.read_at = now
        self._begun_at = clocks.monotonic()
        while True:
            self._read_next(line)

    def _read_next(self, line: Line) -> None:
        """Wait for what comes next in the streams, or look at the lease.

        :raises Broken: when something is missing.
        :raises _Back: when there was no publisher, and is one.
        """
        begun, now = clocks.uptime(), clocks.wall_clock()
        names = tuple(self._entries.at)
        streams = {getattr(self._keys, name).encode(): name for name in names}
        places = [spell(place) for place in self._entries.at.values()]
        options = ("BLOCK", int(_BLOCK * 1000), "COUNT", COUNT)
        answer = line.call("XREAD", *options, "STREAMS", *streams, *places)
        self._feed.next_read()
        self._feed.answer()
        if answer:
            # Orders that the last publisher wrote before its end are read without one, too.
            if not self._fresh.held and read_moment(line, self._keys).lease != -2:
                raise _Back
            found = {streams[key]: entries for key, entries in answer}
            if self._entries.handle(found):
                self._fresh.read_at = max(self._fresh.read_at, now)
        if not answer or clocks.uptime() - begun > _STANDSTILL:
            self._look(line)

    def _look(self, line: Line) -> None:
        """Check that the publisher is still there, and that what comes next is what follows."""
        now, was_held = clocks.wall_clock(), self._fresh.held
        moment = read_moment(line, self._keys)
        self._entries.check(moment)
        self._fresh.note_lease(moment.lease, now)
        if self._fresh.held and not was_held:
            raise _Back
        if was_held and not self._fresh.held:
            self._fresh.lose()
