"""What is measured of one scenario; plain data, which the page is written from."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Measurement"]


@dataclass
class Measurement:
    """What was measured. Times are in seconds; None: it did not happen.

    :param events: what the callbacks were told of the connection, from the fault on.
    :param detected: from the fault until the user was told, or until a call returned.
    :param recovered: from then until everything was as before.
    :param raised: what ``connect()`` or another call raised, or "returned".
    :param took: how long the user's ``subscribe()`` took.
    :param state: of the client, before the final ``disconnect()``.
    :param sent: messages that the simulator sent.
    :param inside: how many of them did not arrive, inside of gaps.
    :param outside: the same outside of gaps; one line for each way to the user.
    :param different: what was not the same on both sides in the end.
    :param disconnected: how long ``disconnect()`` took.
    :param calls: how each blocked call ended.
    :param late: by how much the last of them ended later than the client.
    :param threads: those left behind.
    :param descriptors: the same.
    :param held_up: how long the machine kept threads from running meanwhile.
    :param slowness: what all times of the scenario were multiplied with.
    :param plays: how often it was played, this time included: all others were held up too long.
    """

    scenario: str
    events: list[str] = field(default_factory=list)
    detected: float | None = None
    recovered: float | None = None
    raised: str = ""
    took: float = 0.0
    state: str = ""
    sent: int = 0
    inside: int = 0
    outside: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    disconnected: float = 0.0
    calls: dict[str, str] = field(default_factory=dict)
    late: float = 0.0
    threads: list[str] = field(default_factory=list)
    descriptors: list[str] = field(default_factory=list)
    held_up: float = 0.0
    slowness: float = 1.0
    plays: int = 1
