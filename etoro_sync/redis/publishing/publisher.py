"""Publishes a stream through Redis, for any number of readers in other processes and machines."""

import atexit
import itertools
import threading
import weakref
from dataclasses import dataclass
from functools import partial
from typing import Any

from ... import clocks
from ...closeable import Closeable
from ...collecting import when_collected
from ...errors import (
    EToroClosedError,
    EToroError,
    EToroRedisError,
    EToroValidationError,
    EToroWebSocketError,
    fresh,
)
from ...events import check_flag, check_timeout
from ...logs import tidy
from ...numbers import real, whole
from ...stream import MarketStream
from ...stream.core import core_of
from ...synchronization import ProcessGuard, join_thread
from ...text import no_thread, show
from ..connection import Address
from ..layout.keys import DEFAULT_FEED, VERSION, Keys
from .redis_engine import RedisEngine
from .work import Publishing

__all__ = ["Publisher", "PublisherStats"]

#: Seconds that ``close()`` waits by default for what is to be written.
_CLOSE_TIMEOUT = 5.0
#: What Redis says where waiting does not help.
_FINAL = ("WRONGPASS", "NOAUTH", "NOPERM", "WRONGTYPE", "VERSION")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class PublisherStats:
    """The counters of a publisher, since it was made.

    :param role: ``"active"``: it writes; ``"standby"``: another one does, or Redis is away;
        ``"new"``, ``"closed"`` or ``"failed"``.
    :param epoch: the number under which it writes, or last wrote; 0: it never did.
    :param rates: rates that it has written; those of each new epoch's beginning count.
    :param orders: order events that it has written.
    :param repeated: order events that were in Redis already, and were not written again.
    :param events: other events that it has written.
    :param batches: how often it has written.
    :param conflated: rates that were skipped for newer ones, because Redis took too little.
    :param waiting: rates, orders and events that wait to be written.
    :param held: order events that are not known to be in Redis.
    :param lost: orders and events that were given up, because too many waited or it had to end.
    :param refused: rates that cannot be written, such as one with a NaN.
    :param takeovers: how often it has begun to write.
    :param fenced: how often another publisher was found to write in its place.
    :param failures: how often Redis was away, or has refused.
    :param failure: why nothing can be written now; None: all is well.
    """

    role: str
    epoch: int
    rates: int
    orders: int
    repeated: int
    events: int
    batches: int
    conflated: int
    waiting: int
    held: int
    lost: int
    refused: int
    takeovers: int
    fenced: int
    failures: int
    failure: str | None


