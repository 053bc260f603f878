"""Keeps the library's log records until the main thread shows them."""

import logging
from collections import deque

__all__ = ["LogCollector"]


class LogCollector(logging.Handler):
    """Collects the records of the logger ``etoro_sync``, each as one line.

    If the thread that logs wrote them itself, a full pipe would block the reader thread, and lines
    would appear in the middle of the table.

    :param verbose: collect records of every level, not only warnings and errors.
    """

    def __init__(self, verbose: bool) -> None:
        super().__init__(logging.DEBUG if verbose else logging.WARNING)
        self._lines: deque[str] = deque(maxlen=1000)
        self._logger = logging.getLogger("etoro_sync")
        self._before = (self._logger.level, self._logger.propagate)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record as a line."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        self._lines.append(f"{record.levelname.lower()}: {' '.join(text.split())}")

    def take(self, without: str | None = None) -> list[str]:
        """Remove and return the collected lines.

        :param without: leave out lines that contain this text.
        """
        lines = []
        while self._lines:
            line = self._lines.popleft()
            if without is None or without not in line:
                lines.append(line)
        return lines

    def __enter__(self) -> "LogCollector":
        self._logger.addHandler(self)
        self._logger.setLevel(self.level)
        # The root logger's handlers, if any, would write into the table.
        self._logger.propagate = False
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._before[0])
        self._logger.propagate = self._before[1]
