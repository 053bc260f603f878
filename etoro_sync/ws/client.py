"""The client that users work with; each method may be called from any thread and any callback."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import EToroError, EToroValidationError
from ..events import check_flag, check_snapshot, check_timeout, check_topics
from ..stream import MarketStream
from ..stream.core import equip
from ..text import count
from .core import Core, core_of
from .options import WsClientOptions, hide_locals, is_options

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import Settings

__all__ = ["WsClient", "chosen_options"]


@hide_locals
def chosen_options(options: WsClientOptions | None, settings: "Settings") -> WsClientOptions:
    """Return the options of a new client; the arguments are those of its class.

    :raises EToroValidationError: when an option is not valid; names the field.
    """
    if options is not None and settings:
        raise EToroValidationError(
            f"Pass {next(iter(settings))} in options, or all options by keyword, but not both: "
            "dataclasses.replace(options, ...) changes some.",
            next(iter(settings)),
        )
    if options is not None and not is_options(options):
        raise EToroValidationError(
            f"options must be WsClientOptions or None, not {type(options).__name__}.",
            "options",
        )
    return options if options is not None else WsClientOptions.from_env(**settings)


class WsClient(MarketStream):
    """A streaming client for eToro, for programs without asyncio.

    One background thread reads, sends pings and reconnects; another one runs the callbacks. Every
    method may be called from any thread and from any callback. After a ``fork()`` the child's copy
    is closed: methods that wait or change something raise
    :class:`~etoro_sync.EToroClosedError`. The names are those of etoropy's ``WsClient``. A subclass
    may use any name that is not public here; its ``__init__`` must call ``super().__init__()``
    before any other method.

    :param options: None reads them from the environment, see :meth:`WsClientOptions.from_env`.
    :param settings: options by keyword instead, such as ``WsClient(api_key=..., user_key=...)``;
        the environment has the others.
    :raises EToroValidationError: when an option is not valid; names the field.
    """

    @hide_locals
    def __init__(
        self, options: WsClientOptions | None = None, **settings: "Unpack[Settings]"
    ) -> None:
        equip(self, Core(chosen_options(options, settings)))

    # -- connection ----------------------------------------------------------------------------

    def connect(self, timeout: float | None = None, *, retry: bool = False) -> None:
        """Connect and authenticate; returns once eToro has accepted the keys.

        The first connection is tried once, so that a mistake in the address or the keys is seen at
        once. A service that may start before the network does passes *retry*.

        Topics that were subscribed to before are then requested in the background.

        :param timeout: seconds to wait at most; None: as long as ``connect_timeout`` and
            ``auth_timeout`` allow, and with *retry* as long as ``reconnect_attempts`` do.
        :param retry: try the first connection as often, and with the same waits, as any later one;
            each failure is logged and emitted. Rejected keys are not tried again.
        :raises EToroAuthError: when a key is missing or rejected, when a callable that returns one
            raises or hangs, or when authentication times out.
        :raises EToroValidationError: when such a callable returns something that is not a key.
        :raises EToroTimeoutError: when *timeout* has passed.
        :raises EToroClosedError: when :meth:`disconnect` is called meanwhile.
        :raises EToroWebSocketError: when the server cannot be reached, or the client is
            connected already.
        """
        core = core_of(self)
        core.guard.check()
        timeout = check_timeout(timeout)
        core.sessions.connect(timeout, check_flag("retry", retry))

    # -- subscriptions -------------------------------------------------------------------------

    def subscribe(
        self,
        topics: Iterable[str | int] | str | int,
        snapshot: bool = False,
        *,
        wait: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Subscribe to *topics*, on this and all later connections.

        While the client is live, this sends the request and waits for eToro's acknowledgement.
        Before :meth:`connect` and during an outage it only records the topics. If the client was
        closed or has failed, it also logs a warning that nothing will be received until
        :meth:`connect` is called.

        :param topics: ``"private"``, ``"instrument:<id>"`` or ints for instruments. eToro allows
            4,999 per connection (measured on its demo feed).
        :param snapshot: whether eToro is to send the full state of each instrument first, instead
            of starting with the next change.
        :param wait: False returns at once; a refusal is then only logged and emitted as
            ``"error"``.
        :param timeout: seconds to wait for the acknowledgement; None: ``request_timeout``.
        :raises EToroSubscriptionError: when eToro refuses; those topics are no longer wanted.
        :raises EToroTimeoutError: when eToro does not answer in time; the topics stay wanted.
        :raises EToroClosedError: when the client is disconnected meanwhile.
        :raises EToroValidationError: for a topic that does not exist, or if a topic was passed as
            *snapshot*.
        """
        core = core_of(self)
        core.guard.check()
        names = check_topics(topics)
        snapshot = check_snapshot(snapshot)
        timeout = check_timeout(timeout)
        core.requests.subscribe(names, snapshot, wait, timeout)

    def unsubscribe(
        self,
        topics: Iterable[str | int] | str | int,
        *,
        wait: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Unsubscribe *topics*, on this and all later connections; waits as :meth:`subscribe` does.

        A :meth:`stream` of such a topic gets no more rates of it, but does not end.

        :param topics: as for :meth:`subscribe`; those that are not wanted are ignored.
        :param wait: False returns at once.
        :param timeout: seconds to wait for the acknowledgement; None: ``request_timeout``.
        :raises EToroSubscriptionError: when eToro refuses.
        :raises EToroTimeoutError: when eToro does not answer in time.
        :raises EToroClosedError: when the client is disconnected meanwhile.
        :raises EToroValidationError: for a topic that does not exist.
        """
        core = core_of(self)
        core.guard.check()
        names = check_topics(topics)
        timeout = check_timeout(timeout)
        core.requests.unsubscribe(names, wait, timeout)

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The wanted topics, in the order in which they were first subscribed to."""
        core = core_of(self)
        core.guard.check()
        return tuple(core.tracker.get_all())

    # -- state ---------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether a WebSocket is open now."""
        return core_of(self).is_connected

    @property
    def is_authenticated(self) -> bool:
        """Whether eToro has accepted the credentials on the present connection."""
        return core_of(self).is_authenticated

    @property
    def generation(self) -> int:
        """The number of the present connection, or of the last one; 0 before the first.

        Each connection that was opened counts, also one that ended before it was authenticated.
        """
        return core_of(self).book.generation

    @property
    def last_pong_at(self) -> float:
        """When the last pong was received: seconds since the epoch, UTC; 0.0 before the first.

        Pings are only sent when nothing is received, so on a busy stream this does not advance.
        """
        return core_of(self).counters.last_pong_at

    def __repr__(self) -> str:
        name = type(self).__name__
        try:
            core = core_of(self)
        except EToroError:  # in a debugger, or in the error's own traceback
            return f"<{name}, super().__init__() not called>"
        return (
            f"<{name} {core.state.value}, generation {core.book.generation}, "
            f"{count(core.tracker.size, 'topic')}>"
        )
