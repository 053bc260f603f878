"""The library's log records, kept until the main thread shows them."""

import logging
from collections import deque

__all__ = ["Notes"]


class Notes(logging.Handler):
    """Collects records of the logger ``etoro_sync``, each as one line.

    Writing them at once, in the thread that logs, would let a full pipe hold up the reading of the
    stream, and would write across the table.

    :param verbose: records of every level, not only warnings and errors.
    """

    def __init__(self, verbose: bool) -> None:
        super().__init__(logging.DEBUG if verbose else logging.WARNING)
        self._lines: deque[str] = deque(maxlen=1000)
        self._logger = logging.getLogger("etoro_sync")
        self._before = (self._logger.level, self._logger.propagate)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        self._lines.append(f"{record.levelname.lower()}: {' '.join(text.split())}")

    def take(self, without: str | None = None) -> list[str]:
        """Take out what has been collected.

        :param without: leave out the lines that contain this.
        """
        lines = []
        while self._lines:
            line = self._lines.popleft()
            if without is None or without not in line:
                lines.append(line)
        return lines

    def __enter__(self) -> "Notes":
        self._logger.addHandler(self)
        self._logger.setLevel(self.level)
        # The root logger's handlers, if any, would write across the table.
        self._logger.propagate = False
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._before[0])
        self._logger.propagate = self._before[1]
