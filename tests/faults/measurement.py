"""What is measured of one scenario; plain data, which the page is written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Measurement", "Wait"]


class Wait(NamedTuple):
    """What `reconnecting` told, and how long it took from there to the next event, if one came."""

    attempt: int
    delay: float
    waited: float | None


@dataclass
class Measurement:
    """What was measured. Times are in seconds; None: it was not, or it did not happen.

    :param struck: how often the fault has struck; a state that only is in force counts once.
    :param events: what the callbacks were told of the connection, from the fault on.
    :param waits: the same of `reconnecting`, with its arguments.
    :param detected: from the fault until the user was told, or until a call returned.
    :param recovered: from then until everything was as before.
    :param flowing: how long the last messages took to come to everybody.
    :param raised: what ``connect()`` or another call raised, or "returned".
    :param took: how long the user's ``subscribe()`` or ``unsubscribe()`` took.
    :param state: of the client, before the final ``disconnect()``.
    :param sent: messages that the simulator sent.
    :param inside: how many of them did not arrive, inside of gaps.
    :param outside: the same outside of gaps; one line for each way to the user.
    :param disorder: what came twice or in the wrong order; the same.
    :param gaps: what is wrong with the ends of the gaps that were told.
    :param different: what was not the same on both sides in the end.
    :param disconnected: how long ``disconnect()`` took.
    :param calls: how each blocked call ended.
    :param again: the same of those of a second ``connect()``, after the first has failed.
    :param late: by how much the last of them ended later than the client.
    :param threads: those left behind.
    :param descriptors: the same.
    :param held_up: how long the machine kept threads from running meanwhile.
    :param queued: how long this process's threads waited for a processor, all together.
    :param slowness: what all times of the scenario were multiplied with.
    :param void: what was broken when it was played before, on a machine that was too busy.
    """

    scenario: str
    struck: int | None = None
    events: list[str] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    detected: float | None = None
    recovered: float | None = None
    flowing: float | None = None
    raised: str = ""
    took: float | None = None
    state: str = ""
    sent: int = 0
    inside: int = 0
    outside: list[str] = field(default_factory=list)
    disorder: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    disconnected: float | None = None
    calls: dict[str, str] = field(default_factory=dict)
    again: dict[str, str] = field(default_factory=dict)
    late: float | None = None
    threads: list[str] = field(default_factory=list)
    descriptors: list[str] = field(default_factory=list)
    held_up: float = 0.0
    queued: float = 0.0
    slowness: float = 1.0
    void: list[str] = field(default_factory=list)
