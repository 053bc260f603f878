"""The live table: its widget, its thread's part, and what a saved notebook shows of it."""

import logging
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from .. import clocks
from ..logs import log
from .cells import Cell, has_front_end, publish
from .contents import ENDED, Contents, Glance
from .updates import updater

__all__ = ["LiveTable"]

_FOLDER = Path(__file__).parent
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
#: Updates until the static table is replaced by one that has prices, if these come late.
_LATE = 20


class _Widget(anywidget.AnyWidget):
    """What a front end knows of a table.

    Changes are sent as messages, from a thread, and not as traits, whose bookkeeping is for one
    thread. A page that is loaded again asks for the state: then :attr:`snapshot` is made anew.
    """

    _esm = _FOLDER / "live.js"
    _css = _FOLDER / "live.css"
    snapshot = traitlets.Any().tag(sync=True, to_json=lambda make, widget: make())
    static = traitlets.Unicode().tag(sync=True)


class LiveTable:
    """A table of prices that updates in place, made by :meth:`~etoro_sync.MarketStream.live`.

    It begins when it is displayed: as the last expression of a cell, or by ``display(table)``. All
    tables of a process are updated by one thread, which ends with the last of them; a table ends
    when its stream has ended, when its cell runs again, or by :meth:`close`. It does not keep its
    stream alive.

    The lock guards its cell, whether it has begun, and whether it was closed.

    :param contents: what it shows.
    :param look: returns what is to be seen of the stream now.
    :param release: ends the table's subscriptions; may be called more than once.
    :param ask: looks up names that are missing, without waiting for them.
    :param purpose: the same for tables of the same stream and instruments.
    """

    def __init__(
        self,
        contents: Contents,
        look: Callable[[], Glance],
        release: Callable[[], None],
        ask: Callable[[], None] = lambda: None,
        purpose: str = "",
    ) -> None:
        self._contents = contents
        self._look = look
        self._release = release
        self._ask = ask
        # Where the front end does not tell which cell runs, a table takes the place of another one
        # of the same purpose.
        self._unknown_cell = Cell(purpose, uuid.uuid4().hex)
        self._lock = threading.RLock()
        self._widget: _Widget | None = None
        self._closed = False
        self._displayed = False
        self._display_id = uuid.uuid4().hex
        self._ticks = 0
        self._cell: Cell | None = None

    @property
    def widget(self) -> Any:
        """The widget alone, for a layout of ipywidgets, such as ``HBox([table.widget])``."""
        self._leave_earlier_run(Cell.current())
        with self._lock:
            if self._widget is None:
                self._begin()
            return self._widget

    def close(self) -> None:
        """Stop updating. The cell keeps a static table. Any thread; idempotent."""
        with self._lock:
            closed, self._closed = self._closed, True
        if closed:
            return
        updater().remove(self)
        self._release()
        if self._widget is not None:
            self._publish_static(update=True)
            # Each widget has another one, for its layout.
            self._widget.layout.close()
            self._widget.close()

    def update(self) -> bool:
        """Send what has changed; False when the stream has ended. The updater's thread."""
        try:
            return self._update()
        except Exception as exc:
            # The page says by itself that nothing comes any more.
            if not self._closed:  # by another thread, meanwhile
                log(logging.WARNING, "A live table is not updated any more: %s", exc)
            return False

    def _begin(self) -> None:
        self._contents.update(*self._now())
        self._widget = _Widget(snapshot=self._contents.snapshot, static=self._display_id)
        self._widget.on_msg(lambda widget, content, buffers: self._contents.refresh())
        if not self._closed:
            updater().add(self)

    def _now(self) -> tuple[Glance, float, float]:
        return self._look(), clocks.monotonic(), clocks.wall_clock()

    def _update(self) -> bool:
        glance, now, wall = self._now()
        message = self._contents.update(glance, now, wall)
        self._ask()
        widget = self._widget
        if self._closed or widget is None:
            return False
        if message is not None:
            widget.send(message)
        self._ticks += 1
        ended = glance.state in ENDED
        late = 0 < self._ticks <= _LATE and self._contents.complete
        if ended or late or self._ticks == _LATE:
            self._ticks = _LATE + 1
            self._publish_static(update=True)
        if ended:
            self._release()
        return not ended

    # -- what notebooks show -------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        if self._closed or not has_front_end():
            if self._widget is None:
                self._contents.update(*self._now())
            publish(self._static())
            return
        self._leave_earlier_run(Cell.current() or self._unknown_cell)
        widget = self.widget
        self._displayed = True
        self._publish_static()
        # Apart from the static table: a front end that has no widget (a saved notebook that is
        # opened without its kernel) shows an error in its place, and not another format.
        view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
        publish({_WIDGET_VIEW: view, "text/html": "", "text/plain": ""})

    def _static(self, before: str = "", css_class: str = "") -> dict[str, str]:
        html = f'{before}<div class="{css_class}">{self._contents.html()}</div>'
        return {"text/html": html, "text/plain": self._contents.text()}

    def _publish_static(self, update: bool = False) -> None:
        """Show, or replace, what stays in a saved notebook; ``live.js`` hides it while it works."""
        mark = f"etoro-static-{self._display_id}"
        if not self._displayed:
            return
        # Hides the text that JupyterLab puts in the place of a widget that it does not find.
        beside = f".jp-OutputArea-child:has(.{mark}) + .jp-OutputArea-child"
        rule = f"{beside} > .jp-OutputArea-output:not(:has(*)) {{ display: none }}"
        data = self._static(f"<style>{rule}</style>", mark)
        publish(data, display_id=self._display_id, update=update)

    def _leave_earlier_run(self, cell: Cell | None) -> None:
        """Close what earlier runs have shown of the cell that is the first to show this table."""
        with self._lock:
            if cell is None or self._cell is not None:
                return
            self._cell = cell
        for table in updater().shown(self, cell):
            table.close()

    def __repr__(self) -> str:
        return f"<LiveTable {self._look().state.value}{', closed' if self._closed else ''}>"
