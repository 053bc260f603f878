"""Checks handlers when they are registered, and finds those that are registered already.

A handler that does not take the event's arguments would raise for each event. One that a notebook
cell registers again, each time that it runs, would be called once more each time.
"""

import inspect
import itertools
from collections.abc import Callable, Iterable
from functools import partial
from types import FunctionType, WrapperDescriptorType
from typing import Any

from ..errors import EToroValidationError
from ..events import EVENTS
from ..logs import name_of
from ..text import show

__all__ = ["check_callable", "same_function", "times_registered"]


def check_callable(function: Any, event: str, what: str = "handler") -> None:
    """Check that *function* can be called with the arguments of *event*.

    :param event: its name; of what is called for another reason, the arguments: ``"(order_id)"``.
    :param what: the name of the argument, for the error.
    :raises EToroValidationError: if it cannot, and for coroutine and generator functions, whose
        code does not run when they are called.
    """
    if not callable(function):
        raise EToroValidationError(
            f"{what} must be callable, not {show(function, 60)}. Pass the function itself, without "
            "calling it: show, not show().",
            what,
        )
    if _is_any(function, inspect.iscoroutinefunction, inspect.isasyncgenfunction):
        raise EToroValidationError(
            f"{what} must not be a coroutine function: it is called on a thread, without an event "
            "loop. Write def instead of async def.",
            what,
        )
    if _is_any(function, inspect.isgeneratorfunction):
        raise EToroValidationError(
            f"{what} must not be a generator function: a call would not run its code. Write it "
            "without yield.",
            what,
        )
    _check_arguments(function, event, what)


def _is_any(function: Any, *kinds: Callable[[Any], bool]) -> bool:
    while isinstance(function, partial):
        function = function.func
    # For an object with __call__, that method decides what a call returns.
    method = None if isinstance(function, type) else type(function).__call__
    return any(_is(one, kind) for kind in kinds for one in (function, method))


def _is(function: Any, kind: Callable[[Any], bool]) -> bool:
    try:
        return kind(function)
    except Exception:  # a mock, say, which passes for a function and has none of its attributes
        return False


def _check_arguments(function: Callable[..., Any], event: str, what: str) -> None:
    names = EVENTS.get(event, event)
    count = len(names.strip("()").split(",")) if names != "()" else 0
    try:
        if hasattr(function, "__signature__"):
            return  # it may be that of a wrapped function
        # follow_wrapped=False, since a decorator may take other arguments than its function.
        signature = inspect.signature(_called(function), follow_wrapped=False)
    except Exception:  # built-in ones may have none, and attributes may be user code
        return
    try:
        signature.bind(*itertools.repeat(None, count))
    except TypeError:
        purpose = f" for {event!r}" if event in EVENTS else ""
        raise EToroValidationError(
            f"{what} {name_of(function)}{_names(signature)} cannot be called{purpose}: the "
            f"arguments are {names}.",
            what,
        ) from None


def _called(function: Any) -> Any:
    """Return what a call runs, of which inspect knows the arguments.

    Of an object with __call__ it takes off the first one, also where that is a static method; and
    it believes an object that passes for a function.
    """
    call = inspect.getattr_static(type(function), "__call__")
    if isinstance(call, WrapperDescriptorType):  # of a function, a class, and the like
        return function
    return call.__get__(function, type(function)) if hasattr(call, "__get__") else call


def _names(signature: inspect.Signature) -> str:
    # Names only: the repr of a default or an annotation may be of any length.
    empty = inspect.Parameter.empty
    taken = [p.replace(default=empty, annotation=empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=taken, return_annotation=inspect.Signature.empty))


def times_registered(function: Callable[..., Any], known: Iterable[Callable[..., Any]]) -> int:
    """Return how many of *known* do the same as *function*."""
    return sum(same_function(function, other) for other in known)


def same_function(one: Any, other: Any) -> bool:
    """Return whether both do the same: they are equal, or the same code has made them.

    A cell that runs again makes a new function with the same name each time.
    """
    try:
        if one is other or one == other:
            return True
    except Exception:  # equality may be user code
        return False
    if type(one) is partial and type(other) is partial:
        return same_function(one.func, other.func) and _same(
            (*one.args, *one.keywords.items()), (*other.args, *other.keywords.items())
        )
    if type(one) is not FunctionType or type(other) is not FunctionType:
        return False
    if (one.__module__, one.__qualname__) != (other.__module__, other.__qualname__):
        return False
    if one.__code__ == other.__code__:
        # In a loop that makes handlers, each has other values.
        return _same(_values(one), _values(other))
    # Two versions of one cell have different file names, two functions of one file do not.
    return one.__code__.co_filename != other.__code__.co_filename and "<" not in one.__qualname__


def _values(function: FunctionType) -> tuple[Any, ...]:
    cells = function.__closure__ or ()
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return (*defaults, *(_content(cell) for cell in cells))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return cell


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