class Publisher(Closeable):
    """Writes what a stream brings into Redis, as long as it has the lease of the feed.

    Several publishers of one feed, each with a connection to eToro, take turns: one writes, the
    others keep what it may still have to write. When its process ends, stands still, or has lost
    eToro or Redis for longer than the lease, another one takes over, with all last prices and with
    the orders that are missing in Redis. One that comes back stands by.

    It takes a thread, and never slows the stream. While Redis is away, prices are conflated and
    order events wait, 100,000 at most; it goes on by itself. Every method may be called from any
    thread.

    :param source: the stream, such as a :class:`~etoro_sync.WsClient`. Its connection and
        subscriptions are yours, but see *cold*. Prices that it knows already are published, and
        orders that came before are not: subscribe to ``"private"`` when the publisher is there.
    :param url: ``redis://``, ``rediss://`` or ``unix://``, with user and password if needed.
    :param feed: the name of the feed in Redis: letters, digits, ``-`` and ``_``.
    :param lease: seconds after its last write for which this publisher is taken for alive, from
        0.2 to 60. A takeover takes about as long.
    :param cold: connect the stream only while this publisher has the lease, for accounts that may
        have one connection. Subscribe before, and do not connect. A takeover then takes as long as
        connecting does, too.
    :param stream_bytes: how many bytes of rates Redis keeps for readers that were away for a while:
        by default about a minute of all of eToro's instruments.
    :raises EToroValidationError: naming the argument.
    """

    _no_copies = (
        "A Publisher cannot be copied or pickled: its thread belongs to this process. Make "
        "another one there."
    )

    def __init__(
        self,
        source: MarketStream,
        url: str,
        *,
        feed: str = DEFAULT_FEED,
        lease: float = 2.0,
        cold: bool = False,
        stream_bytes: int = 32_000_000,
    ) -> None:
        if not isinstance(source, MarketStream):
            raise EToroValidationError(
                f"source must be a WsClient or another MarketStream, not {type(source).__name__}.",
                "source",
            )
        seconds, most = real(lease), whole(stream_bytes)
        if seconds is None or not 0.2 <= seconds <= 60:
            raise EToroValidationError(
                f"lease must be a number of seconds from 0.2 to 60, not {show(lease, 60)}.", "lease"
            )
        if most is None or most < 1_000_000:
            raise EToroValidationError(
                "stream_bytes must be a whole number of 1,000,000 or more, not "
                f"{show(stream_bytes, 60)}.",
                "stream_bytes",
            )
        self._guard = ProcessGuard()
        self._address, self._keys = Address(url), Keys(feed)
        is_cold = check_flag("cold", cold)
        redact = core_of(source).source.redact
        engine = RedisEngine(self._address, self._keys, seconds, most, redact)
        self._work = Publishing(source, engine, is_cold)
        name = f"etoro-sync-publisher-{next(_numbers)}"
        self._thread = threading.Thread(target=self._work.run, name=name, daemon=True)
        self._state = "new"
        when_collected(self, self._work.stop)

    def start(self) -> "Publisher":
        """Start to publish, or to stand by. It does not wait until anything is written.

        :returns: the publisher itself.
        :raises EToroRedisError: when Redis refuses the user or the feed; one that is away, or out
            of memory, is waited for.
        :raises EToroClosedError: when it was started before.
        :raises EToroError: when the system has no thread left.
        """
        self._guard.check()
        if self._state != "new":
            raise EToroClosedError("This publisher was started before. Make a new one.")
        self._check()
        self._state = "started"
        try:
            self._thread.start()
        except RuntimeError as exc:
            self._state = "closed"
            raise EToroError(f"A publisher needs a thread: {no_thread(exc)}") from exc
        _publishers.add(self)
        return self

    def _check(self) -> None:
        """Ask Redis once, so that a mistake in the address is seen at once."""
        try:
            with self._address.calling(), self._address.client(2.0) as client:
                version: Any = client.hget(self._keys.meta, "version")
        except EToroRedisError as exc:
            if exc.error_code in _FINAL:
                raise
            return
        if version not in (None, str(VERSION).encode()):
            raise EToroRedisError(
                f"The feed {self._keys.feed!r} has version {show(version)} of the layout, and this "
                f"version of the library writes version {VERSION}. Update it, or use another feed.",
                "VERSION",
            )

    def run_forever(self, timeout: float | None = None) -> bool:
        """Block until the publisher has ended; False: *timeout* has passed.

        :param timeout: seconds to wait at most; None is no limit.
        :raises EToroError: the error that ended it, or its stream.
        :raises EToroClosedError: when it was not started.
        """
        self._guard.check()
        seconds = check_timeout(timeout)
        if self._state == "new":
            raise EToroClosedError("This publisher was not started. Call start() first.")
        if threading.current_thread() is self._thread:
            raise EToroWebSocketError("run_forever() cannot wait for its own thread.")
        if not self._work.outlast(None if seconds is None else clocks.monotonic() + seconds):
            return False
        join_thread(self._thread, 1.0)  # which has nothing left to do
        if self._work.error is not None:
            raise fresh(self._work.error)
        return True

    def stats(self) -> PublisherStats:
        """Return all counters, as they are now."""
        work = self._work
        return PublisherStats(
            role=self._role(),
            epoch=work.lease.epoch,
            rates=work.rates,
            orders=work.orders,
            repeated=work.repeated,
            events=work.events,
            batches=work.batches,
            conflated=work.intake.conflated,
            waiting=work.waiting,
            held=len(work.intake.held),
            lost=work.given_up,
            refused=work.intake.refused,
            takeovers=work.takeovers,
            fenced=work.fenced,
            failures=work.failed,
            failure=work.failure,
        )

    def _role(self) -> str:
        if self._state == "new":
            return "new"
        if not self._thread.is_alive() or self._guard.foreign:
            return "closed" if self._work.error is None else "failed"
        return "active" if self._work.lease.held else "standby"

    def close(self, timeout: float | None = None) -> None:
        """Write what waits, give the lease up, and end. The stream goes on, unless it is *cold*.

        May be called several times.

        :param timeout: seconds to wait at most; None is five.
        """
        seconds = _CLOSE_TIMEOUT if timeout is None else check_timeout(timeout) or 0.0
        if self._guard.foreign:
            return
        until = clocks.monotonic() + seconds
        self._work.stop(seconds / 2)
        if self._state == "new":
            self._state = "closed"
        elif self._thread.is_alive() and threading.current_thread() is not self._thread:
            join_thread(self._thread, max(until - clocks.monotonic(), 0.0))
        _publishers.discard(self)

    def __enter__(self) -> "Publisher":
        return self.start()

    def __repr__(self) -> str:
        return f"<Publisher of {self._keys.feed!r} to {self._address}, {self._role()}>"


_publishers: "weakref.WeakSet[Publisher]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Write what waits at the end of the program."""
    tidy(*(partial(publisher.close, 2.0) for publisher in list(_publishers)))
