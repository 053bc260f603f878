"""What a with block closes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from etoro_sync import Candles, EToroTypeError, Instruments, MarketStream, Recorder
from etoro_sync.closeable import Closeable
from etoro_sync.operations.notifier import Notifier
from etoro_sync.store import OrderStore


class Door(Closeable):
    """Counts how often it is closed."""

    _no_copies = "A Door cannot be copied: there is one."

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_a_with_block_closes_what_it_begins_with() -> None:
    """Also when it raises, and the exception goes on."""
    with Door() as door:
        assert isinstance(door, Door)
        assert not door.closed
    assert door.closed == 1
    with pytest.raises(ZeroDivisionError), door:
        raise ZeroDivisionError
    assert door.closed == 2


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_stays_in_its_process(take: Any) -> None:
    """A copy would have no thread; the error says so."""
    with pytest.raises(EToroTypeError, match="there is one"):
        take(Door())


@pytest.mark.parametrize("kind", [Candles, Instruments, Notifier, OrderStore, Recorder])
def test_each_says_why_it_is_not_copied(kind: type[Closeable]) -> None:
    """And names itself."""
    assert kind.__name__ in kind._no_copies
    assert "cannot be copied or pickled" in kind._no_copies


def test_recordings_are_not_copied(tmp_path: Any) -> None:
    """The writer of a file is one."""
    stream = MarketStream(lambda feed: None)
    with stream.record(tmp_path) as recorder, pytest.raises(EToroTypeError, match="its files"):
        pickle.dumps(recorder)
