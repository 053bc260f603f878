"""Happy Eyeballs (RFC 8305): tries addresses in parallel, so that a dead one costs 250 ms.

An attempt begins every 250 ms, or as soon as one has failed. The first that completes TCP, and TLS
if that is required, wins. All runs on the reader thread, with non-blocking sockets and a selector.
"""

import os
import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ... import clocks
from ...logs import tidy
from .addresses import Address
from .socket_stream import end_stream, start_tls
from .waker import Waker, cap

__all__ = ["Failure", "Race", "RaceLost"]

#: Seconds between two attempts (RFC 8305, section 5). When an attempt completes TCP, the next one
#: is delayed by as much again, or a distant server would be connected to twice each time.
_HEAD_START = 0.25
Secure = tuple[Callable[[], ssl.SSLContext], str]
_WAIT_TO_READ = (BlockingIOError, InterruptedError, ssl.SSLWantReadError)


class RaceLost(Exception):
    """All attempts have failed.

    :param failure: of the attempt that got furthest.
    """

    def __init__(self, failure: "Failure") -> None:
        super().__init__()
        self.failure = failure


@dataclass(frozen=True)
class Failure:
    """Why an attempt has failed.

    :param address: that was tried.
    :param connected: whether TCP was complete, so that the error belongs to TLS.
    :param error: what was raised.
    """

    address: tuple[object, ...]
    connected: bool
    error: Exception


class Race:
    """Connects to one of several addresses.

    :param addresses: in the order in which to try them.
    :param secure: a function that makes the TLS context, and the host's name; None: TCP only.
    :param waker: ends waits.
    :param check: called before each wait, with whether an attempt has completed TCP; raises to end
        the race.
    :param deadline: absolute monotonic time at which *check* raises.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        addresses: Iterable[Address],
        secure: Secure | None,
        waker: Waker,
        check: Callable[[bool], None],
        deadline: float,
        clock: Callable[[], float] = clocks.monotonic,
    ) -> None:
        self._waiting = deque(addresses)
        self._secure = secure
        self._waker = waker
        self._check = check
        self._deadline = deadline
        self._clock = clock
        self._attempts: list[_Attempt] = []
        self._next_start = 0.0
        #: Of the failed attempt that got furthest.
        self.failure: Failure | None = None
        #: Addresses that have failed, or were being tried at the deadline.
        self.losers: list[tuple[object, ...]] = []

    def run(self) -> tuple[socket.socket, tuple[object, ...]]:
        """Return a connected socket, with TLS complete if required, and its address.

        :raises RaceLost: when all attempts have failed.
        :raises OSError: when no selector can be made, because descriptors have run out.
        """
        winner: _Attempt | None = None
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._waker, selectors.EVENT_READ)
                while winner is None:
                    self._check(any(attempt.connected for attempt in self._attempts))
                    winner = self._start_due(selector) or self._await(selector)
            return winner.sock, winner.address
        except TimeoutError:
            self.losers += [attempt.address for attempt in self._attempts]
            raise
        finally:
            tidy(*(attempt.close for attempt in self._attempts if attempt is not winner))

    def _start_due(self, selector: selectors.BaseSelector) -> "_Attempt | None":
        """Begin the attempts that are due; return one that is complete at once."""
        while self._waiting and self._clock() >= self._next_start:
            self._next_start = self._clock() + _HEAD_START
            found = self._waiting.popleft()
            try:
                attempt = _Attempt(found, self._secure)
            except OSError as exc:  # such as an address family that this system does not support
                self._note(Failure(found[4], False, exc))
                continue
            self._attempts.append(attempt)
            if self._advance(attempt, selector):
                return attempt
        return None

    def _await(self, selector: selectors.BaseSelector) -> "_Attempt | None":
        """Wait once and continue the attempts that are ready; return one that is complete."""
        if not self._attempts:
            assert self.failure is not None, "a race needs an address"
            raise RaceLost(self.failure)
        until = min(self._deadline, self._next_start) if self._waiting else self._deadline
        for key, _ in selector.select(cap(until - self._clock())):
            if key.data is None:
                self._waker.drain()
                continue
            selector.unregister(key.fileobj)
            if self._advance(key.data, selector):
                return key.data  # type: ignore[no-any-return]  # as it was registered
        return None

    def _advance(self, attempt: "_Attempt", selector: selectors.BaseSelector) -> bool:
        """Continue an attempt without blocking; return whether it is complete."""
        was_connected = attempt.connected
        try:
            events = attempt.step()
            if events:
                selector.register(attempt.sock, events, attempt)
                if attempt.connected and not was_connected:
                    self._next_start = self._clock() + _HEAD_START
            return not events
        except (OSError, ValueError) as exc:
            self._attempts.remove(attempt)
            tidy(attempt.close)
            self._note(Failure(attempt.address, attempt.connected, exc))
            return False

    def _note(self, failure: Failure) -> None:
        self.losers.append(failure.address)
        if self.failure is None or failure.connected >= self.failure.connected:
            self.failure = failure
        self._next_start = 0.0  # begin the next attempt at once


class _Attempt:
    """One attempt to connect.

    :param found: the address to try.
    :param secure: as for :class:`Race`.
    :raises OSError: when the socket cannot be made.
    """

    def __init__(self, found: Address, secure: Secure | None) -> None:
        family, kind, protocol, _, self.address = found
        self._secure = secure
        self._tls: ssl.SSLSocket | None = None
        self._begun = False
        #: Whether TCP is complete.
        self.connected = False
        self.sock = socket.socket(family, kind, protocol)
        self.sock.setblocking(False)

    def step(self) -> int:
        """Continue without blocking; return the selector events to wait for, 0 when complete.

        :raises OSError: when the attempt has failed.
        :raises ValueError: when the host's name cannot be in a certificate.
        """
        if not self.connected and not self._connect():
            return selectors.EVENT_WRITE
        self.connected = True
        if self._secure is None:
            return 0
        if self._tls is None:
            context, name = self._secure
            self.sock = self._tls = start_tls(self.sock, context(), name)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        except _WAIT_TO_READ:
            return selectors.EVENT_READ
        return 0

    def _connect(self) -> bool:
        """Begin to connect, or check the result; return whether TCP is complete.

        :raises OSError: when it has failed.
        """
        if self._begun:
            error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            return True
        self._begun = True
        try:
            self.sock.connect(self.address)
        except (BlockingIOError, InterruptedError):
            return False
        return True  # some systems connect to loopback addresses at once

    def close(self) -> None:
        """Free the descriptor."""
        tidy(lambda: end_stream(self.sock), self.sock.close)
