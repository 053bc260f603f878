"""How long this machine keeps a thread from running, so that a client is not blamed for it."""

from __future__ import annotations

import threading
import time
from types import TracebackType

__all__ = ["Pulse"]

_BEAT = 0.01
#: Less than this is what every timer is late.
_USUAL = 0.003


class Pulse:
    """A thread that does nothing but sleep, and adds up by how much it woke too late.

    Use it as a context manager; :attr:`held_up` is for afterwards.
    """

    def __init__(self) -> None:
        self.held_up = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def _run(self) -> None:
        before = time.monotonic()
        while not self._over.wait(_BEAT):
            now = time.monotonic()
            late = now - before - _BEAT
            if late > _USUAL:
                self.held_up += late
            before = now

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
