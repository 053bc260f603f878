"""Live profit and loss of open positions in dollars, once a second; see docs/profit.md."""

import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from etoro_sync import ClientState, Instruments, WsClient, WsInstrumentRate
from etoro_sync.demo import run


@dataclass(frozen=True)
class Position:
    """An open position, as eToro's REST API has it."""

    instrument_id: int
    is_buy: bool
    units: float  # all of them: leverage has increased their number, and counts no second time
    open_rate: float


# Yours: from eToro's REST API (docs/profit.md), or written down.
POSITIONS = [
    Position(100000, True, 0.05, 66000.0),
    Position(1001, False, 20.0, 230.0),
    Position(5, True, 10_000.0, 149.5),  # USD/JPY: its profit is in yen
]


def profit(position: Position, rate: WsInstrumentRate | None) -> float | None:
    """Return what closing the position now would bring, in dollars; None: it cannot be known."""
    if rate is None:
        return None
    if position.is_buy:  # closed by selling, at the bid
        gain, conversion = rate.bid - position.open_rate, rate.conversion_rate_bid
    else:  # closed by buying, at the ask
        gain, conversion = position.open_rate - rate.ask, rate.conversion_rate_ask
    if conversion is None or not 0 < conversion < math.inf:
        return None
    return gain * position.units * conversion


def doubt(client: WsClient, rate: WsInstrumentRate, silent: Container[int]) -> str:
    """Return why a rate may not be that of now; an empty text if nothing speaks against it."""
    if client.state is not ClientState.LIVE or rate.generation != client.generation:
        return "from before a gap"
    if rate.is_market_open is False or rate.is_instrument_active is False:
        return "market closed"
    return "no message for a while" if rate.instrument_id in silent else ""


def lines(client: WsClient, names: Mapping[int, str], silent: Container[int]) -> Iterator[str]:
    """Write a line for each position, and one for all of them."""
    known, doubts = list[float](), 0
    for position in POSITIONS:
        rate = client.rates.get(position.instrument_id)
        money = profit(position, rate)
        note = "" if rate is None else doubt(client, rate, silent)
        known += [] if money is None else [money]
        doubts += money is not None and note != ""
        shown = "unknown" if money is None else f"{money:+.2f} USD"
        name = names.get(position.instrument_id, str(position.instrument_id))
        yield f"{name:10} {'long ' if position.is_buy else 'short'} {shown:>14}  {note}".rstrip()
    old = f", {doubts} may be old" if doubts else ""
    yield f"{len(known)} of {len(POSITIONS)} positions{old}: {math.fsum(known):+.2f} USD"


def main() -> None:
    ids, silent = {position.instrument_id for position in POSITIONS}, set[int]()
    names = {each.id: each.name for each in Instruments().lookup(ids).values()}
    with WsClient(stale_after=30.0, reconnect_attempts=None) as client:
        client.on("stale", lambda instrument_id, age_seconds: silent.add(instrument_id))
        client.on("instrument:delta", lambda instrument_id, delta: silent.discard(instrument_id))
        client.subscribe(ids, snapshot=True)
        while not client.run_forever(timeout=1.0):  # raises if the client has failed
            print(*lines(client, names, silent), sep="\n", flush=True)


if __name__ == "__main__":
    run(main)
