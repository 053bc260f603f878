"""A soak of seconds, and that a soak notices what it is there to notice."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from etoro_sync import EventQueue, WsClient, WsClientOptions
from etoro_sync.delivery.buffers import BoundedBuffer
from etoro_sync.delivery.conflation import ConflatingBuffer
from etoro_sync.delivery.publisher import Publisher
from etoro_sync.market import feed_handler
from etoro_sync.market.feed_handler import FeedHandler
from etoro_sync.market.rate_book import RateBook
from etoro_sync.models import WsGap
from etoro_sync.simulator import FAULTS, EToroSimulator
from etoro_sync.simulator.faults import read_script
from etoro_sync.ws.protocol.tracker import WsSubscriptionTracker
from etoro_sync.ws.transport.connection import Connection
from tests.soak import run
from tests.soak.memory import Memory
from tests.soak.orders import OrderBook
from tests.soak.picture import draw
from tests.soak.program import MARKER, Program
from tests.soak.run import main
from tests.soak.samples import MB, Sample, growth_per_hour
from tests.soak.script import FINAL, FaultScripts, Step, twisted
from tests.soak.server import Commands, Orders
from tests.support.processes import interruptible

pytestmark = pytest.mark.heavy

BRIEF = ["--seconds", "3", "--round", "1.5", "--topics", "60", "--rate", "400"]
BRIEF += ["--order-interval", "0.05", "--seed", "11"]


def lines_of(output: str) -> dict[str, str]:
    """Return the report's table."""
    rows = [line.split("  ", 1) for line in output.splitlines() if "  " in line]
    return {name: value.strip() for name, value in rows}


@pytest.mark.timeout(90)
def test_a_brief_soak_holds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Faults, gaps, comparisons, a table and a picture; nothing is broken."""
    picture = tmp_path / "soak.svg"
    status = main([*BRIEF, "--seconds", "4", "--tracemalloc", "--picture", str(picture)])
    output = capsys.readouterr().out
    assert status == 0, output
    assert "--seed 11" in output
    assert "Everything held." in output
    report = lines_of(output)
    assert int(report["faults"]) > 0
    assert int(report["orders, callback"].split()[0]) > 0
    assert int(report["quiet moments"].split(";")[0]) >= 3
    assert "per hour" in report["traced memory, MB"]
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


@pytest.mark.skipif(os.name != "posix", reason="needs signals of POSIX")
def test_ctrl_c_ends_a_soak_with_its_report() -> None:
    """Half an hour is long, and what was seen until then is not to be lost."""
    arguments = [sys.executable, str(Path(run.__file__)), *BRIEF, "--seconds", "600"]
    process = subprocess.Popen(interruptible(arguments), stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if " messages " in line:  # the first word on how it goes
                process.send_signal(signal.SIGINT)
                break
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 130, output
    assert lines_of(output)["topics"] == "60"
    assert "Everything held." in output


def lose_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    def extend(buffer: Any, entries: Any, now: float) -> Any:
        buffer.received += 1
        return real(buffer, list(entries)[1:], now)

    real = ConflatingBuffer.extend
    monkeypatch.setattr(ConflatingBuffer, "extend", extend)


def lose_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def emit(out: Any, event: str, *arguments: Any) -> None:
        if event != "private:event" or next(numbers) % 5:
            real(out, event, *arguments)

    real, numbers = Publisher.emit, itertools.count()
    monkeypatch.setattr(Publisher, "emit", emit)


def freeze_a_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """From its first price on, so that no snapshot mends it."""
    seen: list[bool] = []

    def frozen(real: Any, instrument: Any, *arguments: Any) -> Any:
        if instrument.id != 3:
            return real(*arguments)
        state = None if seen else real(*arguments)
        if state is not None:
            seen.append(True)
        return state

    def merge(book: Any, *arguments: Any) -> Any:
        return frozen(plain, arguments[0], book, *arguments)

    def merge_usual(*arguments: Any) -> Any:
        return frozen(usual, arguments[0], *arguments)

    plain, usual = RateBook.merge, feed_handler.merge_usual
    monkeypatch.setattr(RateBook, "merge", merge)
    monkeypatch.setattr(feed_handler, "merge_usual", merge_usual)


def forget_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def pop(buffer: Any, *now: float) -> Any:
        item = real(buffer, *now)
        buffer.delivered = 0
        return item

    real = BoundedBuffer.pop
    monkeypatch.setattr(BoundedBuffer, "pop", pop)


def leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """As much for each read as no buffer grows."""

    def begin_read(feed: Any, *now: float) -> None:
        kept.append(b"x" * (MB // 10))
        real(feed, *now)

    kept: list[bytes] = []
    real = FeedHandler.begin_read
    monkeypatch.setattr(FeedHandler, "begin_read", begin_read)


def forget_a_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshots(tracker: Any) -> dict[str, bool]:
        return {topic: want for topic, want in real(tracker).items() if topic != "instrument:5"}

    real = WsSubscriptionTracker.snapshots
    monkeypatch.setattr(WsSubscriptionTracker, "snapshots", snapshots)


def keep_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def dispose(connection: Any) -> None:
        KEPT.append(socket.socket())
        real(connection)

    real = Connection.dispose
    monkeypatch.setattr(Connection, "dispose", dispose)


#: What a defect has kept, to be closed behind the test.
KEPT: list[socket.socket] = []
DEFECTS = {
    lose_a_rate: "lane of rates does not add up",
    lose_an_order: "are missing on connection",
    freeze_a_price: "client.rates: 1 last prices differ",
    forget_what_was_read: "drop_oldest: (0, 0, 0) + 0 waiting !=",
    leak: "resident memory, MB: +",
    forget_a_topic: "instrument:5 is not subscribed",
    keep_a_descriptor: "descriptors, where there were",
}


@pytest.mark.timeout(90)
def test_a_soak_notices_defects(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is told in a line of its own, and the exit status is 1."""
    for defect in DEFECTS:
        defect(monkeypatch)
    try:
        status = main(BRIEF)
    finally:
        for kept in KEPT:
            kept.close()
    broken = [line for line in capsys.readouterr().out.splitlines() if "BROKEN: " in line]
    for defect, words in DEFECTS.items():
        assert any(words in line for line in broken), (defect.__name__, broken)
    assert status == 1


