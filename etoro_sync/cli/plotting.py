"""The command ``plot``: a picture of a recording."""

import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from .ending import CommandError

__all__ = ["draw"]

#: Seconds between two lines of progress.
_PERIOD = 1.0


def draw(path: Path, words: list[str], out: Path) -> None:
    """Write the picture, and say where it is.

    :param path: a segment, or a folder of them.
    :param words: ids of instruments; none: those with the most prices.
    :param out: the file.
    :raises CommandError: for a word that is no id: a recording knows no symbols.
    """
    from ..plotting import plot  # late: it needs an extra of its own

    for word in words:
        if not (word.isascii() and word.isdigit()):
            raise CommandError(
                f"A recording knows instruments by id, not {word!r}: etoro-sync find {word}"
            )
    ids = [int(word) for word in words] or None
    figure = plot(path, ids, out=out, on_progress=_Progress() if sys.stderr.isatty() else None)
    sys.stdout.write(f"{out}: {len(figure.axes)} instrument{'s' * (len(figure.axes) != 1)}\n")


class _Progress:
    """Writes to the terminal which time of the recording was reached."""

    def __init__(self) -> None:
        self._written_at = time.monotonic()

    def __call__(self, at: float) -> None:
        now = time.monotonic()
        if now - self._written_at >= _PERIOD:
            self._written_at = now
            when = datetime.fromtimestamp(at, timezone.utc)
            sys.stderr.write(f"\rread up to {when:%Y-%m-%d %H:%M:%S} UTC ")
            sys.stderr.flush()
