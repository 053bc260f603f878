"""The command ``simulate --from``: a recording, handed to a simulator at its pace."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..errors import EToroError
from ..market.merging import make_rate
from ..recording.lines import Entry
from ..recording.segments import entries_of, find_segments
from ..synchronization import join_thread

if TYPE_CHECKING:
    from ..simulator import EToroSimulator

__all__ = ["Tape"]

_GOING_AWAY = 1001
#: Seconds between two looks whether anybody has subscribed, or whether it is to end.
_PERIOD = 0.25


class Tape:
    """Plays a recording to the clients of a simulator, on a thread of its own.

    It begins when the first client has subscribed to anything; all clients hear the same moment.
    At a gap the connections are closed, and it goes on when a client has subscribed again; at the
    end they are closed, too. No lock: the thread alone reads the recording, and others
    only read :attr:`ended`.

    :param simulator: without messages of its own.
    :param path: a segment, or a folder of them.
    :param speed: how many times as fast as recorded.
    :param loop: whether to begin again at the end.
    :raises EToroError: when there is no recording.
    """

    def __init__(self, simulator: "EToroSimulator", path: Path, speed: float, loop: bool) -> None:
        self._simulator = simulator
        self._path = path
        self._speed = speed
        self._loop = loop
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        #: Whether nothing more will come.
        self.ended = False
        find_segments(path)
        self._thread = threading.Thread(target=self._run, name="etoro-sync-tape", daemon=True)

    def check(self) -> bool:
        """Return whether it has ended. Main thread.

        :raises EToroError: when the recording is damaged.
        """
        if self._failure is not None:
            raise self._failure
        return self.ended

    def __enter__(self) -> "Tape":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        join_thread(self._thread, 2.0)

    # -- its own thread ------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._play()
                if self._stopping.is_set() or not self._loop:
                    break
                self._cut("the recording begins again")
            self._simulator.disconnect(_GOING_AWAY, "the recording has ended")
        except Exception as exc:
            self._failure = exc
        self.ended = True

    def _play(self) -> None:
        """Play the recording once.

        :raises EToroError: when it is damaged, or has no message.
        """
        begun: tuple[float, float] | None = None
        has_messages = False
        for entry in entries_of(find_segments(self._path)):
            texts = list(_texts(entry))
            if begun is not None and entry.kind in ("state", "generation"):
                # What came in between is not known, and must not look as if nothing had.
                begun = None
                self._cut("the recording has a gap here")
            if entry.kind != "state" and texts:
                has_messages = True
                if begun is None:
                    self._wait_for_subscriber()
                    begun = entry.at, time.monotonic()
                due = begun[1] + (entry.at - begun[0]) / self._speed
                self._stopping.wait(max(due - time.monotonic(), 0.0))
            if self._stopping.is_set():
                return
            for text in texts:
                self._simulator.relay(text)
        if not has_messages:
            raise EToroError(f"{self._path} has no messages to send.")

    def _cut(self, reason: str) -> None:
        """Let clients lose their connection, and their snapshots begin anew."""
        self._simulator.forget_relayed()
        self._simulator.disconnect(_GOING_AWAY, reason)

    def _wait_for_subscriber(self) -> None:
        while not self._stopping.is_set():
            try:
                self._simulator.wait_until(lambda simulator: simulator.subscribed, _PERIOD)
            except TimeoutError:
                continue
            return


def _texts(entry: Entry) -> Iterator[str]:
    """Yield what a server would send of an entry."""
    if entry.kind == "texts":
        yield from entry.details[1]
    elif entry.kind == "rate":
        yield _as_text(
            f"instrument:{entry.details[0]}", "Trading.Instrument.Rate", entry.details[1]
        )
    elif entry.kind == "state":
        for one in entry.details.instruments:
            yield _as_text(one.topic, "Snapshot", one.state)


def _as_text(topic: str, kind: str, state: dict[str, Any]) -> str:
    """Write the state of an instrument as eToro would send it."""
    wire = make_rate(state).to_dict()
    own = {"changed", "generation", "received_at", "instrument_id", "closes"}
    content = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in wire.items()
        if value not in (None, "") and name not in own
    }
    if state["closes"]:
        closes = dict(zip(("Daily", "Weekly", "Monthly"), state["closes"], strict=False))
        content["ClosingPrices"] = json.dumps(closes)
    message = {"topic": topic, "content": json.dumps(content), "id": "0", "type": kind}
    return json.dumps({"messages": [message]}, separators=(",", ":"))
