"""What is replayed is what was live: each event, each rate, and the rates at the end."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import EToroError, WsClient
from etoro_sync.recording import writer
from etoro_sync.recording.segments import find_segments
from etoro_sync.simulator import EToroSimulator
from tests.conftest import MakeClient, MakeSimulator
from tests.recording.tools import Tape, all_lines, plainly, replayed
from tests.support.amounts import amount

pytestmark = pytest.mark.heavy

IDS = list(range(1, 9))


class Day:
    """A client that lives through random changes.

    :param sim: the server.
    :param client: is connected.
    :param seed: equal seeds make equal changes; what the client makes of them depends on time.
    """

    def __init__(self, sim: EToroSimulator, client: WsClient, seed: int) -> None:
        self.sim = sim
        self.client = client
        self.random = random.Random(seed)

    def step(self) -> None:
        kind = self.random.randrange(20)
        some = self.random.sample(IDS, self.random.randrange(1, 4))
        if kind == 0:
            self.sim.drop()
        elif kind == 1:
            self.sim.ignore("Subscribe") if self.random.random() < 0.2 else self.sim.drop()
        elif kind in (2, 3):
            self.client.subscribe(some, snapshot=self.random.random() < 0.7, wait=kind == 2)
        elif kind == 4:
            self.client.unsubscribe(some, wait=self.random.random() < 0.5)
        elif kind == 5:
            self.sim.fill_order(order_id=self.random.randrange(1000))
        elif kind == 6:
            self.sim.set_active(some[0], self.random.random() < 0.5, flags_after=0.01)
        elif kind == 7:
            self.sim.send_text(self.random.choice(["no JSON", "[]", '{"messages":[5]}', "\0"]))
        else:
            self.publish(some)

    def publish(self, some: list[int]) -> None:
        for number in some:
            sides = self.random.sample(["Ask", "Bid", "LastExecution"], self.random.randrange(4))
            self.sim.publish(number, **{side: f"{self.random.random():.4f}" for side in sides})


def rates_of(client: WsClient) -> dict[int, dict[str, Any]]:
    return {key: vars(rate) for key, rate in client.rates.items()}


def settle(sim: EToroSimulator, client: WsClient) -> None:
    """Wait until all that was asked for is answered, and all that was sent has come.

    A request stands behind what was asked for; it is made anew where a fault meets it. An order
    event stands behind what was sent.
    """
    items = client.queue("private:event")
    while True:
        try:
            client.subscribe(["private"])
        except EToroError:
            continue
        break
    while True:
        sim.fill_order(order_id=424242)
        try:
            while items.get(timeout=1).order_id != 424242:
                pass
        except Exception:
            continue
        break
    items.close()


def live(
    sim: EToroSimulator, client: WsClient, folder: Path, seed: int, begins: int, steps: int
) -> tuple[list[tuple[Any, ...]], dict[int, dict[str, Any]]]:
    """Return the events from the beginning of the recording on, and the rates at its end."""
    client.connect()
    client.subscribe(["private", *IDS[:4]], snapshot=True)
    day = Day(sim, client, seed)
    for _ in range(begins):
        _try(day.step)
    settle(sim, client)
    with client.record(folder, segment_bytes=200):
        tape = Tape(client)
        for _ in range(steps):
            _try(day.step)
        settle(sim, client)
        rates = rates_of(client)
        client.disconnect()
    return plainly(tape.read()), rates


def _try(step: Any) -> None:
    try:
        step()
    except EToroError:
        pass  # such as of a subscription that met a loss


@pytest.mark.long_form
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(amount(3, 30)))
def test_a_replay_is_exactly_what_was_live(
    simulator: MakeSimulator,
    client: MakeClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    """Subscriptions, losses, closed markets and bad messages at random: nothing differs.

    Nor does it where a replay begins in the middle; a new segment begins all the time.
    """
    monkeypatch.setattr(writer, "_FLUSH_SECONDS", 0.001)
    sim = simulator(instruments=IDS)
    c = client(sim.url, request_timeout=0.3, stale_after=0.05)
    events, rates = live(sim, c, tmp_path, seed, begins=10, steps=120)
    again, at_end = replayed(tmp_path)
    # disconnect() ends queues first, so that only callbacks get the close that it makes.
    assert again.pop() == ("close", 1000, "")
    assert again == events
    assert at_end == rates
    assert {event for event, *_ in events} >= {"instrument:rate", "private:event"}
    assert len(find_segments(tmp_path)) > 2
    times = [line.at for line in all_lines(tmp_path) if line.kind == "text"]
    for start in random.Random(seed).choices(times, k=4):
        part, at_end = replayed(tmp_path, start=start)
        assert part
        assert part[:-1] == events[len(events) - len(part) + 1 :], start
        assert _later(part, start) == len(part_of_rates(part)) == _later(events, start)
        assert at_end == rates


def part_of_rates(events: list[tuple[Any, ...]]) -> list[float]:
    return [args[1]["received_at"] for event, *args in events if event == "instrument:rate"]


def _later(events: list[tuple[Any, ...]], start: float) -> int:
    return sum(at >= start for at in part_of_rates(events))
