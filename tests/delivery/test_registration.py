"""A handler that cannot work is refused when it is registered; a duplicate is logged."""

from __future__ import annotations

import functools
import inspect
import logging
import queue
from collections.abc import Callable
from typing import Any, cast
from unittest import mock

import pytest

from etoro_sync import EVENTS, EToroValidationError, WsClient
from etoro_sync.delivery.registration import same_function
from etoro_sync.events import INSTRUMENT_EVENTS
from tests.conftest import MakeClient, MakeSimulator
from tests.support.clients import make_client


@pytest.fixture
def idle() -> WsClient:
    """A client that is never connected."""
    return make_client("ws://127.0.0.1:9/ws")


def register(c: WsClient, function: Any) -> None:
    """Register for an event of two arguments, in all ways in which one can."""
    c.on("instrument:rate", function)
    c.once("instrument:rate", function)
    c.on("instrument:rate")(function)


# -- what cannot be called ----------------------------------------------------------------------


def one(rate: object) -> None:
    """Lack an argument."""


def three(instrument_id: object, rate: object, more: object) -> None:
    """Want one too many."""


def keyword(instrument_id: object, *, rate: object) -> None:
    """Want an argument by its name."""


def two(instrument_id: object, rate: object) -> None:
    """Fit."""


class Bot:
    """A program's own class, whose methods are handlers."""

    def one(self, rate: object) -> None:
        """Lack an argument."""

    def two(self, instrument_id: object, rate: object) -> None:
        """Fit."""

    @staticmethod
    def static(instrument_id: object, rate: object) -> None:
        """Fit."""

    def __call__(self, instrument_id: object, rate: object) -> None:
        """Fit, as an object."""


class AsyncBot:
    """An object whose call makes a coroutine, and has a generator of a method."""

    async def __call__(self, instrument_id: object, rate: object) -> None:
        """Never run."""


class Factory(type):
    """Makes objects in its own way, from one argument."""

    def __call__(cls, rate: object) -> None:
        """Lack an argument."""


class Made(metaclass=Factory):
    """Would take any arguments otherwise."""

    def __init__(self, *arguments: object) -> None:
        """Do nothing."""


def static_call(function: Callable[..., Any]) -> object:
    """Make an object whose call is a static method."""
    return type("StaticCall", (), {"__call__": staticmethod(function)})()


class ClassCall:
    """An object whose call is a class method."""

    @classmethod
    def __call__(cls, instrument_id: object, rate: object) -> None:
        """Fit."""


class Poser:
    """Passes for a function that it calls in its own way."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)

    def __call__(self, instrument_id: object, rate: object) -> None:
        """Let the function have the rate alone."""
        self.function(rate)


def generator(more: object, instrument_id: object, rate: object) -> Any:
    """Never run."""
    yield


def adapter(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let *function* have the rate alone."""

    @functools.wraps(function)
    def call(instrument_id: object, rate: object) -> Any:
        return function(rate)

    return call


