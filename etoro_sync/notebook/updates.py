"""One thread that updates all live tables of the process, four times a second."""

import threading
from typing import Protocol

from ..synchronization import ProcessGuard
from .cells import Cell

__all__ = ["PERIOD", "Updater", "updater"]

#: Seconds between two updates.
PERIOD = 0.25


class View(Protocol):
    """What is updated: a :class:`~etoro_sync.notebook.LiveTable`."""

    def update(self) -> bool:
        """Send what has changed; False when nothing will change any more."""

    def close(self) -> None:
        """Stop."""


class Updater:
    """The thread, which runs while there is something to update.

    The lock guards what is updated, what each cell shows, and whether the thread runs.
    """

    def __init__(self) -> None:
        self.guard = ProcessGuard()
        # Re-entrant, because the garbage collector may run a finalizer that takes it, too.
        self._lock = threading.RLock()
        self._views: tuple[View, ...] = ()
        # Id of a cell -> what it shows, with the run that began to.
        self._cells: dict[str, list[tuple[Cell, View]]] = {}
        self._running = False
        self._wake = threading.Event()

    def add(self, view: View) -> None:
        """Update *view* from now on. Any thread."""
        with self._lock:
            if view not in self._views:
                self._views = (*self._views, view)
            if not self._running:
                # A daemon: a table that is left open does not keep a program from ending.
                thread = threading.Thread(target=self._run, name="etoro-sync-live", daemon=True)
                thread.start()
                self._running = True

    def remove(self, view: View) -> None:
        """Do not update *view* any more. Any thread; the thread ends soon after the last one."""
        with self._lock:
            self._views = tuple(each for each in self._views if each is not view)
            if not self._views:
                self._wake.set()

    def shown(self, view: View, cell: Cell) -> list[View]:
        """Note that *cell* shows *view*; return what earlier runs of it have shown. Any thread."""
        with self._lock:
            others = [(run, one) for run, one in self._cells.get(cell.id, []) if one is not view]
            now = [(run, one) for run, one in others if run == cell]
            self._cells[cell.id] = [*now, (cell, view)]
            return [one for run, one in others if run != cell]

    def _run(self) -> None:
        """Update, and wait, until nothing is left. Runs on the thread of its own."""
        while True:
            with self._lock:
                if not self._views:
                    self._running = False
                    return
                views = self._views
                self._wake.clear()
            for view in views:
                if not view.update():
                    self.remove(view)
            del views, view
            self._wake.wait(PERIOD)


_updater = Updater()


def updater() -> Updater:
    """Return the one of this process."""
    global _updater
    if _updater.guard.foreign:
        # Of the parent, before a fork: its thread is not here, and its lock may be held for ever.
        _updater = Updater()
    return _updater
