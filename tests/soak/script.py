"""Random scripts of faults for the simulator; the same seed, the same scripts. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

from etoro_sync.simulator import FAULTS

__all__ = ["FINAL", "LONGEST_HOLD", "FaultScripts", "Step", "twisted"]

Step = tuple[float, str, dict[str, Any]]

#: Seconds for which a lasting fault is in force.
_SHORTEST_HOLD, LONGEST_HOLD = 0.2, 6.0
_MEAN_PAUSE = 8.0
#: The chance that another fault begins at the same time.
_PAIR = 0.25
#: The others end a connection that was never live, or need TLS, which the soak's simulator has not.
_PHASES = ("connect", "handshake", "authenticate", "subscribe", "live")
#: A client that meets them is to end, as promised, and not to recover.
FINAL = frozenset(["insufficient_permissions"])
#: After these, what the client was sent and what the simulator takes for the truth may differ: an
#: older price came last, or one that is none, so that the price is unknown. Snapshots mend that.
_TWIST = {"reorder", "nan", "wrong_types"}
#: The same for each instrument that is restored meanwhile: it has no last execution for a while.
_TWIST_ALL = {"zero_last_execution", "no_snapshot"}


class FaultScripts:
    """Makes one script after the other.

    :param seed: of the choices.
    :param instrument_ids: what faults of single instruments may befall.
    """

    def __init__(self, seed: int, instrument_ids: range) -> None:
        self._random = random.Random(seed)
        self._ids = instrument_ids
        self._cases = [
            (name, phase)
            for name, fault in FAULTS.items()
            if not fault.needs_tls and name not in FINAL
            for phase in fault.phases
            if phase in _PHASES
        ]

    def next(self, seconds: float) -> list[Step]:
        """Make a script of this length: faults one after the other, now and then two at once."""
        steps: list[Step] = []
        now = self._random.uniform(0.0, min(2.0, seconds / 4))
        while now < seconds:
            hold = self._random.uniform(_SHORTEST_HOLD, min(LONGEST_HOLD, seconds / 2))
            for _ in range(1 + (self._random.random() < _PAIR)):
                steps += self._episode(now, now + hold)
            now += hold + self._random.expovariate(1 / _MEAN_PAUSE)
        # Stable, so that what belongs together keeps its order.
        return sorted(steps, key=lambda step: step[0])

    def _episode(self, begin: float, end: float) -> Iterator[Step]:
        name, phase = self._random.choice(self._cases)
        given = dict(FAULTS[name].phases[phase])
        chosen = self._random.choice(self._ids)
        if name in ("duplicate", "reorder", "forget"):
            given["topic"] = f"instrument:{chosen}"
        elif name in ("freeze", "nan"):
            given["instrument_id"] = chosen
        elif name == "reject" and phase == "authenticate" and self._random.random() < 0.5:
            given["code"] = "TooManyRequests"
        yield begin, name, given
        if phase != "live":
            yield begin, "reset", {}  # so that there is a connection to be made
        yield end, "heal", {"name": name}


def twisted(steps: Iterable[Step], subscribed: Iterable[str] = ()) -> list[int]:
    """Return the instruments that need a snapshot once the faults of *steps* are healed.

    :param subscribed: all topics; of what befalls each instrument, each has to be mended.
    """
    found = set()
    for _, name, given in steps:
        if name in _TWIST:
            topic = given.get("topic", "instrument:18")
            found.add(given.get("instrument_id", int(topic.removeprefix("instrument:"))))
        elif name in _TWIST_ALL:
            found |= {
                int(topic.removeprefix("instrument:")) for topic in subscribed if ":" in topic
            }
    return sorted(found)
