"""Where topics go: onto the connection that has them, then into free places, then onto new ones."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from etoro_sync.fleet.placement import NoRoom, Placement
from tests.support.amounts import amount


def topics(*numbers: int) -> list[str]:
    return [f"instrument:{number}" for number in numbers]


def test_a_connection_is_filled_before_the_next_is_opened() -> None:
    """In the order in which the topics were wanted."""
    places = Placement(places=3)
    places.place(topics(*range(7)))
    assert [places.topics_of(n) for n in range(3)] == [
        topics(0, 1, 2),
        topics(3, 4, 5),
        topics(6),
    ]
    places.place(topics(7, 0))
    assert places.topics_of(2) == topics(6, 7)
    assert places.in_use == [0, 1, 2]


def test_what_is_being_unsubscribed_keeps_its_place() -> None:
    """Else it could come from two connections at a time; wanted again, it stays where it is."""
    places = Placement(places=2)
    places.place(topics(1, 2))
    places.leave(topics(1))
    places.place(topics(3))
    assert places.connection_of("instrument:3") == 1
    places.place(topics(1))
    places.left(topics(1))
    assert places.topics_of(0) == topics(1, 2)
    places.leave(topics(2))
    places.left(topics(2))
    places.place(topics(4))
    assert places.topics_of(0) == topics(1, 4)


def test_more_than_fits_is_refused_as_a_whole() -> None:
    """Nothing has changed then."""
    places = Placement(most=2, places=2)
    places.place(topics(1))
    with pytest.raises(NoRoom) as caught:
        places.place(topics(2, 3, 4, 5, 6))
    assert caught.value.missing == 2
    assert places.shares(topics(1, 2, 3)) == {0: topics(1)}
    places.place(topics(2, 3, 4))
    assert places.in_use == [0, 1]


def test_a_full_connection_hands_its_topics_on_and_gets_no_more() -> None:
    """They go into free places of others, and not back; the limit holds also for later ones."""
    places = Placement(places=4)
    places.place(topics(1, 2, 3, 4, 5))
    places.move(0, topics(3, 4), room=2)
    assert places.topics_of(0) == topics(1, 2)
    assert places.topics_of(1) == topics(5, 3, 4)
    places.leave(topics(1))
    places.left()
    places.place(topics(6, 7))
    assert places.topics_of(0) == topics(2, 6)
    assert places.topics_of(1) == topics(5, 3, 4, 7)


def test_without_room_elsewhere_they_stay() -> None:
    """The caller is told, and reports the refusal."""
    places = Placement(most=1, places=4)
    places.place(topics(1, 2, 3))
    with pytest.raises(NoRoom):
        places.move(0, topics(3), room=2)
    assert places.topics_of(0) == topics(1, 2, 3)


def test_an_open_connection_without_topics_is_used_first() -> None:
    """One that ends gets none until it has ended, and does not count for the limit."""
    places = Placement(most=2, places=1)
    places.opened(1)
    places.place(topics(1))
    assert places.connection_of("instrument:1") == 1
    places.place(topics(2))
    places.leave(topics(2))
    places.left()
    places.close(0)
    places.place(topics(3))
    assert places.connection_of("instrument:3") == 2
    places.closed(0)
    places.leave(topics(3))
    places.left()
    places.place(topics(4))
    assert places.connection_of("instrument:4") == 0


class Places(RuleBasedStateMachine):
    """Any calls in any order, beside a list of where each topic must be."""

    most, size = 4, 3

    def __init__(self) -> None:
        super().__init__()
        self.places = Placement(self.most, self.size)
        self.where: dict[str, int] = {}
        self.leaving: set[str] = set()

    numbers = st.lists(st.integers(0, 13), min_size=1, max_size=6)

    @rule(numbers=numbers)
    def place(self, numbers: list[int]) -> None:
        wanted = topics(*numbers)
        try:
            self.places.place(wanted)
        except NoRoom as exc:
            missing = exc.missing
        else:
            self.leaving -= {*wanted}
            for topic in wanted:
                number = self.places.connection_of(topic)
                assert number is not None
                assert self.where.setdefault(topic, number) == number
            return
        assert 0 < missing <= len({*wanted} - {*self.where})

    @rule(numbers=numbers)
    def leave(self, numbers: list[int]) -> None:
        self.places.leave(topics(*numbers))
        self.leaving |= {*topics(*numbers)} & self.where.keys()

    @rule(numbers=st.none() | numbers)
    def left(self, numbers: list[int] | None) -> None:
        gone = self.leaving if numbers is None else self.leaving & {*topics(*numbers)}
        self.places.left(None if numbers is None else topics(*numbers))
        for topic in gone:
            del self.where[topic]
        self.leaving = self.leaving - gone

    @precondition(lambda self: self.where)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted({*self.where.values()})))
        here = [t for t, n in self.where.items() if n == number]
        room = data.draw(st.integers(1, len(here)))
        try:
            self.places.move(number, here[room:], room)
        except NoRoom:
            return
        for topic in here[room:]:
            if topic in self.leaving:
                self.leaving.discard(topic)
                del self.where[topic]
            else:
                now = self.places.connection_of(topic)
                assert now is not None
                assert now != number
                self.where[topic] = now

    @rule(number=st.integers(0, 5))
    def close(self, number: int) -> None:
        if number in range(len(self.places._connections)) and not self.places.topics_of(number):
            self.places.close(number)

    @rule(number=st.integers(0, 5))
    def closed(self, number: int) -> None:
        self.places.closed(number)

    @rule(number=st.integers(0, 5))
    def opened(self, number: int) -> None:
        self.places.opened(number)

    @invariant()
    def each_topic_is_where_it_was_put(self) -> None:
        used = self.places.in_use
        held = {t: n for n in used for t in self.places.topics_of(n)}
        assert held == self.where
        assert len(used) <= self.most
        assert all(len(self.places.topics_of(n)) <= self.size for n in used)


TestPlaces = pytest.mark.long_form(Places.TestCase)
TestPlaces.settings = settings(max_examples=amount(60, 2000), stateful_step_count=30, deadline=None)
