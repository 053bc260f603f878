"""Names in the tables of commands, which otherwise may come after the last table was drawn."""

from __future__ import annotations

import threading

import pytest

from etoro_sync.cli.names import Names
from etoro_sync.clocks import monotonic
from tests.support.timing import MS

__all__ = ["wait_for_names"]


def wait_for_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables wait for each name, up to ten seconds."""
    real = Names.get

    def get(self: Names, instrument_id: int | None) -> str:
        name, deadline = real(self, instrument_id), monotonic() + 10
        while instrument_id in self._asked and not name and monotonic() < deadline:
            threading.Event().wait(1 * MS)
            name = real(self, instrument_id)
        return name

    monkeypatch.setattr(Names, "get", get)
