"""What stands for the clock, the network and the waits of a client on one thread."""

from __future__ import annotations

from collections.abc import Callable

from etoro_sync.ws.session.subscriptions import Ticket

__all__ = ["FakeConnection", "FakeTime", "HastyTicket"]


class FakeTime:
    """Stands for the modules ``time`` and ``clocks``; its clock moves when a walk says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    uptime = monotonic
    # However far it moves at once, the client has not stood still.
    STANDSTILL, TIME_TO_READ = float("inf"), 0.0

    def time(self) -> float:
        return 1.7e9 + self.now

    wall_clock = time


class FakeConnection:
    """Stands for an open connection.

    :param receive: returns the texts of one read; None: nothing is there.
    :param send: takes a request.
    :param rest: called where the reader would sleep.
    """

    last_pong_at = 0.0
    bytes_received = 0

    def __init__(
        self,
        receive: Callable[[FakeConnection], list[str] | None],
        send: Callable[[str], None],
        rest: Callable[[], None],
    ) -> None:
        self._receive = receive
        self._rest = rest
        self.send_text = send
        self.peer_close: tuple[int, str] | None = None
        self.drained = True

    def receive(self) -> list[str] | None:
        return self._receive(self)

    is_sending = False

    def check(self, now: float) -> None: ...

    def next_check(self, now: float) -> float:
        return float("inf")

    def ping_soon(self, slept: float) -> bool:
        return True

    def wait(self, deadline: float | None) -> None:
        self._rest()

    def close(self, code: int = 1000) -> None:
        self.peer_close = (code, "")

    def close_status(self) -> tuple[int, str]:
        return self.peer_close or (1006, "")

    def dispose(self) -> None: ...


class HastyTicket(Ticket):
    """Its caller goes on at once, where another thread would still be waiting."""

    def wait(self, deadline: float) -> bool:
        return True
