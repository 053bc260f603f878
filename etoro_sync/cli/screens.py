"""Where a stream is shown: as lines that can be piped, or as a table on a terminal."""

import math
import sys
from collections.abc import Callable
from typing import Any, Protocol

from rich.console import Console, RenderableType
from rich.live import Live

from ..clocks import uptime
from ..ws import ClientState, WsStats
from .lines import event_line, json_line
from .table import dashboard
from .table_contents import TableContents

__all__ = ["LineScreen", "Screen", "Shown", "TableScreen"]

_FRAMES_PER_SECOND = 8


class Shown(Protocol):
    """What a screen asks a stream for."""

    @property
    def state(self) -> ClientState:
        """Its state."""

    @property
    def generation(self) -> int:
        """The number of its connection."""

    def stats(self) -> WsStats:
        """Return its counters."""


class Screen(Protocol):
    """Shows a stream. All methods are called by the main thread."""

    def start(self) -> None:
        """Called before the client connects."""

    def show(self, event: str, item: Any) -> None:
        """Add an event, which the next :meth:`refresh` shows."""

    def note(self, line: str) -> None:
        """Add a line of the log."""

    def refresh(self, client: Shown) -> None:
        """Show what was added."""

    def stop(self) -> None:
        """Called at the end, also after an error."""


class LineScreen:
    """Writes one line per event to stdout; connection events go to stderr.

    :param as_json: write one JSON object per line, all of them to stdout.
    :param name_of: returns the name of an instrument, or ``""``.
    """

    def __init__(self, as_json: bool, name_of: Callable[[int | None], str] = lambda _: "") -> None:
        self._json = as_json
        self._name_of = name_of
        self._out: list[str] = []
        self._err: list[str] = []

    def start(self) -> None:
        """Nothing to do."""

    def show(self, event: str, item: Any) -> None:
        """Add a line, which the next :meth:`refresh` writes."""
        if self._json:
            self._out.append(json_line(event, item))
        elif event in ("instrument:rate", "private:event"):
            self._out.append(event_line(event, item, self._name_of))
        # The log already has lines for a lost connection and the attempts, with the reason.
        elif event not in ("close", "reconnecting"):
            self._err.append(event_line(event, item))

    def note(self, line: str) -> None:
        """Add a line for stderr, which the next :meth:`refresh` writes."""
        self._err.append(line)

    def refresh(self, client: Shown | None = None) -> None:
        """Write all lines at once, since one system call per line is slow for a fast feed."""
        for stream, lines in ((sys.stderr, self._err), (sys.stdout, self._out)):
            if lines:
                text = "\n".join(lines) + "\n"
                lines.clear()
                stream.write(text)
                stream.flush()

    def stop(self) -> None:
        """Write the lines that are left after an error."""
        self.refresh()


class TableScreen:
    """Shows a table that is redrawn several times a second.

    It uses the terminal's alternate screen, so that resizing leaves no traces. The last table stays
    on the normal screen.

    :param contents: what to show.
    :param verbose: show the log below it.
    :param console: the terminal.
    """

    def __init__(
        self, contents: TableContents, verbose: bool, console: Console | None = None
    ) -> None:
        self.contents = contents
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
        """Switch to the alternate screen and draw the table."""
        self._live.start()
        self._draw(uptime())

    def show(self, event: str, item: Any) -> None:
        """Add an event to the table's contents."""
        self.contents.add(event, item, uptime())

    def note(self, line: str) -> None:
        """Show a line of the log below the table if verbose, and on stderr if it is redirected."""
        if self._verbose:
            self.contents.notes.append(line)
        if not sys.stderr.isatty():
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def refresh(self, client: Shown) -> None:
        """Redraw the table, if it is time for the next frame."""
        now = uptime()
        if now - self._drawn_at >= 1 / _FRAMES_PER_SECOND:
            self._drawn_at = now
            stats = client.stats()
            self.contents.measure(client.state.value, client.generation, stats.messages, now)
            self._draw(now)

    def _draw(self, now: float) -> None:
        self._live.update(self._table(now, "Ctrl-C ends."), refresh=True)

    def _table(self, now: float, hint: str) -> RenderableType:
        width, height = self._console.size
        return dashboard(self.contents, now, height, hint, width)

    def stop(self) -> None:
        """Return to the normal screen and print the last table there."""
        self._live.stop()
        if self.contents.messages:
            self._console.print(self._table(uptime(), ""))
