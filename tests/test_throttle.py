"""Equal troubles in the log: once, then once a minute."""

from __future__ import annotations

from etoro_sync.throttle import LogThrottle
from tests.support.clocks import FakeClock


def test_a_kind_passes_once_per_period_with_what_was_kept_quiet() -> None:
    """The second record has how many there were in between."""
    clock = FakeClock()
    gate = LogThrottle(60.0, clock=clock)
    assert [gate.passes("a") for _ in range(3)] == [0, None, None]
    assert gate.passes("b") == 0
    clock.advance(59.9)
    assert gate.passes("a") is None
    clock.advance(0.1)
    assert gate.passes("a") == 3
    assert gate.passes("a") is None
    clock.advance(60.0)
    assert gate.passes("a") == 1


def test_the_table_of_kinds_is_bounded() -> None:
    """Kinds beyond it count as one for now, and those before it go on."""
    gate = LogThrottle(60.0, most=2, clock=FakeClock())
    assert [gate.passes(kind) for kind in "abcde"] == [0, 0, 0, None, None]
    assert gate.passes("a") is None
    assert len(gate._kinds) == 3


def test_a_full_table_lets_go_of_kinds_whose_period_is_over() -> None:
    """A new kind is distinguished again then; those that were logged since stay."""
    clock = FakeClock()
    gate = LogThrottle(60.0, most=2, clock=clock)
    assert gate.passes("old") == 0
    clock.advance(59.0)
    assert gate.passes("young") == 0
    assert [gate.passes("new"), gate.passes("newer")] == [0, None]
    clock.advance(1.0)
    assert [gate.passes(kind) for kind in ("new", "new", "young")] == [0, None, None]
    assert set(gate._kinds) <= {"young", "new", None}
