"""Tells systemd how a stream is: ready, alive, ending. The protocol of sd_notify(3), by itself.

A message is a datagram of lines to the socket that ``NOTIFY_SOCKET`` names. The thread here looks
at the streams a few times a second, and needs no callback: registering one would cost something for
each message.
"""

import atexit
import contextlib
import logging
import os
import socket
import threading
import weakref
from collections.abc import Mapping

from .. import clocks
from ..closeable import Closeable
from ..errors import EToroError
from ..lifecycle import AT_WORK
from ..logs import log
from ..state import ClientState
from ..stream import MarketStream
from ..synchronization import ProcessGuard, join_thread
from ..text import no_thread, shorten
from .health import Limits, Watched, watched

__all__ = ["Notifier", "notify"]

#: Seconds between two looks at the streams, at most.
_PERIOD = 0.25
_READY = "READY=1"
#: Characters of a status: systemd ignores a message of more than 4096 bytes, signs of life and all.
_LONGEST = 500
#: Seconds for which a start is put off while the client works on its connection.
_EXTENSION = 30.0


def notify(
    streams: MarketStream | Mapping[str, MarketStream],
    *,
    max_age: float = Limits.max_age,
    max_silence: float | None = Limits.max_silence,
) -> "Notifier":
    """Report the client to the service manager until the result is closed, or the client is.

    It sends ``READY=1`` after the first data (on a stream of ``"private"`` alone, on which data may
    never come, once the client is live), ``STATUS=`` when the state changes, ``WATCHDOG=1`` twice
    in each ``WatchdogSec`` while the thread that reads takes its steps in time, also while it waits
    between two attempts to connect, and ``STOPPING=1`` at the end. Until it is ready, a start is
    allowed to take longer than ``TimeoutStartSec`` as long as the client tries to connect.

    It does nothing if the program was not started by such a manager (``NOTIFY_SOCKET`` is not set).
    It may be called before :meth:`~etoro_sync.WsClient.connect`, and keeps no client alive.

    :param streams: a client, or several by name; all have to be ready, and all have to work.
    :param max_age: seconds, as for :func:`etoro_sync.metrics.serve`; for ``STATUS=`` only.
    :param max_silence: likewise.
    :raises EToroError: when the system has no thread left.
    :raises EToroValidationError: naming the argument.
    """
    return Notifier(watched(streams), Limits(max_age, max_silence))


