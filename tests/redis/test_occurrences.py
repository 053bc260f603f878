"""An event that comes twice is left out, and an order that returns to an earlier state is news."""

from __future__ import annotations

import pytest

from etoro_sync.redis.layout.order_rows import numbered, parted
from etoro_sync.redis.publishing import occurrences
from etoro_sync.redis.publishing.occurrences import Occurrences


def digests(known: Occurrences, *events: tuple[int, str, str]) -> list[str | None]:
    """What becomes of events: order, content and message id."""
    return [known.digest(*event) for event in events]


def test_a_state_that_comes_again_has_the_next_number() -> None:
    """With others between, also of other orders; the same twice in a row is one event."""
    found = digests(
        Occurrences(),
        *((1, "a", ""), (1, "b", ""), (2, "x", ""), (1, "b", ""), (1, "a", ""), (1, "b", "")),
    )
    assert found == ["a", "b", "x", None, "a.2", "b.2"]


def test_the_same_message_is_the_same_event() -> None:
    """Whatever came between; another message with the content of an earlier state is news."""
    found = digests(Occurrences(), (1, "a", "m1"), (1, "b", "m2"), (1, "a", "m1"), (1, "a", "m3"))
    assert found == ["a", "b", None, "a.2"]


def test_a_message_id_of_another_content_means_nothing() -> None:
    """Somebody may use one twice."""
    assert digests(Occurrences(), (1, "a", "m"), (1, "b", "m")) == ["a", "b"]


def test_what_another_publisher_has_written_goes_on() -> None:
    """With its numbers, so that both agree."""
    known = Occurrences()
    for digest in ("a", "b", "a.2"):
        known.learn(1, digest, "")
    assert digests(known, (1, "a", ""), (1, "b", ""), (1, "a", "")) == [None, "b.2", "a.3"]


def test_promise_10_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten; its content is the first of its kind then."""
    monkeypatch.setattr(occurrences, "_MOST", 2)
    known = Occurrences()
    digests(known, (1, "a", ""), (2, "b", ""), (3, "c", ""))
    assert digests(known, (1, "a", ""), (3, "c", "")) == ["a", None]


@pytest.mark.parametrize("text", ["a.x", "a.", "a.99999999999"])
def test_an_odd_digest_is_the_first_of_its_kind(text: str) -> None:
    """Another program may have written it."""
    assert parted(text) == ("a", 1)
    assert parted(numbered("a", 3)) == ("a", 3)
    assert numbered("a", 1) == "a"