def test_users_who_never_get_anywhere_are_told() -> None:
    """Calls that time out in an outage are no defect, and one that always does is one."""
    program = Program("ws://127.0.0.1:9/ws", 30, 100.0)
    program.done.update(["waited", "streams", "looked", "brief queues", "subscribe: Timeout"])
    assert program.unused() == ["the users of the client have no subscriptions"]


def test_a_seed_repeats_its_faults() -> None:
    """And another one makes others."""
    one, same, other = (FaultScripts(seed, range(1, 50)) for seed in (5, 5, 6))
    scripts = [one.next(60.0) for _ in range(3)]
    assert scripts == [same.next(60.0) for _ in range(3)]
    assert scripts != [other.next(60.0) for _ in range(3)]


def test_a_script_can_be_played_and_has_every_fault_in_time() -> None:
    """Steps in order, with arguments that the simulator takes.

    All faults but those of TLS, and those that are to end the client.
    """
    scripts = FaultScripts(1, range(1, 50))
    steps = [step for _ in range(100) for step in scripts.next(60.0)]
    for _ in range(10):
        read_script(scripts.next(60.0), tls=False)
    names = {name for _, name, _ in steps} - {"heal"}
    assert names == {name for name, fault in FAULTS.items() if not fault.needs_tls} - FINAL


def test_faults_that_last_are_healed() -> None:
    """None stays in force until the end of a round, where it would hide the next ones."""
    steps = FaultScripts(2, range(1, 50)).next(600.0)
    healed = {(at, given["name"]) for at, name, given in steps if name == "heal"}
    for at, name, _ in steps:
        if name != "heal" and FAULTS[name].lasting:
            assert any(then > at and whom == name for then, whom in healed)


def test_what_a_fault_has_twisted_is_known() -> None:
    """Prices that a snapshot must mend, whichever way the fault names its instrument."""
    steps: list[Step] = [
        (0.0, "reorder", {"topic": "instrument:7"}),
        (0.0, "duplicate", {"topic": "instrument:8"}),
        (1.0, "nan", {"instrument_id": 9}),
        (2.0, "wrong_types", {}),
        (3.0, "heal", {"name": "wrong_types"}),
    ]
    assert twisted(steps) == [7, 9, 18]
    # Whatever was restored while it lasted has no last execution.
    for name in ("zero_last_execution", "no_snapshot"):
        assert twisted([*steps, (4.0, name, {})], ["private", "instrument:3"]) == [3, 7, 9, 18]


