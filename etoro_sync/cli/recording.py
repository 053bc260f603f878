"""The command ``record``: a client whose stream goes to files, and how far it is."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

from .. import Recorder, RecorderStats
from ..errors import EToroError
from ..instruments import Instruments
from ..ws import WsClient, WsClientOptions
from .lines import count
from .log_collector import LogCollector
from .names import resolve
from .progress import Progress, size

__all__ = ["Limits", "describe", "record"]

#: Seconds between two looks at the counters.
_PERIOD = 0.2


@dataclass(frozen=True)
class Limits:
    """Where and how much to record.

    :param folder: for the segments.
    :param keep: how many closed segments may stay; None: all.
    :param disk_budget: bytes of all segments; None: any number.
    :param seconds: for how long; None is until Ctrl-C.
    :param parquet: whether closed segments become Parquet files, too.
    """

    folder: Path
    keep: int | None
    disk_budget: int | None
    seconds: float | None
    parquet: bool = False


def record(
    words: list[str],
    private: bool,
    limits: Limits,
    options: WsClientOptions,
    instruments: Instruments | None,
    verbose: bool = False,
) -> None:
    """Record until the time is over, the client fails, or a signal ends it.

    :param words: instruments, by symbol or id.
    :param private: order events, too.
    :raises EToroError: the error that ended the client, or when messages are missing in the files.
    """
    ids = dict.fromkeys(each.id for each in resolve(words, instruments))
    topics: list[int | str] = [*ids, *["private"] * private]
    recorder, progress = None, Progress()
    with LogCollector(verbose) as log:
        try:
            with (
                WsClient(options) as client,
                client.record(
                    limits.folder,
                    keep=limits.keep,
                    disk_budget=limits.disk_budget,
                    parquet=limits.parquet,
                ) as recorder,
            ):
                client.subscribe(topics, snapshot=True)
                _watch(client, recorder, limits, progress, log)
        except EToroError as exc:
            for line in log.take(without=str(exc)):
                progress.note(line)
            raise
        finally:
            for line in log.take():
                progress.note(line)
            if recorder is not None:
                progress.end(f"recorded {describe(recorder.stats())} into {limits.folder}")
                _await_parquet(recorder, progress)
                for line in log.take():
                    progress.note(line)
    if recorder.stats().refused:
        raise EToroError(
            f"{count(recorder.stats().refused, 'message')} are missing in the recording, because "
            f"the disk took too little. The files say where."
        )


def _watch(
    client: WsClient,
    recorder: Recorder,
    limits: Limits,
    progress: Progress,
    log: LogCollector,
) -> None:
    """Show how far the recording is, until its time is over or the client ends."""
    deadline = time.monotonic() + (math.inf if limits.seconds is None else limits.seconds)
    while (left := deadline - time.monotonic()) > 0:
        if client.run_forever(min(left, _PERIOD)):
            break
        for line in log.take():
            progress.note(line)
        progress.show(f"{client.state.value}: {describe(recorder.stats())}")


def _await_parquet(recorder: Recorder, progress: Progress) -> None:
    while left := recorder.stats().parquet_waiting:
        progress.show(f"Parquet: {count(left, 'file')} to go")
        time.sleep(_PERIOD)
    progress.end()


def describe(stats: RecorderStats) -> str:
    """Return the counters of a recording in one line."""
    words = [
        f"{stats.written:,} messages, {size(stats.bytes_written)} in "
        f"{count(stats.segments, 'segment')}"
    ]
    if stats.waiting:
        words.append(f"{stats.waiting:,} waiting")
    if stats.refused:
        words.append(f"{stats.refused:,} missing")
    if stats.failure is not None:
        words.append(f"paused: {stats.failure}")
    return ", ".join(words)
