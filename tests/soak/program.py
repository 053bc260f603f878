"""The program that is soaked: one client, and everybody who uses it."""

from __future__ import annotations

import logging
import threading
from typing import Any

from etoro_sync import WsClient, WsClientOptions
from etoro_sync.ws.core import core_of

from .consumers import Callbacks, Reader, Worker, make_workers
from .orders import OrderBook

__all__ = ["MARKER", "Program"]

#: An instrument that no fault befalls.
MARKER = 900_000
_SPARE = 6
#: name -> event, size, policy, seconds between two items.
_QUEUES: dict[str, tuple[str, int | None, str | None, float]] = {
    "conflate, fast": ("instrument:rate", 6_000, "conflate", 0.0),
    "conflate, slow": ("instrument:rate", 6_000, "conflate", 0.01),
    "conflate, small": ("instrument:rate", 50, "conflate", 0.005),
    "drop_oldest": ("instrument:rate", 500, "drop_oldest", 0.003),
    "drop_newest": ("instrument:rate", 500, "drop_newest", 0.003),
    "raise": ("instrument:rate", 300, "raise", 0.003),
    "unbounded": ("instrument:rate", 0, "drop_oldest", 0.0),
    "orders": ("private:event", None, None, 0.0),
    "gaps": ("reconnected", None, None, 0.0),
    "errors": ("error", 1_000, "drop_oldest", 0.0),
}
#: Whose readers note the last price of each instrument, which they must get however slow they are.
_EXACT = ("conflate, fast", "conflate, slow", "unbounded")


