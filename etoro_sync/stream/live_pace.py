"""Lets a live source go on, whatever its readers do."""

from collections.abc import Callable

from ..delivery.dispatcher import Dispatcher
from ..delivery.registry import Registry
from ..synchronization import Interrupted
from .pace import Pace

__all__ = ["LivePace"]


class LivePace(Pace):
    """Lets a source go on whatever its readers do, until the stream is to end.

    :param registry: the listeners.
    """

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        #: Ends what the source's thread waits for elsewhere.
        self.on_stop: Callable[[], None] = _nothing

    def reset(self) -> None:
        """Forget the last session."""
        super().reset()
        self.on_stop = _nothing

    def interrupt(self) -> None:
        """Make the source check whether it is to stop. Any thread, also in a finalizer."""
        super().interrupt()
        self.on_stop()

    def wait_for_room(self, dispatcher: Dispatcher, stopping: Callable[[], bool]) -> None:
        """Return at once.

        :raises Interrupted: when the stream is to end.
        """
        if stopping():
            raise Interrupted

    def wait_until_idle(self, dispatcher: Dispatcher, stopping: Callable[[], bool]) -> None:
        """Return at once: a stream that has failed must not look alive while a callback hangs."""


def _nothing() -> None:
    """Nothing is waited for."""
