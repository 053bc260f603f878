"""The commands record, replay, recover, convert and simulate --from."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import (
    ClientState,
    EToroWebSocketError,
    Feed,
    Recording,
    Replay,
    WsClient,
    WsInstrumentRate,
)
from etoro_sync.cli import keeping, progress, recording, run
from etoro_sync.cli.ending import CommandError
from etoro_sync.cli.progress import Progress, size
from etoro_sync.cli.serving import Tape
from etoro_sync.simulator import EToroSimulator
from tests.support.clients import quick_options
from tests.support.names import wait_for_names
from tests.support.recordings import BEGIN, price, recorded
from tests.support.threads import run_in_thread
from tests.support.timing import MS

POSIX = pytest.mark.skipif(os.name != "posix", reason="sends signals")


def order(number: int) -> str:
    content = json.dumps({"OrderID": number, "StatusID": 3})
    message = {"topic": "private", "content": content, "id": "1", "type": "T"}
    return json.dumps({"messages": [message]})


def play(feed: Feed) -> None:
    """Prices of two instruments and an order within two seconds."""
    for n in range(20):
        feed.texts([price(18, Bid=str(n + 1), Ask=str(n + 2))], BEGIN + n / 10)
        feed.texts([price(28, Bid=str(n + 3), Ask=str(n + 4))], BEGIN + n / 10)
    feed.texts([order(5)], BEGIN + 1.95)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("recording"), play)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# record ------------------------------------------------------------------------------------------


def test_record_writes_what_can_be_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Simulated prices and orders, and at the end a line that sums up."""
    out = tmp_path / "new" / "folder"
    arguments = ["record", "BTC", "18", "--private", "--demo", "--out", str(out)]
    assert run([*arguments, "--seconds", str(1500 * MS)]) == 0
    text, err = capsys.readouterr()
    assert err == ""
    (last,) = text.splitlines()
    found = re.fullmatch(r"recorded ([\d,]+) messages, \S+ kB in 1 segment into (.*)", last)
    assert found is not None
    assert found[2] == str(out)
    texts = list(Recording(out).items("texts"))
    assert len(texts) == int(found[1].replace(",", "")) > 5
    assert {rate.instrument_id for rate in Recording(out).items()} == {18, 100000}
    assert list(Recording(out).items("orders"))


def test_record_makes_parquet_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each file that was closed, the last one included; without pyarrow it does not begin."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    arguments = ["record", "18", "--demo", "--parquet", "--seconds", str(500 * MS)]
    assert run([*arguments, "--out", str(tmp_path / "o")]) == 0
    assert capsys.readouterr().err == ""
    (made,) = (tmp_path / "o").glob("*.rates.parquet")
    (segment,) = (tmp_path / "o").glob("*.zst")
    assert made.name == segment.name.replace(".jsonl.zst", ".rates.parquet")
    bids = parquet.read_table(made).column("bid").to_pylist()
    assert bids == [rate.bid for rate in Recording(tmp_path / "o").items()]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert run([*arguments, "--out", str(tmp_path / "p")]) == 1
    assert "etoro-sync[parquet]" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_record_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: Callable[[str], None]
) -> None:
    """On a terminal one line is drawn again and again, and the last one stays."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with EToroSimulator({18: 100.0}, rate=100) as simulator:
        keys(simulator.url)
        out = tmp_path / "o"
        assert run(["record", "18", "--out", str(out), "--seconds", str(800 * MS)]) == 0
    *drawn, last = terminal.getvalue().split("\r\x1b[K")
    assert "\rlive: " in drawn[0]
    assert drawn[0].count("\r") > 1
    assert "messages, " in drawn[0]
    assert last.startswith("recorded ")
    assert last.endswith("o\n")


@POSIX
def test_ctrl_c_ends_a_recording_cleanly(tmp_path: Path, spawn: Any) -> None:
    """With 130, a last line, and a segment that is whole."""
    process = spawn("-m", "etoro_sync", "record", "18", "--demo", "--out", str(tmp_path / "o"))
    folder = tmp_path / "o"
    while not (folder.is_dir() and any(p.stat().st_size > 1000 for p in folder.glob("*.zst"))):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert re.search(r"^recorded [\d,]+ messages", process.stdout.read(), re.MULTILINE)
    assert process.stderr.read() == ""
    assert list(Recording(folder).items())
    assert run(["recover", str(folder)]) == 0


def test_old_files_make_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--keep and --disk-budget are the recording's."""
    for _ in range(3):
        recorded(tmp_path, lambda feed: feed.texts([price(18)]))
    arguments = ["record", "18", "--demo", "--out", str(tmp_path), "--seconds", str(100 * MS)]
    assert run([*arguments, "--keep", "1"]) == 0
    assert len(list(tmp_path.glob("*.zst"))) == 2
    assert run([*arguments, "--disk-budget", "1"]) == 0
    assert len(list(tmp_path.glob("*.zst"))) == 1
    capsys.readouterr()


