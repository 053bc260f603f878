"""What waits for the disk: bounded, in order, and never with a state from the middle of a read."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

from etoro_sync import clocks
from etoro_sync.market.book_state import EMPTY
from etoro_sync.market.rate_book import RateBook
from etoro_sync.recording.intake import Intake
from etoro_sync.recording.lines import LONGEST_TEXT, Entry

MOST = 1000


@pytest.fixture
def intake() -> Intake:
    return Intake(RateBook(), MOST)


def read(intake: Intake, *texts: str) -> None:
    intake.note("texts", (5.0, list(texts)))
    intake.end_read()


def kinds(entries: list[Entry]) -> list[str]:
    return [entry.kind for entry in entries]


def taken(intake: Intake, cut: bool = False) -> list[Entry]:
    """Take what waits, and write it at once."""
    entries, size = intake.take(cut)
    intake.written(size)
    return entries


def test_the_first_entry_is_the_state_of_the_book(intake: Intake) -> None:
    """As it was before what follows."""
    intake._book.begin_generation(())
    read(intake, "a")
    entries = taken(intake)
    assert kinds(entries) == ["state", "texts"]
    assert entries[0].details.generation == entries[1].generation == 1
    assert entries[1].details == (5.0, ["a"])


def test_promise_10_what_does_not_fit_is_a_hole_that_is_counted(intake: Intake) -> None:
    """It ends when half of the room is free; behind it stands the state."""
    read(intake, "a" * 600)
    read(intake, "b" * 600, "c")
    entries, size = intake.take()
    read(intake, "d")
    assert (intake.received, intake.refused) == (4, 3)
    intake.written(size)
    assert intake.has_room
    read(intake, "e")
    assert kinds(entries) == ["state", "texts"]
    hole, state, texts = taken(intake)
    assert (hole.kind, state.kind, texts.details[1]) == ("hole", "state", ["e"])
    assert hole.details == {"from": 5.0, "until": 5.0, "texts": 3}
    assert (intake.received, intake.refused) == (5, 3)


def test_one_text_may_be_longer_than_the_room(intake: Intake) -> None:
    """Else it could never be recorded; but one that no reader would read is refused."""
    read(intake, "a" * 5000)
    assert not intake.has_room
    assert kinds(taken(intake)) == ["state", "texts"]
    read(intake, "a" * (LONGEST_TEXT + 1))
    assert intake.refused == 1
    read(intake, "a")
    assert kinds(taken(intake)) == ["hole", "state", "texts"]


def test_many_long_texts_in_one_read_are_no_text_that_is_too_long() -> None:
    """Only the longest one of a read counts against the limit of a text."""
    intake = Intake(RateBook(), LONGEST_TEXT * 3)
    read(intake, *["a" * (LONGEST_TEXT // 2 + 1)] * 2)
    assert intake.refused == 0


def test_the_state_is_not_saved_while_a_read_takes_effect(intake: Intake) -> None:
    """An order event of a read that was refused comes without it; the next read has it."""
    read(intake, "a" * 990)
    intake.note("texts", (6.0, ["b" * 500]))
    entries, size = intake.take()
    intake.written(size)
    intake.note("event", ("private:event", ("order",)))
    intake.end_read()
    intake.note("event", ("close", ()))
    assert kinds(entries) == ["state", "texts"]
    assert kinds(taken(intake)) == ["hole", "event", "state", "event"]


def test_a_segment_is_not_cut_in_a_read(intake: Intake) -> None:
    """Its first state would lack the rest of the read, which stands in the segment before."""
    intake.note("texts", (5.0, ["a"]))
    taken(intake, cut=True)
    assert not intake.state_due
    intake.note("event", ("private:event", ("order",)))
    intake.end_read()
    assert kinds(taken(intake, cut=True)) == ["event"]
    assert intake.state_due
    read(intake, "b")
    assert kinds(taken(intake)) == ["state", "texts"]


def test_what_a_read_brings_has_its_time(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a time at which a replay begins is between reads; else it is the clock's."""
    monkeypatch.setattr(clocks, "wall_clock", lambda: 7.0)
    intake.note("texts", (5.0, ["a"]))
    intake.note("event", ("private:event", ()))
    intake.end_read()
    intake.note("event", ("close", ()))
    intake.at = 6.5
    intake.note("event", ("open", ()))
    assert [entry.at for entry in taken(intake)] == [5.0, 5.0, 5.0, 7.0, 6.5]


def test_what_cannot_be_written_takes_what_waits_with_it(intake: Intake) -> None:
    """It is built on a state that nobody will have."""
    read(intake, "a", "b")
    entries, size = intake.take()
    read(intake, "c")
    intake.lose(entries[0].at, 2, size)
    intake.written(size)
    read(intake, "d")
    assert intake.refused == 3
    assert kinds(taken(intake)) == ["hole", "state", "texts"]
    assert intake.has_room
    assert intake._bytes == 0


def test_changes_that_the_next_state_shows_are_not_noted_before_it(intake: Intake) -> None:
    """A book may be cleared on another thread than its own, where its state cannot be saved."""
    intake.note("clear", ())
    intake.note("restored", EMPTY)
    assert taken(intake) == []
    read(intake, "a")
    intake.note("clear", ())
    intake.note("restored", EMPTY)
    assert kinds(taken(intake)) == ["state", "texts", "clear", "restored"]


def test_a_closed_intake_takes_nothing_more(intake: Intake) -> None:
    """It marks a hole that has begun, wakes the writer for good, and keeps no source waiting."""
    read(intake, "a" * 900)
    read(intake, "b" * 900)
    intake.close()
    intake.close()
    read(intake, "c")
    assert intake.has_room
    assert (intake.received, intake.refused) == (2, 1)
    assert kinds(intake.take()[0]) == ["state", "texts", "hole"]
    assert intake.wake.is_set()


def test_a_finalizer_may_close_it_while_it_notes(intake: Intake) -> None:
    """The garbage collector runs it on the same thread, in the middle of anything."""

    class Closing:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            intake.close()

    class Book(RateBook):
        def save(self) -> Any:
            Closing()
            gc.collect()
            return super().save()

    intake._book = Book()
    noting = threading.Thread(target=read, args=(intake, "a"), daemon=True)
    noting.start()
    noting.join(10)
    assert not noting.is_alive()
    assert intake._closed
