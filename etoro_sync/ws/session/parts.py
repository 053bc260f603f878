"""What the reader thread works with, from ``connect()`` to the end of the session."""

from collections.abc import Callable
from dataclasses import dataclass

from ...market.feed_handler import FeedHandler
from ...market.rate_book import RateBook
from ...own_threads import OwnThreads
from ...state import ClientState
from ...stats import Counters
from ..options import WsClientOptions
from ..protocol.control import ControlChannel
from ..transport.addresses import Addresses

__all__ = ["Parts"]


@dataclass(frozen=True)
class Parts:
    """Made by the session, and shared by the reader, its controller and its connection loops.

    :param options: the client's.
    :param protocol: requests and replies; used by the reader thread alone.
    :param book: merged states; changed by the reader thread alone.
    :param feed: turns messages into events.
    :param counters: what is counted.
    :param advance: told where the session stands.
    :param own_threads: those of the client.
    :param addresses: which of the server's have worked; used by the reader thread alone.
    """

    options: WsClientOptions
    protocol: ControlChannel
    book: RateBook
    feed: FeedHandler
    counters: Counters
    advance: Callable[[ClientState], None]
    own_threads: OwnThreads
    addresses: Addresses
