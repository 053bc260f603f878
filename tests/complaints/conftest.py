"""The fixtures of the promises' tests serve here too, and a clock that leaps over waits."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from etoro_sync.ws import conversation, credentials, dialing, mailbox, reader, recovery
from tests.promises.conftest import client, simulator
from tests.support.clocks import LeapingTime, leaping_waker

__all__ = ["client", "leap", "simulator"]


@pytest.fixture
def leap(monkeypatch: pytest.MonkeyPatch) -> Iterator[LeapingTime]:
    """Let the reader of every client leap over its waits between two attempts to connect.

    All else is real: threads, sockets, refusals. Keepalive has a clock of its own, which does not
    leap: it is to be switched off. The jitter is the same in each run.
    """
    time = LeapingTime()
    for module in (conversation, credentials, dialing, mailbox, reader, recovery):
        monkeypatch.setattr(module, "time", time)
    monkeypatch.setattr(mailbox, "Waker", leaping_waker(time))
    state = random.getstate()
    random.seed(20)
    yield time
    random.setstate(state)
