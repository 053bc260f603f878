"""What a session reports to: its client, or the fleet of which it is one connection."""

from ...delivery.registry import Registry
from ...errors import EToroError
from ..protocol.requests import Operation

__all__ = ["Owner"]


class Owner:
    """A client that has one connection. It has no reference to the client itself.

    :param registry: the client's handlers and queues.
    """

    #: Whether a connection that is full may hand topics on to another one.
    has_others = False

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def end_queues(self, reason: str, error: EToroError | None = None) -> None:
        """End what reads the stream; see :meth:`Registry.end_queues`. Any thread."""
        self._registry.end_queues(reason, error)

    def reports_failure(self) -> bool:
        """Whether to emit the error that ends the session. Reader thread; asked once."""
        return True

    def move(
        self, operations: list[Operation], topics: list[str], room: int, lost: dict[str, float]
    ) -> bool:
        """Subscribe to *topics* on another connection, because this one takes no more.

        Reader thread.

        :param operations: those that want them, which end when they are acknowledged, too.
        :param topics: those that this connection has not taken.
        :param room: how many it has.
        :param lost: topic -> since when messages of it are missing, by ``clocks.uptime``.
        :returns: False: there is no other connection, and nothing has changed.
        """
        return False