class Notifier(Closeable):
    """What :func:`notify` returns. A context manager; it also ends with the program.

    :param streams: what to report.
    :param limits: for the status.
    """

    _no_copies = "A Notifier cannot be copied or pickled: its thread belongs to this process."

    def __init__(self, streams: tuple[Watched, ...], limits: Limits) -> None:
        self._streams = streams
        self._limits = limits
        self._guard = ProcessGuard()
        self._socket = _Socket(os.environ.get("NOTIFY_SOCKET", ""))
        self._watchdog = _watchdog_period()
        self._ending = threading.Event()
        # Used by the thread alone:
        self._begun = self._ready = False
        self._seen: list[tuple[str, bool]] = []
        self._next_watchdog = self._next_extension = 0.0
        self._thread = threading.Thread(target=self._run, name="etoro-sync-notify", daemon=True)
        if self._socket.address is None:
            return
        try:
            self._thread.start()
        except RuntimeError as exc:
            self._socket.close()
            raise EToroError(f"Cannot report to the service manager: {no_thread(exc)}") from exc
        _notifiers.add(self)

    @property
    def active(self) -> bool:
        """Whether it reports: the program was started by a service manager, and goes on."""
        return not self._guard.foreign and self._thread.is_alive()

    def close(self) -> None:
        """Send ``STOPPING=1``, unless it was sent, and end the thread. Any thread."""
        if not self._guard.foreign and self._thread.ident is not None:
            self._ending.set()
            join_thread(self._thread, 2.0)

    # -- its thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        period = _PERIOD if self._watchdog is None else min(_PERIOD, self._watchdog / 2)
        try:
            while not self._ending.wait(period):
                states = [each.state for each in self._streams]
                news = self._news(clocks.monotonic())
                if self._socket.send(news):
                    self._ready = self._ready or _READY in news
                else:  # all of it is told with the next message
                    self._seen, self._next_watchdog, self._next_extension = [], 0.0, 0.0
                if self._is_over(states):
                    break
            self._socket.send(["STOPPING=1"])
        except Exception as exc:
            log(logging.ERROR, "Reporting to the service manager ended", exc_info=exc)
        finally:
            self._socket.close()

    def _is_over(self, states: list[ClientState | None]) -> bool:
        """Whether all clients are closed. Before the first connects, that is an earlier end."""
        self._begun = self._begun or any(state in AT_WORK or state is None for state in states)
        return self._begun and all(state in (ClientState.CLOSED, None) for state in states)

    def _news(self, now: float) -> list[str]:
        """Return the lines to send now."""
        lines = self._changes()
        works = all(each.works for each in self._streams)
        if not self._ready and all(_is_ready(each) for each in self._streams):
            lines.append(_READY)
        elif not self._ready and works and now >= self._next_extension:
            self._next_extension = now + _EXTENSION / 3
            lines.append(f"EXTEND_TIMEOUT_USEC={_EXTENSION * 1e6:.0f}")
        if self._watchdog is not None and works and now >= self._next_watchdog:
            self._next_watchdog = now + self._watchdog
            lines.append("WATCHDOG=1")
        return lines

    def _changes(self) -> list[str]:
        """Return the line with the status, if a client's state or health has changed."""
        found = [each.health(self._limits) for each in self._streams]
        seen = [(health.state, health.healthy) for health in found]
        if seen == self._seen:
            return []
        self._seen = seen
        texts = [health.state if health.healthy else health.reason for health in found]
        if len(texts) > 1:
            names = [each.name for each in self._streams]
            texts = [f"{name}: {text}" for name, text in zip(names, texts, strict=True)]
        # A line break in a name would begin another message.
        return [f"STATUS={shorten(' '.join('; '.join(texts).split()), _LONGEST)}"]


def _is_ready(each: Watched) -> bool:
    """Whether the first data has come, or none can be expected."""
    stream = each.stream
    if stream is None or stream.state is not ClientState.LIVE:
        return False
    return stream.stats().messages > 0 or set(getattr(stream, "subscriptions", ())) == {"private"}


def _watchdog_period() -> float | None:
    """Return the seconds between two signs of life, or None if none is wanted of this process."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = os.environ.get("WATCHDOG_USEC", "")
    microseconds = int(text) if text.isascii() and text.isdigit() else 0
    return microseconds / 1e6 / 2 if microseconds else None


class _Socket:
    """Sends datagrams to the service manager; an error is logged once, and is no error here.

    :param name: a path, or ``@`` with a name in Linux' abstract namespace; ``""`` sends nothing.
    """

    #: Seconds: a manager that reads nothing must not keep the program from ending.
    patience = 1.0

    def __init__(self, name: str) -> None:
        #: Where to send to; None: nowhere.
        self.address: str | None = None
        self._logged = False
        if not name or not hasattr(socket, "AF_UNIX"):
            return
        if name[0] not in "/@":
            log(logging.WARNING, "NOTIFY_SOCKET=%s is no socket of this machine.", name)
            return
        self.address = f"\0{name[1:]}" if name[0] == "@" else name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(self.patience)

    def send(self, lines: list[str]) -> bool:
        """Send lines as one message; return whether the manager has it."""
        if self.address is None or not lines:
            return True
        try:
            self._socket.sendto("\n".join(lines).encode(), self.address)
            return True
        except OSError as exc:
            if not self._logged:
                self._logged = True
                log(logging.WARNING, "Cannot reach the service manager: %s.", exc)
            return False

    def close(self) -> None:
        """Free the descriptor."""
        if self.address is not None:
            self._socket.close()


_notifiers: "weakref.WeakSet[Notifier]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Close all notifiers when the program ends: daemon threads may crash the interpreter then."""
    for notifier in list(_notifiers):
        with contextlib.suppress(Exception):
            notifier.close()