BAD = {
    "too few": (one, r"handler one\(rate\) cannot be called for 'instrument:rate'"),
    "too many": (three, r"three\(instrument_id, rate, more\)"),
    "by name": (keyword, r"keyword\(instrument_id, \*, rate\)"),
    "lambda": (lambda rate: None, r"\(rate\) cannot be called"),
    "method": (Bot().one, r"Bot.one\(rate\)"),
    "unbound": (Bot.two, r"Bot.two\(self, instrument_id, rate\)"),
    "class": (Bot, r"Bot\(\) cannot"),
    "partial": (functools.partial(two, 1), r"two\(rate\)"),
    "built-in": ([].append, r"append\(object, /\)"),
    "static call": (static_call(one), r"StaticCall\(rate\)"),
    "made by a metaclass": (Made, r"Made\(rate\)"),
    "stars": (lambda rate, **more: None, r"\(rate, \*\*more\)"),
    "called": (cast(Any, two)(1, 2), r"not None. Pass the function itself"),
    "text": ("two", "not 'two'. Pass the function itself"),
    "async object": (AsyncBot(), "must not be a coroutine function"),
    "partial of async object": (functools.partial(AsyncBot()), "must not be a coroutine"),
    "partial of generator": (functools.partial(generator, 1), "must not be a generator"),
    "async mock": (mock.AsyncMock(), "must not be a coroutine function"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_handler_that_cannot_be_called_is_refused(idle: WsClient, name: str) -> None:
    """At once and by the event's arguments, not by a TypeError at each event."""
    function, words = BAD[name]
    for call in (idle.on, idle.once, lambda event, handler: idle.on(event)(handler)):
        with pytest.raises(EToroValidationError, match=words) as caught:
            call("instrument:rate", function)  # type: ignore[operator]
        assert caught.value.field == "handler"
        if "cannot be called" in str(caught.value):
            assert "the arguments are (instrument_id, WsInstrumentRate)" in str(caught.value)


def test_the_refusal_shows_no_default(idle: WsClient) -> None:
    """It may be a key."""
    with pytest.raises(EToroValidationError) as caught:
        idle.on("open", lambda rate, key, secret="s3cret": None)
    assert "(rate, key, secret)" in str(caught.value)
    assert "s3cret" not in str(caught.value)


class Unreadable:
    """A callable whose attributes raise."""

    @property
    def __signature__(self) -> object:
        raise RuntimeError

    def __call__(self) -> None:
        """Do nothing."""


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap with arguments that nobody can know."""

    @functools.wraps(function)
    def call(*arguments: object, **more: object) -> Any:
        return function(*arguments[1:])

    return call


def signed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap with arguments of its own, but show those of *function*, as some decorators do."""

    def call(*arguments: object) -> Any:
        return function(*arguments[1:])

    call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return call


class Claiming(Bot):
    """A callable that claims the arguments of something else."""

    __signature__ = "x"


GOOD: dict[str, Any] = {
    "function": two,
    "stars": lambda *arguments: None,
    "defaults": lambda instrument_id, rate, once=False: None,
    "optional": lambda instrument_id=None, rate=None: None,
    "method": Bot().two,
    "static": Bot.static,
    "object": Bot(),
    "partial": functools.partial(three, 1),
    "print": print,
    "put": queue.Queue().put,
    "adapter": adapter(one),
    "wrapped": wrapped(one),
    "static call": static_call(two),
    "class call": ClassCall(),
    "partial as call": type("PartialCall", (), {"__call__": functools.partial(three, 1)})(),
    "poser": Poser(one),
    "mock": mock.Mock(),
    "mock of a function": mock.Mock(spec=one),
    "spec": mock.create_autospec(two),
    "signed": signed(one),
    "claims": Claiming(),
    "unreadable": Unreadable(),
    "no signature": dict,
}


@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_called_or_cannot_be_known_is_taken(idle: WsClient, name: str) -> None:
    """A refusal of what would have worked is worse than an error later."""
    idle.on("instrument:rate", GOOD[name])
    idle.once("instrument:rate", GOOD[name])


@pytest.mark.parametrize("event", EVENTS)
def test_each_event_has_the_arguments_that_its_text_names(idle: WsClient, event: str) -> None:
    """No fewer and no more are taken."""
    functions = [lambda: None, lambda a: None, lambda a, b: None, lambda a, b, c: None]
    taken = []
    for function in functions:
        try:
            idle.on(event, function)
        except EToroValidationError:
            continue
        taken.append(function)
    count = 2 if event in INSTRUMENT_EVENTS or event in ("close", "reconnecting") else 1
    assert taken == [functions[0 if EVENTS[event] == "()" else count]]


@pytest.mark.parametrize(
    ("predicate", "words"),
    [
        (one, r"predicate one\(rate\) cannot be called for 'instrument:rate'"),
        ("x", "predicate must be callable"),
        (AsyncBot(), "predicate must not be a coroutine function"),
    ],
)
def test_a_predicate_is_checked_likewise(idle: WsClient, predicate: Any, words: str) -> None:
    """A coroutine is always true, and a TypeError would come with the first event only."""
    with pytest.raises(EToroValidationError, match=words) as caught:
        idle.wait_for("instrument:rate", predicate, timeout=0)
    assert caught.value.field == "predicate"
    with pytest.raises(EToroValidationError, match="Unknown event"):
        idle.wait_for("x", predicate)


def test_none_is_no_decorator(idle: WsClient) -> None:
    """``on("open", show())`` would register nothing, without a word."""
    for call in (idle.on, idle.once):
        with pytest.raises(EToroValidationError, match="show, not show"):
            call("open", None)  # type: ignore[call-overload]


# -- what is registered again ----------------------------------------------------------------------

CELL = """
def show(instrument_id, rate):
    return {value}
client.on("instrument:rate", show)
"""
FACTORY = """
def make(value):
    def show(instrument_id, rate):
        return value
    return show
for value in ("a", "b"):
    client.on("instrument:rate", make(value))
"""


def run_cell(c: WsClient, code: str, number: int) -> None:
    """Run a notebook's cell: what it defines is of the module ``__main__``."""
    exec(compile(code, f"<cell {number}>", "exec"), {"client": c, "__name__": "n"})


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log warns of."""
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_a_cell_that_runs_again_logs_that_its_handler_is_called_twice(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Though its function is a new one each time; and it is registered all the same."""
    c = client(simulator().url)
    c.connect()
    for _ in range(3):
        run_cell(c, CELL.format(value="rate"), 1)
    first, second = warnings_in(caplog)
    assert first.startswith("The handler show is registered for 'instrument:rate' 2 times")
    assert "client.remove_all_listeners('instrument:rate')" in first
    assert "3 times" in second
    run_cell(c, CELL.format(value="instrument_id"), 2)  # edited
    assert "4 times" in warnings_in(caplog)[-1]
    c.remove_all_listeners("instrument:rate")
    run_cell(c, CELL.format(value="rate"), 1)
    assert len(warnings_in(caplog)) == 3


def test_what_is_registered_again_is_found_by_identity_too(
    idle: WsClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Built-in functions, methods and partials; ``once`` likewise."""
    bot = Bot()
    for function in (print, bot.two, functools.partial(three, None)):
        idle.on("instrument:rate", function)
    assert warnings_in(caplog) == []
    for function in (print, bot.two, functools.partial(three, None)):
        idle.once("instrument:rate", function)
    assert ["2 times" in text for text in warnings_in(caplog)] == [True] * 3


def test_different_handlers_are_not_logged(
    idle: WsClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Another event, another instrument, another closure, another object, or another function."""
    idle.on("instrument:rate", two)
    idle.on("instrument:delta", two)
    idle.on("instrument:rate", two, instrument_id=18)
    idle.on("instrument:rate", two, instrument_id=19)
    run_cell(idle, FACTORY, 1)
    for _ in range(2):
        idle.on("instrument:rate", Bot().two)
        idle.on("instrument:rate", Bot())
    idle.on("instrument:rate", lambda a, b: print(a)).on("instrument:rate", lambda a, b: print(b))
    for number in (1, 2):
        idle.on("instrument:rate", lambda a, b, number=number: number)
        idle.on("instrument:rate", functools.partial(three, object()))
    idle.on("stale", two).off("stale", two).on("stale", two)
    assert warnings_in(caplog) == []


def test_a_handler_that_waits_for_the_next_time_is_not_logged(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """It registers itself with ``once`` while it is called, when the first one is spent."""
    c = client(simulator(rate=200).url)
    calls: queue.Queue[int] = queue.Queue()

    def again(instrument_id: int, rate: object) -> None:
        calls.put(instrument_id)
        c.once("instrument:rate", again)

    c.once("instrument:rate", again)
    c.connect()
    c.subscribe([18], snapshot=True)
    assert [calls.get(timeout=5) for _ in range(3)] == [18] * 3
    c.disconnect()
    assert warnings_in(caplog) == []


def test_a_function_that_cannot_be_compared_is_another_one() -> None:
    """Equality is user code."""

    class Touchy(Bot):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

    assert not same_function(Touchy(), two)


def test_many_handlers_of_one_event_are_registered_quickly(
    idle: WsClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the last hundred are looked at."""
    compared = 0

    class Counted(Bot):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return False

    for _ in range(150):
        idle.on("instrument:rate", Counted())
    compared = 0
    idle.on("instrument:rate", Counted())
    assert compared <= 200
    assert warnings_in(caplog) == []
