"""The function that makes a picture of a recording."""

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import EToroError
from ..events import check_instrument_ids
from ..replay import Replay
from .drawing import draw, load_matplotlib
from .files import check_format, save
from .history import Collector, History

__all__ = ["plot"]

#: More rows than a reader can compare.
_MOST_ROWS = 12


def plot(
    path: str | os.PathLike[str],
    instrument_ids: Iterable[int] | int | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    start: datetime | float | None = None,
    until: datetime | float | None = None,
    names: Mapping[int, str] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Any:
    """Draw the prices of a recording: bid and ask as steps, one row for each instrument.

    A line breaks where the recording or the connection has a gap, and the background is grey while
    a market was closed. Needs the extra ``plot``.

    :param path: a segment, or a folder of them.
    :param instrument_ids: one id or several; None: the twelve with the most prices.
    :param out: a file to write, whose ending decides the format, such as ``.png``, ``.svg`` or
        ``.pdf``; None writes none.
    :param start: from when on, as for :class:`~etoro_sync.Replay`.
    :param until: up to when, likewise.
    :param names: instrument id -> the title of its row.
    :param on_progress: called with the recorded time that was reached, in seconds since the epoch.
    :returns: a ``matplotlib.figure.Figure``.
    :raises EToroValidationError: naming the argument.
    :raises EToroError: when there is nothing to draw, the file cannot be written, the recording
        cannot be read, or matplotlib is not installed.
    """
    matplotlib = load_matplotlib()
    wanted = None if instrument_ids is None else check_instrument_ids(instrument_ids)
    if out is not None:
        check_format(Path(out), matplotlib)
    replay = Replay(path, start=start, until=until)
    collector = Collector(replay, wanted, on_progress)
    with replay:
        replay.run_forever()
    histories = _chosen(collector.histories, wanted)
    if not histories:
        raise EToroError(
            f"There is no price to draw in {os.fspath(path)}"
            + ("." if wanted is None else " of " + ", ".join(map(str, wanted)) + ".")
        )
    figure = draw(histories, names or {}, collector.end)
    if out is not None:
        save(figure, Path(out))
    return figure


def _chosen(histories: dict[int, History], wanted: Iterable[int] | None) -> dict[int, History]:
    drawn = {key: one for key, one in histories.items() if one.points}
    if wanted is not None:
        return {key: drawn[key] for key in wanted if key in drawn}
    most = sorted(drawn, key=lambda key: -len(drawn[key].points))[:_MOST_ROWS]
    return {key: drawn[key] for key in sorted(most)}
