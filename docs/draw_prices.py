"""Draws the picture of the page of plots: two made-up prices, a gap, and a market that closes.

``python docs/draw_prices.py docs/plots/prices.png``
"""

import json
import random
import sys
import tempfile

from etoro_sync import Feed, MarketStream, WsGap
from etoro_sync.plotting import plot

BEGIN = 1_795_003_200.0  # a full hour
RATE, ACTIVE = "Trading.Instrument.Rate", "Trading.Instrument.Active"


def frame(instrument_id: int, type_: str, **content: str) -> str:
    """Return a text as eToro sends it."""
    message = {
        "topic": f"instrument:{instrument_id}",
        "content": json.dumps(content),
        "id": "1",
        "type": type_,
    }
    return json.dumps({"messages": [message]})


def play(feed: Feed) -> None:
    """Write two hours of two prices."""
    chance = random.Random(7)
    bids = {100000: 67000.0, 1001: 227.5}
    spreads, steps = {100000: 24.8, 1001: 0.12}, {100000: 6.0, 1001: 0.03}
    feed.texts([frame(1001, ACTIVE, IsInstrumentActive="True")], BEGIN)
    for seconds in range(0, 7200, 4):
        now, closed = BEGIN + seconds, seconds >= 5400
        if 3000 <= seconds < 3300:
            continue
        if seconds == 3300:
            feed.emit("reconnected", WsGap(BEGIN + 3000, now, 2, tuple(map(topic, bids))))
        if seconds == 5400:
            feed.texts([frame(1001, ACTIVE, IsInstrumentActive="False")], now)
        for key in (100000,) if closed else bids:
            bids[key] += chance.gauss(0, steps[key])
            bid, ask = f"{bids[key]:.2f}", f"{bids[key] + spreads[key]:.2f}"
            feed.texts([frame(key, RATE, Bid=bid, Ask=ask, Date="", PriceRateID="1")], now)


def topic(instrument_id: int) -> str:
    """Return the topic of an instrument."""
    return f"instrument:{instrument_id}"


def main(out: str) -> None:
    """Record them, and draw the recording."""
    with tempfile.TemporaryDirectory() as folder:
        stream = MarketStream(play)
        with stream.record(folder), stream:
            stream.run_forever()
        figure = plot(folder, names={100000: "BTC", 1001: "AAPL"})
    figure.set_size_inches(9, 5)
    figure.savefig(out, dpi=90)


if __name__ == "__main__":
    main(sys.argv[1])