def test_a_lost_connection_is_told_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recording goes on, and what happened is in it."""
    with EToroSimulator({18: 100.0}, rate=100) as simulator:

        def cut() -> None:
            simulator.wait_until(lambda sim: sim.subscribed)
            simulator.drop()

        cutting = run_in_thread(cut)
        limits = recording.Limits(tmp_path, None, None, 1500 * MS)
        recording.record(["18"], False, limits, quick_options(simulator.url), None)
        cutting.wait()
    assert "Reconnecting" in capsys.readouterr().err
    assert [gap.topics for gap in Recording(tmp_path).items("gaps")] == [("instrument:18",)]


def test_what_is_missing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording with holes must not pass for a whole one."""
    real = WsClient.record
    monkeypatch.setattr(
        WsClient, "record", lambda self, *a, **k: real(self, *a, **{**k, "buffer_bytes": 1 << 16})
    )
    with (
        EToroSimulator({18: 100.0}, rate=0) as simulator,
        WsClient(quick_options(simulator.url)) as other,
    ):
        other.subscribe([18])

        def flood() -> None:
            simulator.wait_until(lambda sim: len(sim.clients) == 2 and sim.clients[1].topics)
            for _ in range(3000):
                simulator.publish(18, Ask="100", Bid="99")

        flooding = run_in_thread(flood)
        limits = recording.Limits(tmp_path, None, None, 1500 * MS)
        with pytest.raises(Exception, match="are missing in the recording"):
            recording.record(["18"], False, limits, quick_options(simulator.url), None)
        flooding.wait()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["record", "18"], "Say where to record to: --out FOLDER"),
        (["record", "--out", "o"], "Name at least one instrument"),
        (["record", "18", "--out", "o"], "ETORO_API_KEY"),
        (["record", "18", "--out", "o", "--disk-budget", "x"], "--disk-budget must be a number"),
        (["record", "18", "--out", "o", "--keep", "-1"], "--keep"),
        (["record", "18", "--out", "o", "--seconds", "nan"], "a number greater than 0"),
        (["record", "APPL", "--demo", "--out", "o"], "What comes near: AAPL"),
        (["replay", "missing", "--start", "monday"], "--start must be a time such as"),
        (["replay", "missing", "--speed", "0"], "a number greater than 0"),
        (["convert", "missing"], "Say where to write to: --to FILE"),
        (["simulate", "--loop"], "add --from PATH"),
        (["simulate", "--speed", "2"], "add --from PATH"),
        (["simulate", "--from", "x", "--rate", "5"], "leave out --rate"),
        (
            ["simulate", "--port", "0", "--from", "x", "--speed", "nan"],
            "it must be a number greater than 0",
        ),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 2, and what to do."""
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("etoro-sync: ")
    assert words in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [["replay"], ["recover"], ["convert", "--to", "o.csv"], ["simulate", "--port", "0", "--from"]],
)
def test_what_is_no_recording_is_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With 1, as whatever the system has not."""
    for path, words in ((tmp_path / "none", "does not exist"), (tmp_path, "has no recording")):
        assert run([*arguments, str(path)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line


def test_a_folder_in_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two recordings would remove each other's files."""
    stream = Replay(recorded(tmp_path / "source", play))
    with stream.record(tmp_path / "o"):
        arguments = ["record", "18", "--demo", "--out", str(tmp_path / "o"), "--seconds", "5"]
        assert run(arguments) == 1
    assert "Another recording writes to" in capsys.readouterr().err


# replay ------------------------------------------------------------------------------------------


def test_replay_writes_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each rate and each order, as fast as they are read, and none is missing."""
    assert run(["replay", str(folder)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) == 41
    assert "instrument 18  bid 1.00  ask 2.00" in lines[0]
    assert "order 5" in lines[-1]
    assert err == ""


def test_replay_writes_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same objects as stream."""
    assert run(["replay", str(folder), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["event"] for row in rows] == ["instrument:rate"] * 40 + ["private:event"]
    assert rows[0]["received_at"] == BEGIN
    assert rows[-1]["order_id"] == 5


def test_replay_shows_a_table_at_the_pace_of_then(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the time of then; it stays on the terminal at the end."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "110")
    paces = []
    real = Replay.__init__

    def watched(self: Replay, path: Any, speed: float | None = None, **more: Any) -> None:
        paces.append(speed)
        real(self, path, None if speed is None else speed * 10, **more)

    monkeypatch.setattr(Replay, "__init__", watched)
    assert run(["replay", str(folder)]) == 0
    assert paces == [1.0]
    assert f"{folder.name} at 2023-11-14 22:13:21 UTC" in terminal.getvalue()
    assert "20.00" in terminal.getvalue()


def test_replay_shows_names_where_there_are_keys(
    folder: Path, keys: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its table; its lines are the same with keys and without."""
    wait_for_names(monkeypatch)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    for name, value in (("TERM", "xterm"), ("NO_COLOR", "1"), ("COLUMNS", "110")):
        monkeypatch.setenv(name, value)
    with EToroSimulator(rest=True, rate=0) as simulator:
        keys(simulator.url)
        monkeypatch.setenv("ETORO_REST_URL", simulator.rest_url)
        assert run(["replay", str(folder)]) == 0
        assert len(simulator.rest_requests) >= 1
        asked = list(simulator.rest_requests)
        assert run(["replay", str(folder), "--json"]) == 0
        assert simulator.rest_requests == asked
    assert re.search(r"18 +Gold ", terminal.getvalue())
    assert re.search(r"28 +NASDAQ100 In", terminal.getvalue())


def test_replay_plays_a_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a time of UTC on, up to another."""
    begin = datetime.now(timezone.utc).timestamp() + 10

    def four(feed: Feed) -> None:
        for n in range(4):
            feed.texts([price(18, Bid=str(n + 1), Ask="9")], begin + n)

    recorded(tmp_path, four)
    times = [datetime.fromtimestamp(begin + n - 0.5, timezone.utc) for n in range(4)]
    start, until = f"{times[1]:%Y-%m-%dT%H:%M:%S.%f}", times[3].isoformat(" ")
    assert run(["replay", str(tmp_path), "--start", start, "--until", until, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["bid"] for row in rows] == [2.0, 3.0]


def test_replay_ends_after_its_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Though the recording is longer."""
    begin = datetime.now(timezone.utc).timestamp()

    def two(feed: Feed) -> None:
        feed.texts([price(18)], begin)
        feed.texts([price(18)], begin + 60)

    recorded(tmp_path, two)
    assert run(["replay", str(tmp_path), "--speed", "0.5", "--seconds", str(1000 * MS)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_damaged_recording_ends_a_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do, and after a repair it plays."""
    recorded(tmp_path, lambda feed: [feed.texts([price(18, Bid="1", Ask="2")]), None][1])
    (path,) = tmp_path.glob("*.zst")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert run(["replay", str(tmp_path)]) == 1
    assert f"etoro-sync recover {path}" in capsys.readouterr().err
    assert run(["recover", str(tmp_path)]) == 0
    assert f"{path.name}.damaged" in capsys.readouterr().out
    assert run(["replay", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("1700000000.5", BEGIN + 0.5),
        ("2023-11-14T22:13:20", BEGIN),
        ("2023-11-14 22:13:20.5Z", BEGIN + 0.5),
        ("2023-11-14T22:13:20.1234567Z", BEGIN + 0.123456),
        ("2023-11-14T23:13:20+01:00", BEGIN),
        ("2023-11-14", BEGIN - 80000),
    ],
)
def test_times_of_the_command_line(text: str | None, seconds: float | None) -> None:
    """In any usual form; without a zone they are UTC, as the names of the files are."""
    assert keeping.moment(text, "--start") == seconds


@pytest.mark.parametrize(
    ("text", "number"),
    [(None, None), ("5", 5), ("2k", 2000), ("3 MB", 3_000_000), ("2G", 2 * 10**9)],
)
def test_sizes_of_the_command_line(text: str | None, number: int | None) -> None:
    """In bytes, or with a unit."""
    assert keeping._bytes(text, "--disk-budget") == number


@pytest.mark.parametrize("text", ["", "12:30", "2023-13-01", "now"])
def test_times_that_are_none(text: str) -> None:
    """A time of day could be of any day."""
    with pytest.raises(CommandError, match="--start must be a time"):
        keeping.moment(text, "--start")


# recover and convert -----------------------------------------------------------------------------


def test_recover_says_what_it_has_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each file; with 1 where one cannot be repaired."""
    recorded(tmp_path, play)
    (path,) = tmp_path.glob("*.zst")
    path.write_bytes(path.read_bytes() + b"\x28\xb5\x2f\xfd")
    assert run(["recover", str(tmp_path)]) == 0
    assert "a torn end of 4 bytes is cut" in capsys.readouterr().out
    path.write_bytes(b"nothing")
    assert run(["recover", str(path)]) == 1
    out, err = capsys.readouterr()
    assert "nothing in it can be read" in out
    assert err == f"etoro-sync: Not repaired: {path.name}.\n"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_convert_writes_a_table(
    folder: Path, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ending of the file's name decides."""
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    to = tmp_path / f"o.{ending}"
    assert run(["convert", str(folder), "--to", str(to)]) == 0
    assert capsys.readouterr().out == f"40 rates in {to}\n"
    assert run(["convert", str(folder), "--to", str(to), "--what", "orders"]) == 0
    assert capsys.readouterr().out == f"1 order in {to}\n"
    assert to.stat().st_size > 100


def test_convert_tells_how_far_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the time of then."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert run(["convert", str(folder), "--to", str(tmp_path / "o.csv")]) == 0
    assert "\r40 rates, up to 2023-11-14 22:13:21 UTC\x1b[K\r\x1b[K40 rates" in terminal.getvalue()


def test_converting_nothing_is_an_error(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With 1, and no file."""
    to = tmp_path / "o.csv"
    assert run(["convert", str(folder), "--to", str(to), "--what", "gaps"]) == 1
    assert "has no gaps to convert" in capsys.readouterr().err
    assert run(["convert", str(folder), "--to", str(to), "--what", "prices"]) == 2
    assert "what must be one of" in capsys.readouterr().err
    assert run(["convert", str(folder), "--to", str(tmp_path / "o.xls")]) == 2
    assert "must end with .parquet, .csv, .jsonl" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# simulate --from ---------------------------------------------------------------------------------


def test_a_recording_is_served_to_several_clients(folder: Path) -> None:
    """Each gets its topics, all that was recorded of them, and a close at the end."""
    with contextlib.ExitStack() as stack:
        simulator = stack.enter_context(EToroSimulator({}))
        one, other = (
            WsClient(quick_options(simulator.url, reconnect_attempts=0)) for _ in range(2)
        )
        for client in (one, other):
            client.connect()
            stack.callback(client.disconnect)
        rates, orders = one.queue("instrument:rate"), one.queue("private:event")
        others, closes = other.queue("instrument:rate"), other.queue("close")
        one.subscribe([18, "private"], snapshot=True)
        other.subscribe([28], snapshot=True)
        tape = stack.enter_context(Tape(simulator, folder, speed=5.0, loop=False))
        got = [rates.get(timeout=5) for _ in range(20)]
        with pytest.raises(EToroWebSocketError, match="the recording has ended"):
            rates.get(timeout=5)
        assert [(key, rate.bid) for key, rate in got] == [(18, n + 1.0) for n in range(20)]
        simulator.wait_until(lambda _: tape.ended, 5)
        assert tape.check()
        assert closes.get(timeout=5) == (1001, "the recording has ended")
        assert orders.get(timeout=5).order_id == 5
        assert [others.get(timeout=5)[1].bid for _ in range(20)] == [n + 3.0 for n in range(20)]


def test_the_pace_is_that_of_then(folder: Path) -> None:
    """Two seconds of a recording at five times its speed are 0.4 s."""
    with (
        EToroSimulator({}) as simulator,
        WsClient(quick_options(simulator.url)) as client,
        client.queue("instrument:rate") as rates,
        Tape(simulator, folder, speed=5.0, loop=False),
    ):
        client.subscribe([18])
        times = [rates.get(timeout=5)[1].received_at for _ in range(20)]
    assert times[-1] - times[0] > 300 * MS
    assert times[-1] - times[0] < 4


def test_who_comes_later_gets_a_snapshot_and_the_rest(tmp_path: Path) -> None:
    """Of the state that the recording has reached."""

    def two(feed: Feed) -> None:
        feed.texts([price(18, Bid="1", Ask="2")], BEGIN)
        feed.texts([price(18, Bid="5")], BEGIN + 1)
        feed.texts([price(18, Ask="7")], BEGIN + 1000)

    with (
        EToroSimulator({}) as simulator,
        WsClient(quick_options(simulator.url)) as client,
        client.queue("instrument:rate") as rates,
        Tape(simulator, recorded(tmp_path, two), speed=10.0, loop=False),
    ):
        client.subscribe([18])
        assert [rates.get(timeout=5)[1].bid for _ in range(2)] == [1.0, 5.0]
        with WsClient(quick_options(simulator.url)) as late, late.queue("instrument:rate") as seen:
            late.subscribe([18], snapshot=True)
            _, rate = seen.get(timeout=5)
            assert (rate.bid, rate.ask) == (5.0, 2.0)


def test_a_recording_that_begins_with_a_state_is_served_with_it(tmp_path: Path) -> None:
    """Whoever began to record in the middle of a stream had prices already."""
    from etoro_sync import MarketStream

    go = {"on": False}

    def two(feed: Feed) -> None:
        feed.texts([price(18, Bid="1", Ask="2", IsMarketOpen="true")], BEGIN)
        while not go["on"]:
            feed.wait(0.01)
        feed.texts([price(18, Bid="3")], BEGIN + 1)

    stream = MarketStream(two)
    with stream.queue("instrument:rate") as rates, stream:
        rates.get(timeout=5)
        with stream.record(tmp_path):
            go["on"] = True
            stream.run_forever()
    with (
        EToroSimulator({}) as simulator,
        WsClient(quick_options(simulator.url)) as client,
        client.queue("instrument:rate") as rates,
        Tape(simulator, tmp_path, speed=1.0, loop=False),
    ):
        client.subscribe([18], snapshot=True)
        seen = [rates.get(timeout=5)[1] for _ in range(2)]
    assert (seen[-1].bid, seen[-1].ask, seen[-1].is_market_open) == (3.0, 2.0, True)


def test_a_gap_of_then_is_a_gap_now(tmp_path: Path) -> None:
    """Nothing of before is merged with what came behind it, and its time is not waited for."""

    def lost(feed: Feed) -> None:
        feed.texts([price(18, Bid="1", Ask="2")], BEGIN)
        feed.new_connection()
        feed.texts([price(18, Bid="5")], BEGIN + 5000)
        feed.texts([price(18, Ask="7")], BEGIN + 5001)

    with (
        EToroSimulator({}) as simulator,
        WsClient(quick_options(simulator.url)) as client,
        client.queue(["instrument:rate", "reconnected"]) as events,
        Tape(simulator, recorded(tmp_path, lost), speed=5.0, loop=False),
    ):
        client.subscribe([18], snapshot=True)
        got = [events.get(timeout=5) for _ in range(3)]
    assert [event for event, *_ in got] == ["instrument:rate", "reconnected", "instrument:rate"]
    rates = [each[2] for each in got if each[0] == "instrument:rate"]
    assert [(rate.bid, rate.ask) for rate in rates] == [(1.0, 2.0), (5.0, 7.0)]


@pytest.mark.parametrize("loop", [True, False])
def test_a_recording_without_messages_is_an_error(
    tmp_path: Path, loop: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not a simulator that waits for ever, or plays nothing again and again."""
    with Replay(recorded(tmp_path / "source", lambda feed: feed.wait(0))).record(tmp_path / "o"):
        pass
    arguments = ["simulate", "--port", "0", "--from", str(tmp_path / "o"), *["--loop"] * loop]
    assert run(arguments) == 1
    assert "has no messages to send" in capsys.readouterr().err


def test_merged_rates_are_served_as_frames(tmp_path: Path) -> None:
    """A source of one's own may have no frames to record."""
    rate = WsInstrumentRate(
        ask=2.0, bid=0.00000125, is_market_open=True, price_rate_id=7, closes=(1.0, None, 3.0)
    )
    recorded(tmp_path, lambda feed: feed.rates([(18, rate)]))
    with (
        EToroSimulator({}) as simulator,
        WsClient(quick_options(simulator.url)) as client,
        client.queue("instrument:rate") as rates,
        Tape(simulator, tmp_path, speed=1.0, loop=False),
    ):
        client.subscribe([18], snapshot=True)
        _, seen = rates.get(timeout=5)
    assert (seen.bid, seen.ask, seen.is_market_open) == (1.25e-06, 2.0, True)
    assert (seen.price_rate_id, seen.daily_close, seen.monthly_close) == (7, 1.0, 3.0)


def test_a_loop_begins_again_behind_a_gap(folder: Path) -> None:
    """Its prices jump back, so clients see a new connection."""
    with (
        EToroSimulator({}) as simulator,
        WsClient(quick_options(simulator.url)) as client,
        client.queue("reconnected") as gaps,
        client.queue("instrument:rate") as rates,
        Tape(simulator, folder, speed=20.0, loop=True),
    ):
        client.subscribe([18])
        assert gaps.get(timeout=10).topics == ("instrument:18",)
        bids = [rates.get(timeout=5)[1].bid for _ in range(25)]
    assert bids[:20] == [float(n + 1) for n in range(20)]
    assert bids[20] < 20


def test_simulate_from_ends_with_the_recording(
    folder: Path, spawn: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """With 0, and it says so."""
    process = spawn(
        *("-m", "etoro_sync", "simulate", "--port", "0", "--from", str(folder), "--speed", "10")
    )
    url = re.search(r"ws://\S+", process.stdout.readline())
    assert url is not None
    with WsClient(quick_options(url[0], reconnect_attempts=0)) as client:
        rates = client.queue("instrument:rate")
        client.subscribe([18, 28], snapshot=True)
        with pytest.raises(EToroWebSocketError):
            for _ in iter(rates.get, None):
                pass
        assert client.state is ClientState.FAILED
        assert client.stats().rates == 40
        client.disconnect()
    assert process.wait(10) == 0
    out = process.stdout.read()
    assert "ETORO_REST_URL" not in out
    assert out.endswith("The recording has ended.\n")


def test_a_damaged_recording_ends_the_simulator(tmp_path: Path) -> None:
    """Its clients must not wait for prices that will never come."""
    recorded(tmp_path, play)
    (path,) = tmp_path.glob("*.zst")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with (
        EToroSimulator({}) as simulator,
        WsClient(quick_options(simulator.url)) as client,
        Tape(simulator, tmp_path, 1.0, loop=False) as tape,
    ):
        client.subscribe([18])
        simulator.wait_until(lambda _: tape.ended)
        with pytest.raises(Exception, match="is damaged at byte"):
            tape.check()


# progress ----------------------------------------------------------------------------------------


def test_a_pipe_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not one for each look at the counters."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = Progress(seconds=5.0)
    for second in range(13):
        now[0] = 100.0 + second
        shown.show(f"{second} s")
    shown.note("warning: x")
    shown.end("13 s")
    out, err = capsys.readouterr()
    assert out == "5 s\n10 s\n13 s\n"
    assert err == "warning: x\n"


@POSIX
def test_a_reader_that_goes_away_ends_no_command(folder: Path, tmp_path: Path, spawn: Any) -> None:
    """What matters are the files."""
    process = spawn("-m", "etoro_sync", "record", "18", "--demo", "--out", str(tmp_path / "o"))
    process.stdout.close()
    convert = spawn("-m", "etoro_sync", "convert", str(folder), "--to", str(tmp_path / "o.csv"))
    convert.stdout.close()
    assert convert.wait(20) == 0
    assert (tmp_path / "o.csv").stat().st_size > 1000
    while not any(path.stat().st_size > 1000 for path in (tmp_path / "o").glob("*.zst")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert process.stderr.read() == convert.stderr.read() == ""


def test_a_long_line_stays_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal would break it, and could not draw it again."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    shown = Progress()
    shown.show("x" * 100)
    shown.end()
    assert terminal.getvalue() == f"\r{'x' * 19}\x1b[K\r\x1b[K"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (12_345, "12.35 kB"),
        (999_999, "1000 kB"),
        (5_000_000, "5 MB"),
        (10**13, "10 TB"),
        (10**16, "1e+04 TB"),
    ],
)
def test_sizes_are_for_people(number: int, text: str) -> None:
    """Four digits, in units of a thousand."""
    assert size(number) == text


def test_the_counters_are_one_line(folder: Path) -> None:
    """What waits, what is missing, and why nothing is written, only where it is so."""
    from etoro_sync import RecorderStats

    well = RecorderStats(5, 5, 0, 0, 2000, None, 1)
    assert recording.describe(well) == "5 messages, 2 kB in 1 segment"
    bad = RecorderStats(5000, 3000, 1500, 500, 2000, "No space left on device", 2)
    assert recording.describe(bad) == (
        "3,000 messages, 2 kB in 2 segments, 500 waiting, 1,500 missing, "
        "paused: No space left on device"
    )
