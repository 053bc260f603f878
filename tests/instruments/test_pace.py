"""The rate limit, by a clock of the test."""

from __future__ import annotations

import pytest

from etoro_sync import EToroRestError, WsClientOptions
from etoro_sync.clocks import monotonic
from etoro_sync.instruments.calls import Call
from etoro_sync.instruments.pace import Pace
from etoro_sync.instruments.rest import Rest
from etoro_sync.redaction import Redactor
from etoro_sync.synchronization import Interrupted
from etoro_sync.ws.transport.waker import Waker
from tests.support.threads import run_in_thread
from tests.support.timing import MS


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_pass_in_a_minute() -> None:
    """The next one when the oldest is a minute old, and so on."""
    clock = Clock()
    pace = Pace(3, 60.0, clock)
    for _ in range(3):
        assert pace.reserve() == 0
        clock.now += 10
    assert pace.reserve() == 30
    clock.now += 30
    assert pace.reserve() == 0
    assert pace.reserve() == 10


def test_sixty_requests_pass_in_a_minute() -> None:
    """So that two processes stay within what eToro allows."""
    clock = Clock()
    pace = Pace(clock=clock)
    assert [pace.reserve() for _ in range(61)] == [0.0] * 60 + [60.0]


def test_none_passes_while_the_server_asks_for_patience() -> None:
    """A later request for less does not shorten it."""
    clock = Clock()
    pace = Pace(3, 60.0, clock)
    pace.hold(20)
    pace.hold(5)
    assert pace.reserve() == 20
    clock.now += 20
    assert pace.reserve() == 0


def test_all_objects_of_a_process_share_the_limit_of_an_address() -> None:
    """eToro counts what comes from a key; a simulator, whose port others get later, does not."""
    options = WsClientOptions("a", "b")

    def pace(url: str) -> Pace:
        return Rest(options, url, Redactor(()))._pace

    mine, other = "https://mine.example", "https://other.example"
    assert pace(mine) is pace(mine)
    assert pace(mine) is not pace(other)
    assert pace("http://127.0.0.1:8765") is not pace("http://127.0.0.1:8765")


def test_a_call_waits_for_its_turn() -> None:
    """For real, and without a limit of its own."""
    waker, pace = Waker(), Pace(1, 50 * MS)
    try:
        begin = monotonic()
        for _ in range(3):
            Call(waker, None).take_turn(pace)
        assert monotonic() - begin >= 99 * MS
    finally:
        waker.close()


@pytest.mark.parametrize("patient", [True, False])
def test_a_call_that_would_wait_too_long_says_so_at_once(patient: bool) -> None:
    """Because of its deadline, or because an old answer will do."""
    waker, pace = Waker(), Pace(1)
    try:
        pace.reserve()
        call = Call(waker, monotonic() + 10 if patient else None, patient)
        with pytest.raises(EToroRestError, match="lets no request pass for 60 s") as caught:
            call.take_turn(pace)
        assert caught.value.error_code == "TooManyRequests"
        assert caught.value.retry_after == pytest.approx(60, abs=1)
    finally:
        waker.close()


def test_a_call_whose_turn_others_take_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a minute in all, however many threads ask."""

    class Taken(Pace):
        def reserve(self) -> float:
            clock.now += 20.0
            return 40.0

    clock = Clock()
    monkeypatch.setattr("etoro_sync.instruments.calls.clocks.monotonic", clock)
    monkeypatch.setattr(Waker, "wait", lambda self, seconds: None)
    waker = Waker()
    try:
        with pytest.raises(EToroRestError, match="lets no request pass for 40 s"):
            Call(waker, None).take_turn(Taken())
        assert clock.now == 1040.0
    finally:
        waker.close()


def test_a_wait_for_a_turn_can_be_ended() -> None:
    """By another thread."""
    waker, pace = Waker(), Pace(1)
    pace.reserve()

    def wait() -> None:
        with pytest.raises(Interrupted):
            Call(waker, None).take_turn(pace)

    running = run_in_thread(wait)
    waker.stop()
    running.wait()
    waker.close()
