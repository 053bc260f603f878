"""Random walks of users, a server and a network around one client, held against its promises.

What is wanted is what is subscribed in the end; each rate is of its connection's generation, and
was the truth when it was sent; none comes before the snapshot that was asked for; the last one is
exact, also for a slow consumer; each order event comes once, in order (promises 7, 8 and 9).

A walk is a list of steps. One that breaks a rule is cut down to the steps that matter, which are
printed, to be played again: ``play(False, [("subscribe", ...), ...])``. The same walks are taken
each time; ``ETORO_SYNC_TEST_EXAMPLES=10000`` takes more of them.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Iterator

import pytest

from tests.fuzz.walks.server import INSTRUMENTS
from tests.fuzz.walks.world import Step, play
from tests.support.amounts import amount

WALKS = int(os.environ.get("ETORO_SYNC_TEST_EXAMPLES", amount(80, 300)))
STEPS = [30, 200, 300, 300]
TOPICS = [*(f"instrument:{instrument}" for instrument in INSTRUMENTS), "private"]
MOVES = ["ask", "bid", "full", "last", "no last", "heartbeat", "flags"]
ANSWERS = ["ok"] * 8 + ["data first", "twice", "later", "no snapshot"]
REFUSALS = ["SubscribeFailed", "UnhandledException", "TooManyRequests"]


_TURN: Step = ("read", 9, False)
#: What walks have found, until the cause was mended.
FOUND: dict[str, list[Step]] = {
    "a refused snapshot was waited for": [
        _TURN,  # to open the connection
        ("answer", "ok", True),
        ("subscribe", ["instrument:4"], True, True, False),
        _TURN,
        ("subscribe", ["instrument:4"], False, True, False),
        ("answer", "TooManyRequests", True),
        ("answer", "data first", True),
        ("move", 4, "full", 1.0),
    ],
    "a call returned whose topic was refused after a reconnect": [
        _TURN,  # to open the connection
        ("answer", "ok", True),
        ("subscribe", ["instrument:4"], True, True, False),
        _TURN,
        ("lose", "reset"),
        _TURN,
        _TURN,
        ("answer", "ok", True),
        ("answer", "SubscribeFailed", True),
    ],
    "a snapshot was left to a restoration that was refused": [
        _TURN,
        ("subscribe", ["instrument:4", "private"], True, False, False),
        ("answer", "ok", True),
        ("answer", "SubscribeFailed", True),
        ("subscribe", ["private"], True, True, False),
        _TURN,
    ],
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def walk(chance: random.Random) -> list[Step]:
    """Return the steps of a walk; each means something wherever it stands."""
    answers = ANSWERS + chance.choice([[], REFUSALS, REFUSALS * 3])
    some: dict[Callable[[], Step], int] = {
        lambda: ("subscribe", topics(chance), maybe(0.6), maybe(0.5), maybe(0.1)): 9,
        lambda: ("unsubscribe", topics(chance), maybe(0.5), maybe(0.1)): 8,
        lambda: ("stream", topics(chance), maybe(0.1)): 5,
        lambda: ("release", chance.randrange(5)): 4,
        lambda: ("hand_over", 1): 2,
        lambda: ("take", chance.randint(1, 6)): 2,
        lambda: ("move", chance.choice(INSTRUMENTS), chance.choice(MOVES), amount()): 30,
        lambda: ("order",): 6,
        lambda: ("answer", chance.choice(answers), maybe(0.5)): 36,
        lambda: ("pay",): 3,
        lambda: ("noise", chance.randrange(4)): 2,
        lambda: ("wait", chance.choice([0.1, 1.0, 6.0, 11.0, 25.0])): 2,
        lambda: ("read", chance.randint(1, 12), maybe(0.3)): 30,
        lambda: ("lose", chance.choice(["reset", "close"])): 3,
    }

    def maybe(share: float) -> bool:
        return chance.random() < share

    def amount() -> float:
        return chance.choice([0.5, -0.25, 1.0, 3.0])

    return [step() for step in chance.choices([*some], [*some.values()], k=chance.choice(STEPS))]


def topics(chance: random.Random) -> list[str]:
    return chance.sample(TOPICS, chance.choice([1, 1, 2, 3, 6]))


def broken(strict: bool, steps: list[Step]) -> Exception | None:
    """Return what a walk comes to, if it breaks a rule."""
    try:
        play(strict, steps)
    except Exception as exc:
        return exc
    return None


def cut_down(strict: bool, steps: list[Step]) -> list[Step]:
    """Leave out what a broken rule does not need."""
    size = len(steps) // 2
    while size:
        for start in reversed(range(0, len(steps), size)):
            fewer = steps[:start] + steps[start + size :]
            if broken(strict, fewer):
                steps = fewer
        size //= 2
    return steps


@pytest.mark.parametrize("found", FOUND)
def test_walks_that_have_broken_a_promise_do_so_no_more(found: str) -> None:
    """Each breaks it again without its mend."""
    play(False, FOUND[found])


@pytest.mark.long_form
@pytest.mark.timeout(30 + WALKS)
@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
def test_no_walk_breaks_a_promise(strict: bool) -> None:
    """A strict server refuses what is subscribed already, with the whole frame."""
    for seed in range(WALKS):
        steps = walk(random.Random(seed))
        if broken(strict, steps):
            steps = cut_down(strict, steps)
            words = "".join(f"\n    {step}," for step in steps)
            error = broken(strict, steps)
            pytest.fail(f"seed {seed}: {error!r}\nplay({strict}, [{words}\n])")