def test_a_twisted_price_is_mended_in_the_quiet_moment() -> None:
    """However late in its round the fault came: the script's end is not waited for."""
    with EToroSimulator() as simulator:
        simulator.pause()
        commands = Commands(simulator, Orders(simulator, 1.0))
        options = WsClientOptions("an-api-key", "a-user-key", simulator.url, proxy="")
        with WsClient(options) as client:
            rates, errors = client.queue("instrument:rate"), client.queue("error")
            client.subscribe([18, MARKER])
            assert simulator.publish(18, Bid="1.0", Ask="1.5")
            commands.play([(0.0, "wrong_types", {}), (600.0, "heal", {"name": "wrong_types"})])
            errors.get(timeout=5)  # all kinds are sent at once
            _let_all_arrive(simulator, rates)
            assert 18 not in client.rates
            commands.quiet()
            _let_all_arrive(simulator, rates)
            assert client.rates[18].bid == 1.0


def _let_all_arrive(simulator: EToroSimulator, rates: EventQueue) -> None:
    assert simulator.publish(MARKER, Bid="1.0", Ask="1.5")
    while rates.get(timeout=5)[0] != MARKER:
        pass


def orders(book: OrderBook, *numbers: int, generation: int = 1) -> None:
    for number in numbers:
        event: Any = SimpleNamespace(order_id=number, generation=generation)
        book.on_event(event)


def test_orders_that_are_missing_need_a_gap() -> None:
    """In time: from when one may have waited in the server until the end of the gap."""
    gap = WsGap(from_=100.0, until=110.0, generation=2)
    sent = [(1, 90.0), (2, 96.0), (3, 109.9), (4, 110.1), (5, 120.0)]
    book = OrderBook("test")
    orders(book, 1)
    orders(book, 5, generation=2)
    assert book.judge(sent, [gap], slack=5.0) == ["test: order 4 is missing, and there was no gap"]
    assert (book.received, book.lost) == (2, 3)
    assert len(OrderBook("test").judge(sent, [gap], slack=5.0)) == 3


@pytest.mark.parametrize(
    ("numbers", "words"),
    [((1, 2, 4), "orders 3 to 3 are missing on connection 1"), ((1, 2, 2), "order 2 came after 2")],
)
def test_orders_of_one_connection_are_consecutive(numbers: tuple[int, ...], words: str) -> None:
    """Even in a gap: what was received later on the same connection shows what is missing."""
    book = OrderBook("test")
    orders(book, *numbers)
    gap = WsGap(from_=0.0, until=10.0, generation=2)
    (wrong,) = book.judge([(n, 5.0) for n in range(1, 5)], [gap], slack=0.0)
    assert words in wrong


def test_growth_does_not_follow_a_peak() -> None:
    """The median slope of a line with two peaks is that of the line."""
    points = [(float(t), 1000.0 + t + (t in (10, 90)) * 10**6) for t in range(100)]
    assert growth_per_hour(points) == pytest.approx(3600.0)
    assert growth_per_hour(points[:1]) is None


def test_memory_is_judged_behind_the_warm_up_and_in_proportion_to_the_time() -> None:
    """A step that stays is no growth; what was measured nowhere is not judged."""
    hour = [float(t) for t in range(0, 3601, 60)]
    samples = [Sample(t, int((50 + t / 60) * MB), None, 0, 2, None) for t in hour]
    blocks = [(t, 100_000.0 + (t > 600) * 10**6) for t in hour]
    (broken,) = Memory(samples, blocks, judged_from=900.0).judge()
    assert broken.startswith("resident memory, MB: +60.0 per hour")
    assert not Memory(samples[:20], blocks, judged_from=600.0).judge()
    many = [(t, 20 * t) for t in hour]
    (broken,) = Memory([], many, judged_from=0.0).judge()
    assert broken.startswith(
        "blocks in quiet moments: +72,000.0 per hour, which is more than 70,000"
    )
    assert Memory([], [], judged_from=0.0).rows() == []


def test_the_picture_has_its_curves_and_gaps(tmp_path: Path) -> None:
    """A line for each panel, a mark for each gap in each."""
    path = tmp_path / "picture.svg"
    curve = [(0.0, 1.0), (5.0, 4.0), (10.0, 2.0)]
    draw(path, "title", [("memory", curve), ("messages", curve)], [(2.0, 3.0), (9.0, 99.0)])
    root = ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    marks = [r for r in root.iter(f"{space}rect") if r.get("class") == "gap"]
    assert len(list(root.iter(f"{space}polyline"))) == 2
    assert len(marks) == 4
    assert all(float(m.get("x", "")) + float(m.get("width", "")) <= 971 for m in marks)
