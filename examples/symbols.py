"""Symbols instead of ids: find instruments by their exact symbols, and show names beside prices.

An instrument that find() returns is its id, an int, which also knows its symbol and its name.
"""

from etoro_sync import EToroInstrumentError, Instruments, WsClient
from etoro_sync.demo import run


def main() -> None:
    instruments = Instruments()
    watched = [instruments.find(symbol) for symbol in ("BTC", "AAPL")]
    for instrument in watched:
        print(f"{instrument.symbol} is {instrument.name}, id {instrument}", flush=True)
    print("gold is", instruments.name(18), flush=True)

    try:
        instruments.find("bitcoin")  # a name, and no symbol: nothing is guessed
    except EToroInstrumentError as error:
        print("candidates:", [each.symbol for each in error.candidates], flush=True)

    names = {each.id: each.name for each in watched}
    with WsClient() as client:
        for instrument_id, rate in client.stream(watched):
            print(f"{names[instrument_id]}: bid {rate.bid}, ask {rate.ask}", flush=True)


if __name__ == "__main__":
    run(main)
