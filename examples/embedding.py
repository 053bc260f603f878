"""A client in a program that has threads and a shutdown of its own.

The service below only starts and stops the client, which reconnects by itself. ``disconnect()``
takes about a second at most, ends the wait of the service's thread, and leaves no thread behind.
"""

import threading
import time

from etoro_sync import EToroError, WsClient
from etoro_sync.demo import run


class PriceService:
    """Holds the latest prices and their ages for the rest of the program."""

    def __init__(self, instrument_ids: list[int]) -> None:
        self.failure: EToroError | None = None
        self.ended = threading.Event()
        self._ids = instrument_ids
        self._client = WsClient()
        self._watcher = threading.Thread(target=self._watch, name="price-watcher")

    def start(self) -> None:
        """Connect and subscribe.

        :raises EToroError: when the credentials are refused or the server cannot be reached.
        """
        self._client.connect()
        self._client.subscribe(self._ids, snapshot=True)
        self._watcher.start()

    def stop(self) -> None:
        """Disconnect, which also ends the watcher."""
        self._client.disconnect()
        if self._watcher.ident is not None:
            self._watcher.join()

    def _watch(self) -> None:
        try:
            self._client.run_forever()  # returns after disconnect()
        except EToroError as error:  # such as credentials that are no longer valid
            self.failure = error
        self.ended.set()

    def report(self) -> str:
        """Return the state and all prices as a line of text. Any thread."""
        parts = [self._client.state.value]
        for instrument_id, rate in dict(self._client.rates).items():
            age = max(time.time() - rate.received_at, 0)
            parts.append(f"{instrument_id}: {rate.bid} / {rate.ask} ({age:.1f} s old)")
        return "; ".join(parts)


def main() -> None:
    service = PriceService([100000, 1001])
    try:
        service.start()
        while not service.ended.wait(0.25):
            print(service.report(), flush=True)
    finally:
        service.stop()
        print("stopped", flush=True)
    if service.failure is not None:
        raise service.failure


if __name__ == "__main__":
    run(main)
