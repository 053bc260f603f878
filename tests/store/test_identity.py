"""Which events are the same: each message is stored once, and no change of an order is missed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etoro_sync import EToroError, WsPrivateEvent
from etoro_sync.store.database import Database
from etoro_sync.store.rows import encode

#: The states that an order goes through; several may be the same.
COURSES = st.lists(st.tuples(st.integers(1, 2), st.integers(1, 3)), max_size=12)


class File:
    """A database in a folder of its own, which takes one event at a time."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path, durable=False)
        self.bases: dict[str, int] = {}

    def attach(self, origin: str) -> None:
        self.bases[origin] = self.database.last_number()

    def bring(
        self, origin: str, order: int | None, status: int, message: str, now: float = 0.0
    ) -> int:
        """Bring an event from a stream; return how many events were stored of it."""
        event = WsPrivateEvent(order_id=order, status_id=status, message_id=message)
        row = encode(event, str)
        stored, repeated = self.database.add([(origin, self.bases[origin], row)], None, now)
        assert stored + repeated == 1
        return stored

    def states(self, after: int = 0) -> list[tuple[int | None, int | None]]:
        events = [item.event for item in self.database.events(after=after)]
        return [(event.order_id, event.status_id) for event in events]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    """One with the streams a and b."""
    new = File(tmp_path / "orders.db")
    new.attach("a")
    new.attach("b")
    yield new
    new.database.close()


#: Each example has its orders and streams, because a file takes longer to make than to use.
EXAMPLES = itertools.count(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[File]:
    """One file for all examples."""
    new = File(tmp_path_factory.mktemp("store") / "orders.db")
    yield new
    new.database.close()


def check(shared: File, course: list[tuple[int, int]], example: int) -> None:
    """Each order has its changes in the file: its states without repetitions in a row."""
    stored = shared.states(after=min(shared.bases[f"a{example}"], shared.bases[f"b{example}"]))
    for order in (1, 2):
        own = [status for number, status in course if number == order]
        changes = [status for status, _ in itertools.groupby(own)]
        assert [s for number, s in stored if number == example * 10 + order] == changes


@given(course=COURSES, chance=st.randoms(use_true_random=False), same_ids=st.booleans())
def test_two_streams_of_an_account_are_stored_once(
    shared: File, course: list[tuple[int, int]], chance: random.Random, same_ids: bool
) -> None:
    """However far one is behind the other, and whether or not their messages have the same ids."""
    example = next(EXAMPLES)
    at = {f"a{example}": 0, f"b{example}": 0}
    for name in at:
        shared.attach(name)
    while unfinished := [name for name, done in at.items() if done < len(course)]:
        name = chance.choice(unfinished)
        order, status = course[at[name]]
        message = f"{example if same_ids else name} {at[name]}"
        shared.bring(name, example * 10 + order, status, message)
        at[name] += 1
    check(shared, course, example)


@given(course=COURSES)
def test_every_change_of_an_order_is_stored(shared: File, course: list[tuple[int, int]]) -> None:
    """Also one back to a former state; what says the same as the last event is none."""
    example = next(EXAMPLES)
    # The second time as by a recording that is played: the messages are known.
    for name in (f"a{example}", f"b{example}"):
        shared.attach(name)
        shared.bases.setdefault(f"b{example}", shared.bases[name])
        for number, (order, status) in enumerate(course):
            shared.bring(name, example * 10 + order, status, f"{example} {number}")
        check(shared, course, example)


def test_messages_with_the_same_id_and_other_content_are_two(file: File) -> None:
    """The id alone does not decide: a server that repeats ids must cost no event."""
    assert file.bring("a", 7, 2, "m") == 1
    assert file.bring("a", 7, 3, "m") == 1
    assert file.bring("a", 7, 2, "m") == 0


def test_without_an_id_the_content_decides(file: File) -> None:
    """Equal content without ids is the same event, however much lies between."""
    assert file.bring("a", 7, 2, "") == 1
    assert file.bring("a", 7, 3, "") == 1
    assert file.bring("a", 7, 2, "") == 0


def test_an_event_without_an_order_is_stored_for_each_message(file: File) -> None:
    """Nothing tells what it is about, so only the message decides."""
    assert [file.bring("a", None, 2, message) for message in ("1", "2", "2")] == [1, 1, 0]


def test_what_was_stored_before_a_stream_was_attached_is_no_copy(file: File) -> None:
    """After a restart an order may return to a state that it had before."""
    assert [file.bring("a", 7, status, f"a{status}") for status in (11, 2)] == [1, 1]
    file.attach("c")
    assert file.bring("c", 7, 2, "c1") == 0  # as the last event says
    assert file.bring("c", 7, 11, "c2") == 1


def test_copies_of_two_streams_come_within_minutes(file: File) -> None:
    """What another stream brought long ago is not what this one brings now."""
    assert file.bring("a", 7, 2, "a1") == 1
    assert file.bring("a", 7, 3, "a2") == 1
    assert file.bring("b", 7, 2, "b1", now=1000.0) == 1


def test_a_transaction_stores_all_or_nothing(file: File) -> None:
    """Of a batch that cannot be written whole, nothing is in the file."""
    row = encode(WsPrivateEvent(order_id=7), str)
    odd = encode(WsPrivateEvent(order_id=8), str)._replace(text=object())  # type: ignore[arg-type]
    with pytest.raises(EToroError, match=r"binding|supported"):
        file.database.add([("a", 0, row), ("a", 0, odd)], 1.0, 0.0)
    assert file.states() == []
    assert file.database.watched_until() is None
    assert file.bring("a", 7, 3, "") == 1
