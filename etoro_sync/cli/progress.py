"""How far a command is: one line that is redrawn on a terminal, a line now and then in a pipe."""

import os
import shutil
import sys
import time

from .ending import abandon_stdout

__all__ = ["Progress", "size"]

#: Seconds between two redrawings of a line.
_REDRAW = 0.2
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Progress:
    """Writes to stdout; used by the main thread.

    A reader of the pipe that goes away, such as head, ends no recording: what would be written is
    discarded from then on.

    :param seconds: between two lines in a pipe.
    """

    def __init__(self, seconds: float = 5.0) -> None:
        self._live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._interval = _REDRAW if self._live else seconds
        self._shown_at = time.monotonic() - (self._interval if self._live else 0.0)
        self._drawn = False

    def show(self, text: str) -> None:
        """Show how far it is, if the last time is long enough ago."""
        now = time.monotonic()
        if now - self._shown_at < self._interval:
            return
        self._shown_at = now
        if not self._live:
            self._write(f"{text}\n")
            return
        self._drawn = True
        width = shutil.get_terminal_size().columns
        self._write(f"\r{text[: width - 1]}\x1b[K")

    def note(self, line: str) -> None:
        """Write a line of the log to stderr."""
        self._clear()
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def end(self, text: str = "") -> None:
        """Remove the line, and write a last one."""
        self._clear()
        if text:
            self._write(f"{text}\n")

    def _clear(self) -> None:
        if self._drawn:
            self._drawn = False
            self._write("\r\x1b[K")

    @staticmethod
    def _write(text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            abandon_stdout()


def size(number: int) -> str:
    """Write a number of bytes for people, in units of a thousand."""
    if number < 1000:
        return f"{number} bytes"
    power = min((len(str(number)) - 1) // 3, 4)
    return f"{number / 1000**power:.4g} {_UNITS[power]}"
