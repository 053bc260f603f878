"""Where a stream is shown: as lines that can be piped, or as a table on a terminal."""

import math
import sys
from typing import Any, Protocol

from rich.console import Console, RenderableType
from rich.live import Live

from ..clocks import uptime
from ..ws import WsClient
from .board import Board
from .lines import event_line, json_line
from .table import dashboard

__all__ = ["LineScreen", "Screen", "TableScreen"]

_FRAMES_PER_SECOND = 8


class Screen(Protocol):
    """What a stream is shown on. All methods are called by the main thread."""

    def start(self) -> None:
        """Begin, before the client connects."""

    def show(self, event: str, item: Any) -> None:
        """Take in an event."""

    def note(self, line: str) -> None:
        """Take in a line of the log."""

    def refresh(self, client: WsClient) -> None:
        """Bring what was taken in before the user's eyes."""

    def stop(self) -> None:
        """End, whatever has happened."""


class LineScreen:
    """One line per event on stdout; what happens to the connection goes to stderr.

    :param as_json: one JSON object per line, and all of it on stdout.
    """

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._out: list[str] = []
        self._err: list[str] = []

    def start(self) -> None:
        """Nothing to do."""

    def show(self, event: str, item: Any) -> None:
        """Write a line, at the next :meth:`refresh`."""
        if self._json:
            self._out.append(json_line(event, item))
        elif event in ("instrument:rate", "private:event"):
            self._out.append(event_line(event, item))
        # The log already tells of a lost connection and of the attempts, in a line with the reason.
        elif event not in ("close", "reconnecting"):
            self._err.append(event_line(event, item))

    def note(self, line: str) -> None:
        """Write a line to stderr, at the next :meth:`refresh`."""
        self._err.append(line)

    def refresh(self, client: WsClient | None = None) -> None:
        """Write all of it at once: a system call for each line would cost a fast feed dearly."""
        for stream, lines in ((sys.stderr, self._err), (sys.stdout, self._out)):
            if lines:
                text = "\n".join(lines) + "\n"
                lines.clear()
                stream.write(text)
                stream.flush()

    def stop(self) -> None:
        """Write what a failure has left over."""
        self.refresh()


class TableScreen:
    """A table that is drawn anew several times a second.

    It has the terminal for itself, so that resizing leaves nothing behind; the last table stays.

    :param board: what to show.
    :param verbose: show the log below it.
    :param console: the terminal.
    """

    def __init__(self, board: Board, verbose: bool, console: Console | None = None) -> None:
        self.board = board
        self._verbose = verbose
        self._console = console if console is not None else Console()
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._drawn_at = -math.inf

    def start(self) -> None:
        """Take the terminal."""
        self._live.start()
        self._draw(uptime())

    def show(self, event: str, item: Any) -> None:
        """Take it over into the board."""
        self.board.take(event, item, uptime())

    def note(self, line: str) -> None:
        """Show it below the table if that was asked for, and write it to stderr if that is free."""
        if self._verbose:
            self.board.notes.append(line)
        if not sys.stderr.isatty():
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def refresh(self, client: WsClient) -> None:
        """Draw, if it is time for the next frame."""
        now = uptime()
        if now - self._drawn_at >= 1 / _FRAMES_PER_SECOND:
            self._drawn_at = now
            stats = client.stats()
            self.board.measure(client.state.value, client.generation, stats.messages, now)
            self._draw(now)

    def _draw(self, now: float) -> None:
        self._live.update(self._table(now, "Ctrl-C ends."), refresh=True)

    def _table(self, now: float, hint: str) -> RenderableType:
        width, height = self._console.size
        return dashboard(self.board, now, height, hint, width)

    def stop(self) -> None:
        """Give the terminal back, and leave the last table on it."""
        self._live.stop()
        if self.board.messages:
            self._console.print(self._table(uptime(), ""))
