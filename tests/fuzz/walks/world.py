"""One thread for all: a client's reader, its users, its server and the network between them.

The real reader runs on the test's own thread. Where it would sleep (for the socket, for the server
to accept, for the next attempt) it comes here instead, and the next steps of a walk are taken. So a
walk is the same each time, and no step happens where none can.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from etoro_sync import EVENTS, EToroError, EToroWebSocketError
from etoro_sync.delivery.event_queue import make_buffer
from etoro_sync.delivery.lanes import Run
from etoro_sync.delivery.queues import ItemQueue
from etoro_sync.delivery.registry import Handler, Registry
from etoro_sync.market.rate_view import RateView
from etoro_sync.stats import Counters
from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.protocol.requests import Operation
from etoro_sync.ws.session import commands, connection_loop, controller, reader
from etoro_sync.ws.session import subscriptions as requests
from etoro_sync.ws.session.manager import SessionManager
from etoro_sync.ws.transport.waker import Waker
from tests.support.clients import quick_options

from .rules import TIMEOUT, Call, Rules
from .server import INSTRUMENTS, Server
from .standins import FakeConnection, FakeTime, HastyTicket
from .wishes import Wishes

__all__ = ["Step", "play"]

#: A method of :class:`World`, and its arguments.
Step = tuple[Any, ...]
#: Without "message" and "instrument:delta", which would close the fast way through the feed.
_HEARD = (
    "open",
    "close",
    "authenticated",
    "reconnected",
    "error",
    "private:event",
    "instrument:rate",
)
#: Room for a rate of each instrument, and no more than that for a consumer that is slow.
_ROOM = len(INSTRUMENTS) + 1


class World:
    """Takes the steps of a walk, and lets the client act between them."""

    def __init__(self, steps: Iterable[Step], strict: bool, clock: FakeTime) -> None:
        self._steps = iter(steps)
        self._clock = clock
        self.server = Server(strict)
        self.move, self.order = self.server.move, self.server.order
        self.pay, self.noise = self.server.pay, self.server.noise
        self.wishes = Wishes()
        options = quick_options(
            "ws://127.0.0.1:9/", reconnect_attempts=None, request_timeout=TIMEOUT
        )
        registry = Registry(EVENTS)
        self.client = SessionManager(options, registry, Counters())
        self.rules = Rules(self.server, self.wishes, RateView(self.client.book))
        self._heard: list[tuple[str, tuple[Any, ...]]] = []
        for event in _HEARD:
            registry.add(event, Handler(self._ear(event), None, False))
        buffer = make_buffer("instrument:rate", _ROOM, None)
        self.rates = ItemQueue("instrument:rate", buffer, registry.remove_queue)
        registry.add_queue(self.rates, None)
        self._taken: dict[int, int] = {}
        self._generation = 0  # of what was taken last
        self._late: list[Operation] = []
        self._slow = False
        self._call: Call | None = None
        self._uses: list[tuple[object, int]] = []
        self._next_read: tuple[int, bool] | None = None
        self._loss = ""
        self._idle = 0
        self._rests = 0
        self._begin()

    def _begin(self) -> None:
        """Make a session as connect() does, without its threads, and take the network's place."""
        _, self._session = self.client._begin()
        self._post, self.client.requests.post = self.client.requests.post, self._handed_over
        reader = self._session.reader
        self._commands = reader._commands
        reader._connector = self  # type: ignore[assignment]
        reader._backoff._uniform = lambda low, high: high
        reader._feed._clock = self._clock.uptime

    def _ear(self, event: str) -> Callable[..., None]:
        return lambda *arguments: self._heard.append((event, arguments))

    def run(self) -> None:
        """Take all steps, bring everything to rest, and judge the end."""
        error = self._session.reader._session()
        self._session.reader._finish(error)
        assert error is None, f"the client ended by itself: {error}"

    # -- where the reader sleeps -----------------------------------------------------------------

    def open(self, deadline: float) -> Any:
        """The reader connects."""
        self.rest()
        self._loss = ""
        self._next_read = None
        self._idle = 0
        self.server.connect()
        return FakeConnection(self.received, self.server.take, self.rest)

    def mark_address_proven(self) -> None:
        """The connection was authenticated; there is but one address here."""

    def rest(self) -> None:
        """Judge what the client has done, then take steps until one gives it the next turn."""
        with _told():
            self._rest()

    def _rest(self) -> None:
        self._judge()
        for name, *arguments in self._steps:
            if getattr(self, name)(*arguments):
                return
        self._come_to_rest()

    def received(self, connection: FakeConnection) -> list[str] | None:
        """The reader reads."""
        if self._loss:
            self._loss, how = "", self._loss
            if how == "reset":
                raise ConnectionFailed(EToroWebSocketError("The connection was lost."))
            connection.peer_close = (1001, "going away")
            self._next_read = self._next_read or (0, False)
        if self._next_read is None:
            return [] if connection.peer_close else None
        (count, more), self._next_read = self._next_read, None
        connection.drained = not more
        frames, self.server.outbox = self.server.outbox[:count], self.server.outbox[count:]
        with _told():
            for frame in frames:
                self.rules.delivered(frame)
        return [frame.text for frame in frames]

    def _judge(self) -> None:
        dispatcher = self._session._dispatcher
        while dispatcher.lanes.ready:
            dispatcher._callbacks.call_orders()
            hand: list[Run] = []
            dispatcher.lanes.take(256, 0.0, hand)
            for event, calls in hand:
                dispatcher._callbacks.call(event, calls)
        for event, arguments in self._heard:
            self.rules.hear(event, arguments)
        self._heard.clear()
        mail = self._late or self._commands.operations
        self.rules.check(at_rest=not mail)

    def _come_to_rest(self) -> None:
        """There are no steps left: let all that is under way arrive, and judge the end, twice."""
        server = self.server
        self.hand_over(len(self._late))
        while server.inbox:
            server.answer("ok")
        server.pay()
        self._next_read = (len(server.outbox), False) if server.outbox else None
        # Three times: what was handed over just now is taken at the client's next turn.
        busy = server.outbox or not self.rules.live
        self._idle = 0 if busy else self._idle + 1
        self._rests += 1
        assert self._rests < 1000, "it does not come to rest"
        if self._idle == 3:
            self.rules.check_end(self.client.tracker.get_all())
            self._last_news()
        elif self._idle > 3:
            self.rules.check_end(self.client.tracker.get_all())
            self.take(self.rates.qsize())
            missed = {i for i, last in self.rules.last.items() if self._taken.get(i) != last}
            assert not missed, f"a slow reader has not got the last rates of {missed}"
            self._session.reader.stop()

    def _last_news(self) -> None:
        """Let each instrument be heard of once more, and no snapshot be waited for any longer."""
        self.wait(2 * TIMEOUT)
        self.server.order()
        for period in self.server.subscribed.values():
            period.obliged = True
        for instrument in INSTRUMENTS:
            self.server.move(instrument, "full", 1.0)
        self.read(len(self.server.outbox), False)

    # -- steps of the users ----------------------------------------------------------------------

    def subscribe(self, topics: list[str], snapshot: bool, wait: bool, slow: bool) -> None:
        with self._calling("Subscribe", topics, wait, slow) as call:
            call.number = self.wishes.subscribe(topics, snapshot)
            self.client.requests.subscribe(topics, snapshot, wait, None)

    def unsubscribe(self, topics: list[str], wait: bool, slow: bool) -> None:
        with self._calling("Unsubscribe", topics, wait, slow) as call:
            call.number = self.wishes.unsubscribe(topics)
            self.client.requests.unsubscribe(topics, wait, None)

    def stream(self, topics: list[str], slow: bool) -> None:
        use = object()
        with self._calling("Subscribe", topics, True, slow) as call:
            call.number = self.wishes.stream(topics)
            self._uses.append((use, call.number))
            self.client.requests.hold(use, topics, None)

    def release(self, which: int) -> None:
        """A stream ends; also one whose subscription was refused, or is still under way."""
        if self._uses:
            use, number = self._uses.pop(which % len(self._uses))
            self.wishes.release(number)
            self.client.requests.release(use)

    @contextmanager
    def _calling(self, name: str, topics: list[str], wait: bool, slow: bool) -> Iterator[Call]:
        self._call, self._slow = Call(), slow
        self._call.name, self._call.topics = name, topics
        yield self._call
        self._call, self._slow = None, False

    def _handed_over(self, operation: Operation) -> None:
        call, done = self._call, operation.on_done
        if call is not None:
            call.awaited = operation.awaited
            self.rules.calls.append(call)

            def end(error: EToroError | None) -> None:
                call.ends.append(error)
                done(error)

            operation.on_done = end
        if self._slow:
            self._late.append(operation)
        else:
            self._post(operation)

    def hand_over(self, count: int) -> None:
        """Threads that were interrupted between wishing and handing over go on."""
        for operation in self._late[:count]:
            self._post(operation)
        del self._late[:count]

    def take(self, count: int) -> None:
        """A slow consumer takes from its queue."""
        for _ in range(count):
            try:
                instrument, rate = self.rates.get_nowait()
            except queue.Empty:
                return
            number = rate.price_rate_id
            assert number in self.rules.published, f"{instrument}: only the queue has {number}"
            assert number > self._taken.get(instrument, 0), f"{instrument}: queued out of order"
            assert rate.generation >= self._generation, f"{instrument}: queued behind its gap"
            self._generation = rate.generation
            self.rules.check_truth(instrument, rate)
            self._taken[instrument] = number

    # -- steps of the server and of the network; True gives the client a turn ---------------------

    def answer(self, how: str, at_once: bool) -> bool:
        if self.rules.ever_live or how == "ok":  # as for lose()
            self.server.answer(how)
        return at_once and self.read(len(self.server.outbox), False)

    def wait(self, seconds: float) -> bool:
        if self.rules.ever_live:
            self._clock.now += seconds
            self.server.now += seconds
        return True

    def read(self, count: int, more: bool) -> bool:
        self._next_read = (count, more)
        return True

    def lose(self, how: str) -> bool:
        if self.rules.ever_live:  # a first connection that fails ends the client
            self._loss = how
        return True


class _Broken(BaseException):
    """A broken rule, which the client must not take for one more failed attempt."""


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except AssertionError as exc:
        raise _Broken from exc


def play(strict: bool, steps: Iterable[Step]) -> None:
    """Take a walk; an AssertionError tells which rule the client has broken.

    :param strict: the server refuses topics that are subscribed already.
    """
    clock = FakeTime()
    world: World | None = None

    class NoWaker(Waker):
        def wait(self, seconds: float) -> None:
            if world is not None:
                world.wait(seconds)
                world.rest()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "time", clock)
        for module in (connection_loop, commands, reader, controller):
            patch.setattr(module, "clocks", clock)
        patch.setattr(commands, "Waker", NoWaker)
        patch.setattr(requests, "Ticket", HastyTicket)
        world = World(steps, strict, clock)
        try:
            world.run()
        except _Broken as exc:
            raise exc.__cause__ or exc from None
        finally:
            world._session.reader.abort()
            world._session.reader._commands.close()
