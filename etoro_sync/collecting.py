"""What is to be done when nothing refers to an object any more."""

import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["when_collected"]


def when_collected(owner: object, method: Callable[[], object]) -> "weakref.finalize[Any, Any]":
    """Call a bound method when *owner* is collected; not at the end of the program.

    The object of the method is not kept alive: it often knows the user's callbacks, and these often
    know *owner*, which would then never be collected. So it must be in use by a thread, or by
    something else that lives, for as long as the call is needed.

    :returns: what can be detached.
    """
    bound: Any = method
    # Not a WeakMethod: in Python 3.13 it prints an error when the interpreter shuts down.
    finalizer = weakref.finalize(owner, _call, bound.__func__, weakref.ref(bound.__self__))
    finalizer.atexit = False
    return finalizer


def _call(function: Callable[[Any], object], here: "weakref.ref[Any]") -> None:
    alive = here()
    if alive is not None:
        function(alive)
