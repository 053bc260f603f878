"""A recording as a table."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, overload

from ..columns import Text, check_table
from ..data_frames import to_pandas, to_polars
from ..models import WsGap, WsInstrumentRate, WsPrivateEvent
from ..recording.segments import entries_of, find_segments
from ..replay import Replay, moment
from .files import write_table

__all__ = ["Recording"]

#: Table -> the event whose last argument is a row.
_EVENTS = {"rates": "instrument:rate", "orders": "private:event", "gaps": "reconnected"}


class Recording:
    """A recording as tables: for pandas and polars, and as files that other programs read.

    There are four tables, and each method takes the name of one as *what*. ``"rates"`` has a row
    for each rate that a replay emits, with the fields of
    :class:`~etoro_sync.WsInstrumentRate`; ``"orders"`` one for each order event, with those of
    :class:`~etoro_sync.WsPrivateEvent`; ``"gaps"`` the times of which the recording has nothing,
    because the connection was lost or the disk was full; ``"texts"`` the frames as eToro sent them.
    Times are in UTC, with nanoseconds. Lists and dictionaries are JSON texts; ``changed`` and
    ``topics`` are names with spaces between them.

    ::

        prices = Recording("recordings").to_frame()
        Recording("recordings").convert("prices.parquet")

    :param path: a segment, or a folder of them.
    :param start: leave out what was received before this time, in seconds since the epoch or an
        aware datetime. None: from the beginning.
    :param until: leave out what was received then or later; likewise. None: to the end.
    :raises EToroValidationError: naming the argument.
    :raises EToroError: when there is no recording, or it is of an unknown version.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start: datetime | float | None = None,
        until: datetime | float | None = None,
    ) -> None:
        Replay(path, start=start, until=until)  # checks all arguments
        self._path = Path(path)
        self._start, self._until = start, until

    @overload
    def items(self, what: Literal["rates"] = "rates") -> Iterator[WsInstrumentRate]: ...

    @overload
    def items(self, what: Literal["orders"]) -> Iterator[WsPrivateEvent]: ...

    @overload
    def items(self, what: Literal["gaps"]) -> Iterator[WsGap]: ...

    @overload
    def items(self, what: Literal["texts"]) -> Iterator[Text]: ...

    @overload
    def items(self, what: str) -> Iterator[Any]: ...

    def items(self, what: str = "rates") -> Iterator[Any]:
        """Iterate over the objects of a table, of which few are in memory at a time.

        :param what: ``"rates"`` yields WsInstrumentRate, ``"orders"`` WsPrivateEvent, ``"gaps"``
            WsGap, and ``"texts"`` tuples of seconds since the epoch, generation and text.
        :raises EToroValidationError: for another *what*.
        :raises EToroError: from the loop, when a segment is damaged.
        """
        name = check_table(what).name
        return self._texts() if name == "texts" else self._events(_EVENTS[name])

    def _events(self, event: str) -> Iterator[Any]:
        replay = Replay(self._path, start=self._start, until=self._until)
        with replay.queue(event) as waiting, replay:
            for item in waiting:
                yield item[1] if event == "instrument:rate" else item

    def _texts(self) -> Iterator[Text]:
        start, until = moment(self._start, "start"), moment(self._until, "until")
        for entry in entries_of(find_segments(self._path, start)):
            if until is not None and entry.at >= until:
                return
            if entry.kind == "texts" and (start is None or entry.at >= start):
                for text in entry.details[1]:
                    yield Text(entry.at, entry.generation, text)

    def to_frame(self, what: str = "rates") -> Any:
        """Return a data frame of pandas (extra ``pandas``).

        Times are in UTC, prices are floats, and the instrument is a category. All of the table is
        in memory: for a long recording choose *start* and *until*, or convert it to Parquet.

        :param what: the table.
        :raises EToroValidationError: for another *what*.
        :raises EToroError: when pandas is not installed, or a segment is damaged.
        """
        return to_pandas(check_table(what), self.items(what))

    def to_polars(self, what: str = "rates") -> Any:
        """Return a data frame of polars (extra ``polars``); see :meth:`to_frame`.

        Polars has categories of text only, so the instrument is its id as text.

        :param what: the table.
        :raises EToroValidationError: for another *what*.
        :raises EToroError: when polars is not installed, or a segment is damaged.
        """
        return to_polars(check_table(what), self.items(what))

    def convert(
        self,
        to: str | os.PathLike[str],
        *,
        what: str = "rates",
        progress: Callable[[int, Any], object] = lambda rows, last: None,
    ) -> int:
        """Write a table to a file, with little memory.

        The file is written under another name in the same folder, and renamed when it is complete;
        one that is there is replaced. Only the user may read it, as the segments.

        :param to: ``*.parquet`` (extra ``parquet``), ``*.csv`` or ``*.jsonl``, which is JSON lines.
        :param what: the table.
        :param progress: called now and then, with the number of rows and the last item.
        :returns: the number of rows.
        :raises EToroValidationError: naming the argument.
        :raises EToroError: when there is no row, when the file cannot be written, when pyarrow is
            not installed, or a segment is damaged. There is no file then, or the old one.
        """
        whole = self._start is None and self._until is None
        source = str(self._path) if whole else f"The chosen time of {self._path}"
        return write_table(source, to, check_table(what), self.items(what), progress)

    def __repr__(self) -> str:
        return f"<Recording {str(self._path)!r}>"
