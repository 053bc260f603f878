"""What a session needs of the thread that runs callbacks."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..errors import EToroError

__all__ = ["Dispatching"]


class Dispatching(Protocol):
    """A :class:`~etoro_sync.delivery.dispatcher.Dispatcher`, or what stands in for a shared one."""

    def open(self, session: int, on_failure: Callable[[EToroError], None]) -> None:
        """Accept the events of a new session."""

    def start(self, session: int) -> None:
        """Start the thread."""

    def extend(
        self,
        session: int,
        rates: Sequence[tuple[Any, ...]],
        others: Sequence[tuple[int, str, tuple[Any, ...]]] = (),
    ) -> None:
        """Add the market events of one read."""

    def post(self, session: int, event: str, *arguments: Any) -> None:
        """Add an event that must not be lost."""

    def barrier(self) -> None:
        """Keep rates of the next connection from replacing waiting ones."""

    def stop(self, session: int) -> None:
        """Let the thread end."""

    def join(self, session: int, timeout: float, caller: str = "disconnect()") -> bool:
        """Wait for the end of the thread; return whether it has ended."""
