"""Pictures of recordings: what is drawn, and what cannot be."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import EToroError, EToroValidationError, Feed, MarketStream, WsGap
from etoro_sync.plotting import plot
from etoro_sync.plotting.history import History, thinned

BEGIN = 1_700_000_000.0
ACTIVE = "Trading.Instrument.Active"


def text(instrument_id: int, type_: str = "Trading.Instrument.Rate", **content: str) -> str:
    message = {
        "topic": f"instrument:{instrument_id}",
        "content": json.dumps(content),
        "id": "1",
        "type": type_,
    }
    return json.dumps({"messages": [message]})


def price(instrument_id: int, bid: float, ask: float) -> str:
    content = {"Bid": str(bid), "Ask": str(ask), "Date": "2023-11-14T22:13:20Z"}
    return text(instrument_id, **content, PriceRateID="1")


def play(feed: Feed) -> None:
    """Two instruments; one closes and opens; a gap of one topic; prices on both sides of it."""
    feed.texts([price(1, 10, 11), price(2, 5, 6)], BEGIN)
    feed.texts([text(2, ACTIVE, IsInstrumentActive="False")], BEGIN + 10)
    feed.texts([price(1, 12, 13)], BEGIN + 20)
    feed.emit("reconnected", WsGap(BEGIN + 25, BEGIN + 30, 1, ("instrument:1",)))
    feed.texts([price(1, 9, 10)], BEGIN + 30)
    feed.texts([text(2, ACTIVE, IsInstrumentActive="True")], BEGIN + 40)
    feed.texts([price(2, 7, 8)], BEGIN + 50)


def recorded(folder: Path, played: Callable[[Feed], None] = play) -> Path:
    stream = MarketStream(played)
    with stream.record(folder), stream:
        stream.run_forever()
    return folder


def lines(ax: Any) -> dict[str, list[tuple[float, float]]]:
    """Seconds since the beginning and price, of each line by its label."""
    return {
        line.get_label(): [
            (round(at.timestamp() - BEGIN, 3), value)
            for at, value in zip(line.get_xdata(orig=True), line.get_ydata(), strict=True)
        ]
        for line in ax.get_lines()
    }


def test_bid_and_ask_are_steps_that_break_at_a_gap(tmp_path: Path) -> None:
    """A line stays at a price until the next one, and up to the end; in a gap there is none."""
    figure = plot(recorded(tmp_path))
    drawn = lines(figure.axes[0])
    assert [point for point in drawn["bid"] if point[0] != 25] == [
        *((0, 10), (20, 12), (30, 9), (50, 9)),
    ]
    assert math.isnan(dict(drawn["bid"])[25])
    assert math.isnan(dict(drawn["ask"])[25])
    assert all(line.get_drawstyle() == "steps-post" for line in figure.axes[0].get_lines())
    # The gap was not one of instrument 2.
    assert lines(figure.axes[1])["ask"] == [(0, 6), (50, 8)]


def test_closed_markets_are_shaded(tmp_path: Path) -> None:
    """From the message that says so to the one that opens it; others are not shaded."""
    figure = plot(recorded(tmp_path))
    assert len(figure.axes[0].patches) == 0
    (shade,) = figure.axes[1].patches
    left, right = shade.get_extents().transformed(figure.axes[1].transData.inverted()).intervalx
    assert (right - left) * 86400 == pytest.approx(30, abs=0.01)


def test_a_market_that_stays_closed_is_shaded_to_the_end() -> None:
    """Flags that repeat what is known change nothing."""
    history = History()
    history.set_open(True, 1.0)
    history.set_open(False, 2.0)
    history.set_open(False, 3.0)
    assert history.closed == [(2.0, None)]


def test_rows_are_chosen_and_named(tmp_path: Path) -> None:
    """Those that are asked for, in this order; else those with the most prices."""
    folder = recorded(tmp_path)
    figure = plot(folder, [2, 1], names={2: "BTC"})
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["BTC", "instrument 1"]
    assert len(plot(folder, 2).axes) == 1

    def many(feed: Feed) -> None:
        for number in range(1, 30):
            feed.texts([price(number, 1, 2)] * (2 if number > 15 else 1), BEGIN)

    figure = plot(recorded(tmp_path / "many", many))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == [f"instrument {number}" for number in range(16, 28)]


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_file_has_the_format_of_its_ending(tmp_path: Path, ending: str) -> None:
    """It is written aside and renamed, so that nothing else is left."""
    folder = recorded(tmp_path / "recording")
    out = tmp_path / f"prices.{ending}"
    plot(folder, out=out)
    begin = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert out.read_bytes().startswith(begin)
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "recording"]


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    """An unknown format, no price, no recording, a place that cannot be written."""
    folder = recorded(tmp_path / "recording")
    with pytest.raises(EToroValidationError, match=r"\.png"):
        plot(folder, out=tmp_path / "prices.txt")
    with pytest.raises(EToroError, match=r"no price to draw in .* of 77"):
        plot(folder, 77)
    with pytest.raises(EToroError, match="does not exist"):
        plot(tmp_path / "nothing")
    with pytest.raises(EToroError, match="cannot be written"):
        plot(folder, out=tmp_path / "missing" / "prices.png")


def test_thinning_keeps_what_is_seen() -> None:
    """The first and last point, the lowest bid, the highest ask, and each break."""
    points = [(float(n), 10.0 + n % 7, 11.0 + n % 7) for n in range(10_000)]
    points[5000] = (5000.0, 1.0, 2.0)
    points[6000] = (6000.0, 98.0, 99.0)
    points[7000] = (7000.0, math.nan, math.nan)
    kept = thinned(points, 500)
    assert len(kept) <= 501
    assert {points[0], points[-1], points[5000], points[6000]} <= set(kept)
    assert [point[0] for point in kept if math.isnan(point[1])] == [7000.0]
    assert thinned(points, 10_000) is points


@pytest.mark.heavy
def test_the_example_draws_what_it_has_recorded(tmp_path: Path) -> None:
    """It ends by itself, and leaves the picture and nothing else."""
    example = Path(__file__).parents[2] / "examples" / "plot_prices.py"
    command = [sys.executable, str(example), "--demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    out = tmp_path / "prices.png"
    assert (done.returncode, done.stderr) == (0, "")
    assert f"they are shown in {out}" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.heavy
def test_the_command_writes_a_picture(tmp_path: Path) -> None:
    """It says where it is; a symbol is refused in one line, since a recording has ids only."""
    folder = recorded(tmp_path / "recording")
    command = [sys.executable, "-m", "etoro_sync", "plot", str(folder)]
    out = tmp_path / "prices.png"
    done = subprocess.run([*command, "1", "--out", str(out)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{out}: 1 instrument\n", "")
    assert out.read_bytes().startswith(b"\x89PNG")
    done = subprocess.run([*command, "BTC"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "etoro-sync find BTC" in done.stderr
