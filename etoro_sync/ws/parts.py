"""What the reader thread works with, from ``connect()`` to the end of the session."""

from collections.abc import Callable
from dataclasses import dataclass

from .addresses import Addresses
from .feed import Feed
from .lifecycle import ClientState
from .options import WsClientOptions
from .own_threads import OwnThreads
from .protocol import Protocol
from .rate_book import RateBook
from .stats import Counters

__all__ = ["Parts"]


@dataclass(frozen=True)
class Parts:
    """Made by the session, and shared by the reader, its recovery and its conversations.

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
    protocol: Protocol
    book: RateBook
    feed: Feed
    counters: Counters
    advance: Callable[[ClientState], None]
    own_threads: OwnThreads
    addresses: Addresses