class Program:
    """A client with callbacks, queues, waiting calls and a look at the prices now and then.

    :param url: of the simulator.
    :param topics: how many topics it holds at most.
    :param rate: messages per second of all topics together.
    """

    def __init__(self, url: str, topics: int, rate: float) -> None:
        self.ids = range(1, topics - _SPARE - 1)
        spare = range(800_000, 800_000 + _SPARE)
        self.topics = [*(f"instrument:{i}" for i in (*self.ids, MARKER)), "private"]
        self.spare_topics = [f"instrument:{i}" for i in spare]
        # So long that chance hardly ever keeps a topic silent: 12 times the mean, e ** -12.
        self.options = _options(url, stale_after=max(12.0 * topics / rate, 1.0))
        self.client = WsClient(self.options)
        self.failures: list[str] = []
        self.log = _Log()
        self.orders = [OrderBook("callback"), OrderBook("queue")]
        self.callbacks = Callbacks(self.client, self.orders[0])
        self.last_seen: dict[str, dict[int, Any]] = {name: {} for name in _EXACT}
        self.gap_generations: list[int] = []
        self._hurry = self.callbacks.hurry
        self.readers = [self._reader(name, *how) for name, how in _QUEUES.items()]
        self._stopping = threading.Event()
        self.workers, self.done = make_workers(self.client, spare, self.failures, self._stopping)
        self.workers += [Worker(r.name, r.step, self.failures) for r in self.readers]

    def _reader(
        self, name: str, event: str, size: int | None, policy: str | None, pause: float
    ) -> Reader:
        events = self.client.queue(event, maxsize=size, overflow=policy)
        takes: dict[str, Any] = {
            "orders": self.orders[1].on_event,
            "gaps": lambda gap: self.gap_generations.append(gap.generation),
        }
        if name in self.last_seen:
            last = self.last_seen[name]
            takes[name] = lambda pair: last.__setitem__(*pair)
        return Reader(name, events, pause, self._hurry, takes.get(name, id))

    def start(self) -> None:
        """Connect, subscribe, and let everybody begin."""
        logging.getLogger("etoro_sync").addHandler(self.log)
        self.client.subscribe(self.topics, snapshot=True)
        self.client.connect()
        for worker in self.workers:
            worker.start()

    def stop(self) -> None:
        """Disconnect; everybody ends."""
        self._stopping.set()
        self.client.disconnect()
        for worker in self.workers:
            worker.join(10.0)
            if worker.is_alive():
                self.failures.append(f"{worker.name} goes on after disconnect()")
        logging.getLogger("etoro_sync").removeHandler(self.log)

    def be_quick(self, quick: bool) -> None:
        """Let nobody make a pause."""
        if quick:
            self._hurry.set()
        else:
            self._hurry.clear()

    # -- bounds, in seconds ----------------------------------------------------------------------

    @property
    def patience(self) -> float:
        """Until data flows after the last fault: notice the loss, wait, fail once more, succeed."""
        o = self.options
        notice = max(o.heartbeat_interval + o.heartbeat_timeout, o.request_timeout)
        attempt = o.connect_timeout + o.auth_timeout + o.request_timeout
        return notice + o.reconnect_max_delay + attempt

    @property
    def repair_seconds(self) -> float:
        """Until a topic that the server has lost is subscribed again; a look comes 4 times."""
        return self.options.stale_after * 1.25 + self.patience

    # -- prices ----------------------------------------------------------------------------------

    def views(self) -> dict[str, dict[int, Any]]:
        """Return the last rates that each consumer has seen whose queue has room for all topics."""
        return {"callbacks": self.callbacks.last, **self.last_seen}

    # -- counts ----------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """What has not been read yet; a callback that runs counts."""
        lanes = core_of(self.client).sessions.dispatcher.lanes
        running = lanes.rates.delivered - self.callbacks.rates
        return sum(r.events.qsize() for r in self.readers) + len(lanes) + max(running, 0)

    def account(self) -> list[str]:
        """Return what is wrong with the counts, while nothing moves."""
        stats, heard, client = self.client.stats(), self.callbacks, self.client
        wrong = [text for reader in self.readers if (text := reader.account())]
        lanes = core_of(client).sessions.dispatcher.lanes
        for name in ("rates", "others", "lossless"):
            lane = getattr(lanes, name)
            if lane.received != lane.delivered + lane.dropped + lane.conflated + len(lane):
                wrong.append(f"the callbacks' lane of {name} does not add up")
        everywhere = {r.events.received for r in self.readers if r.events.event == RATE}
        pairs = {
            "rates: counted, put into the callbacks' lane": (stats.rates, lanes.rates.received),
            "rates: counted, put into each queue": ({stats.rates}, everywhere),
            "rates: taken for callbacks, heard": (lanes.rates.delivered, heard.rates),
            "callbacks that raised: counted, by themselves": (stats.callback_errors, heard.raised),
            "gaps: counted, heard by callbacks": (stats.reconnects, len(heard.gaps)),
            "gaps: heard by callbacks, by a queue": (
                [gap.generation for gap in heard.gaps],
                self.gap_generations,
            ),
            "connections: counted, closed and open": (stats.connections, heard.closes + 1),
            "attempts: counted, heard": (stats.connect_attempts, heard.attempts + 1),
            "rates that came behind those of a later connection": (heard.backwards, 0),
            "lost order and connection events": (stats.callbacks_lost, 0),
            "read: by readers, by their queues": (
                [reader.got for reader in self.readers],
                [reader.events.delivered for reader in self.readers],
            ),
        }
        return wrong + [
            f"{what}: {left} and {right}" for what, (left, right) in pairs.items() if left != right
        ]

    def unused(self) -> list[str]:
        """Return which ways to use the client have never come to their end in all this time."""
        kinds = ("waited", "streams", "subscriptions", "looked", "brief queues")
        return [f"the users of the client have no {kind}" for kind in kinds if not self.done[kind]]


RATE = "instrument:rate"


class _Log(logging.Handler):
    """Keeps what tells of a defect; the rest is counted."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records = 0
        self.defects: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records += 1
        text = record.getMessage()
        if "please report" in text or "Internal error" in text:
            self.defects.append(text)


def _options(url: str, stale_after: float) -> WsClientOptions:
    lock = threading.Lock()

    def user_key() -> str:
        with lock:  # as a function does that asks a vault
            return "soak-user-key"

    return WsClientOptions(
        "soak-api-key",
        user_key,
        url,
        reconnect_attempts=None,
        reconnect_delay=0.1,
        auth_timeout=3.0,
        heartbeat_interval=2.0,
        heartbeat_timeout=2.0,
        reconnect_max_delay=2.0,
        connect_timeout=3.0,
        request_timeout=5.0,
        stale_after=stale_after,
        callback_queue_size=6_000,
        proxy="",
    )
