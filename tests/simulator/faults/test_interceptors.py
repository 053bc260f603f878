from types import SimpleNamespace
from typing import Any

import pytest

from etoro_sync.simulator.faults.interceptors import SlowSends


@pytest.mark.parametrize(
    ("upgraded", "handshake", "pieces"),
    [
        (False, True, [b"ab", b"cd", b"e"]),
        (True, True, [b"abcde"]),
        (True, False, [b"ab", b"cd", b"e"]),
    ],
)
def test_dripping_cuts_what_it_concerns(
    upgraded: bool, handshake: bool, pieces: list[bytes]
) -> None:
    """A handshake's drip leaves alone what comes after the handshake."""
    transport: Any = SimpleNamespace(upgraded=upgraded)
    sent: list[bytes] = []
    SlowSends(0, 2, handshake=handshake).send(transport, b"abcde", sent.append)
    assert sent == pieces
