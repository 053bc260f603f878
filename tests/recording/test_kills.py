"""A process that is killed loses a second of its recording at most, and nothing before."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.conftest import MakeClient, StartServer
from tests.recording import victims
from tests.recording.tools import quote, replayed, texts_of
from tests.support.amounts import amount
from tests.support.peer import Peer

pytestmark = pytest.mark.heavy

#: Seconds that a kill may cost.
MOST_LOST = 1.0


def numbers_by_run(folder: Path) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for text in texts_of(folder):
        content = json.loads(json.loads(text)["messages"][0]["content"])
        number = int(content["PriceRateID"])
        found[number // 1_000_000].append(number)
    return found


def pairs(path: Path) -> list[tuple[int, float]]:
    lines = [line.split() for line in path.read_text().splitlines()]
    return [(int(number), float(moment)) for number, moment in lines]


def lost_by(run: int, numbers: list[int], diary: list[tuple[int, float]], killed: float) -> float:
    """Return the age of the oldest message that is missing, less what the process stood still."""
    mine = [(n, at) for n, at in diary if n // 1_000_000 == run]
    assert numbers == list(range(run * 1_000_000, run * 1_000_000 + len(numbers)))
    missing = [at for n, at in mine if n >= run * 1_000_000 + len(numbers)]
    if not missing:
        return 0.0
    moments = [at for _, at in mine if at >= missing[0]] + [killed]
    stood_still = sum(max(b - a - 0.1, 0.0) for a, b in itertools.pairwise(moments))
    return killed - missing[0] - stood_still


@pytest.mark.long_form
@pytest.mark.timeout(300)
def test_a_kill_costs_a_second_at_most(tmp_path: Path) -> None:
    """At any moment; whatever was killed before, all is readable, and each loss is a gap."""
    kills = amount(8, 200)
    program = [sys.executable, victims.__file__, str(tmp_path), str(kills)]
    subprocess.run(program, check=True, timeout=280)
    worst = 0.0
    for place in range(victims.WIDTH):
        folder = tmp_path / str(place)
        found, diary = numbers_by_run(folder / "recording"), pairs(folder / "diary")
        for run, killed in pairs(folder / "kills"):
            worst = max(worst, lost_by(run, found[run], diary, killed))
        events, _ = replayed(folder / "recording")
        names = [event for event, *_ in events if event in ("instrument:rate", "reconnected")]
        assert names.count("instrument:rate") == sum(map(len, found.values()))
        written = sum(bool(numbers) for numbers in found.values())
        assert names.count("reconnected") >= written - 1
    print(f"{kills} kills; the oldest message that was lost was {worst:.2f} s old")
    assert worst <= MOST_LOST


def test_twelve_thousand_messages_in_a_second_are_all_recorded(
    raw_server: StartServer, client: MakeClient, tmp_path: Path
) -> None:
    """The peak of all instruments of eToro, through a connection."""
    texts = [quote(1 + number % 1000, number, Date="x" * 100) for number in range(12_000)]

    def send(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        for text in texts:
            peer.send_text(text)
        peer.serve()

    c = client(raw_server(send).url)
    with c.record(tmp_path) as recorder:
        c.connect()
        rates = c.queue("instrument:rate", maxsize=0)
        c.subscribe(["instrument:1"], wait=False)
        for _ in range(12_000):
            rates.get(timeout=20)
        c.disconnect()
    stats = recorder.stats()
    assert (stats.refused, stats.waiting) == (0, 0)
    assert [text for text in texts_of(tmp_path) if '"messages"' in text] == texts
