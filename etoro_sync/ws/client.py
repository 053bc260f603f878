"""The client: everything that users call, each method safe in any thread and any callback."""

from collections.abc import Iterable

from ..errors import EToroError, EToroValidationError
from ..events import check_flag, check_snapshot, check_timeout, check_topics
from ..stream import MarketStream
from ..stream.core import equip
from ..text import count
from .core import Core, core_of
from .options import WsClientOptions, is_options

__all__ = ["WsClient"]


class WsClient(MarketStream):
    """A streaming client for eToro, for programs without asyncio.

    A background thread reads, keeps alive and reconnects; a second one runs the callbacks.
    Every method may be called from any thread and from any callback. After a ``fork()`` the child's
    copy is closed: whatever waits or changes raises :class:`~etoro_sync.EToroClosedError`. The
    names are those of etoropy's ``WsClient``. A subclass may use any name that is not public here;
    its ``__init__`` calls ``super().__init__()`` before any other method.

    :param options: None reads them from the environment, see :meth:`WsClientOptions.from_env`.
    :raises EToroValidationError: naming the field.
    """

    def __init__(self, options: WsClientOptions | None = None) -> None:
        if options is not None and not is_options(options):
            raise EToroValidationError(
                f"options must be WsClientOptions or None, not {type(options).__name__}.",
                "options",
            )
        equip(self, Core(options if options is not None else WsClientOptions.from_env()))

    # -- connection ----------------------------------------------------------------------------

    def connect(self, timeout: float | None = None, *, retry: bool = False) -> None:
        """Connect and authenticate; returns when data can flow.

        The first attempt is not repeated unless *retry* says so: a mistake in the address or the
        keys is to be seen at once. A service that may start before the network does wants it.

        Topics that were subscribed to before are then requested in the background.

        :param timeout: seconds to wait at most; None trusts ``connect_timeout`` and
            ``auth_timeout``, or *retry*, which has ``reconnect_attempts``.
        :param retry: try the first connection as often, and as patiently, as any later one; what
            fails is logged, and emitted as ``"reconnecting"``. Rejected keys end it all the same.
        :raises EToroAuthError: when credentials are missing or rejected, when a callable that is to
            return one raises or hangs, or when authentication times out.
        :raises EToroValidationError: when such a callable returns what is no key.
        :raises EToroTimeoutError: when *timeout* has passed.
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
        """Want *topics* from now on, through all reconnects.

        Before :meth:`connect` and during an outage this only records the wish; else it sends it
        and waits for eToro's acknowledgement. When the client was closed or has failed, the log
        says that nothing will come until ``connect()`` is called.

        :param topics: ``"private"``, ``"instrument:<id>"`` or ints for instruments. eToro allows
            4,999 per connection (measured on its demo feed).
        :param snapshot: send the full state of each instrument first, instead of starting with
            what changes next.
        :param wait: False returns at once; a refusal is then told as ``"error"`` only.
        :param timeout: seconds to wait for the acknowledgement; None is ``request_timeout``.
        :raises EToroSubscriptionError: when eToro refuses; those topics are no longer wanted.
        :raises EToroTimeoutError: when it does not answer; the topics stay wanted.
        :raises EToroValidationError: for a topic that does not exist, and when *snapshot* is one.
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
        """Want *topics* no longer; waits as :meth:`subscribe` does.

        Also those of a :meth:`stream`, which then waits for rates that do not come.

        :param topics: as :meth:`subscribe`; those that were not wanted are ignored.
        :param wait: False returns at once.
        :param timeout: seconds to wait for the acknowledgement; None is ``request_timeout``.
        :raises EToroSubscriptionError: when eToro refuses.
        :raises EToroTimeoutError: when it does not answer.
        :raises EToroValidationError: for a topic that does not exist.
        """
        core = core_of(self)
        core.guard.check()
        names = check_topics(topics)
        timeout = check_timeout(timeout)
        core.requests.unsubscribe(names, wait, timeout)

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The wanted topics, oldest first."""
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
        """When the last pong came: seconds since the epoch, UTC; 0.0 before the first.

        Pings are only sent in silence, so on a busy stream this does not advance.
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
