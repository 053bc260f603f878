"""Scripts: faults that start and end at set times, from a Python list or a JSON file."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import arguments
from ..observable import ObservableState
from .base import FAULTS, Fault, make

#: The step that ends faults: all, or those of one name.
HEAL = "heal"


@dataclass(frozen=True)
class Step:
    """One step of a script.

    :param seconds: its time, in seconds from the start of the script.
    :param name: the name of a fault, or ``"heal"``.
    :param given: the arguments.
    """

    seconds: float
    name: str
    given: Mapping[str, Any] = field(default_factory=dict)


def read_script(source: object, *, tls: bool) -> list[tuple[Step, Fault | None]]:
    """Read a script and create its faults, so that mistakes are reported before the first step.

    :param source: steps ``(seconds, name)`` or ``(seconds, name, arguments)`` in order of time, or
        the path of a JSON file that holds a list of such lists.
    :param tls: whether the simulator uses TLS.
    :returns: the steps, with their faults; a step ``"heal"`` has none.
    :raises ValueError: if a step is not valid, with its number; or if the file is not JSON.
    :raises TypeError: if it is not a list of steps, or an argument has the wrong type.
    :raises OSError: if the file cannot be read.
    """
    if isinstance(source, (str, Path)):
        try:
            source = json.loads(Path(source).read_text(encoding="utf-8-sig"))
        except (ValueError, RecursionError) as exc:
            raise ValueError(f"{source} is not a JSON file: {exc}") from exc
    if isinstance(source, (bytes, Mapping)) or not isinstance(source, Iterable):
        raise TypeError(f"a script must be a list of steps, not {source!r}")
    read = []
    last = 0.0
    for number, raw in enumerate(source, 1):
        try:
            step = _step(raw)
            if step.seconds < last:
                raise ValueError(
                    f"steps must be in order of time, but {step.seconds:g} s comes after {last:g} s"
                )
            last = step.seconds
            read.append((step, _fault(step, tls)))
        except (TypeError, ValueError) as exc:
            raise type(exc)(f"step {number} of the script: {exc}") from exc
    return read


def _step(raw: Any) -> Step:
    """Check a raw step and return it."""
    if isinstance(raw, (str, bytes, Mapping)) or not isinstance(raw, Iterable):
        raise TypeError(f"a step must be (seconds, name, arguments), not {raw!r}")
    parts = tuple(raw)
    if not 2 <= len(parts) <= 3:
        raise ValueError(f"a step must be (seconds, name, arguments), not {parts!r}")
    given = parts[2] if len(parts) == 3 else {}
    if not isinstance(given, Mapping):
        raise TypeError(f"the arguments must be a mapping, not {given!r}")
    return Step(arguments.number("seconds", parts[0]), arguments.text("name", parts[1]), given)


def _fault(step: Step, tls: bool) -> Fault | None:
    """Create the fault of a step; None for ``"heal"``."""
    if step.name != HEAL:
        return make(step.name, step.given, tls=tls)
    if not step.given.keys() <= {"name"}:
        raise ValueError(
            f"heal takes only the argument 'name', not {', '.join(map(str, step.given))}"
        )
    if step.given:
        arguments.choice("name", step.given["name"], FAULTS)
    return None


class Script:
    """A running script, created by :meth:`~etoro_sync.simulator.EToroSimulator.play`.

    :param steps: its steps, in order of time.
    :param simulator: the simulator's state.
    """

    def __init__(self, steps: Iterable[Step], simulator: ObservableState) -> None:
        self._steps = tuple(steps)
        self._count = 0
        self._stopped = False
        self._simulator = simulator

    @property
    def done(self) -> bool:
        """Whether all steps have been carried out, or the script was stopped."""
        return self._stopped or self._count == len(self._steps)

    @property
    def taken(self) -> tuple[Step, ...]:
        """The steps that have been carried out so far."""
        return self._steps[: self._count]

    def stop(self) -> None:
        """Carry out no more steps. Faults that it has started stay active."""
        with self._simulator.changed:
            self._stopped = True
            self._simulator.changed.notify_all()

    def wait(self, timeout: float = 10.0) -> None:
        """Wait until it is done.

        :param timeout: seconds to wait at most.
        :raises TimeoutError: if steps are left after *timeout*.
        """
        arguments.number("timeout", timeout)
        if not self._simulator.wait_until(lambda: self.done, timeout):
            left = len(self._steps) - self._count
            steps = "1 step of the script is" if left == 1 else f"{left} steps of the script are"
            raise TimeoutError(f"{steps} left after {timeout:g} s")

    def carry_out(self, action: Callable[[], object]) -> None:
        """Carry out one step, unless the script was stopped. Requires the simulator's lock."""
        if not self._stopped:
            action()
            self._count += 1
