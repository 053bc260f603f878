"""The methods that start and end the faults of a simulator."""

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from weakref import WeakSet

from . import arguments
from .faults import FAULTS, Fault, Script, Step, make, read_script
from .hub import Hub


class FaultControls:
    """Starts and ends faults. All methods may be called from any thread.

    :param hub: the simulator's state.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._scripts: WeakSet[Script] = WeakSet()

    def fault(self, name: str, /, **given: object) -> Fault:
        """Start a fault; ``docs/simulator.md`` has an example of each.

            sim.fault("close", code=4001)
            with sim.fault("mute"):
                ...

        :param name: one of :data:`~etoro_sync.simulator.FAULTS`.
        :param given: the fault's arguments.
        :returns: the fault; ``struck`` counts how often it took effect, ``heal()`` ends it.
        :raises ValueError: for an unknown name or argument; suggests the most similar one.
        """
        fault = make(name, given, tls=self._hub.faults.tls)
        fault.on_heal = self._end
        self._hub.faults.begin(fault)
        self._wait_settled()
        return fault

    def heal(self, name: str | None = None) -> int:
        """End the active faults. Messages that they held back are sent.

        :param name: ends only the faults of this name; None ends all.
        :returns: how many were ended.
        """
        if name is not None:
            arguments.choice("name", name, FAULTS)
        return self._end(*self._named(name))

    def _named(self, name: str | None) -> list[Fault]:
        """Return the active faults of one name, or all."""
        return [fault for fault in self.faults if name in (None, fault.name)]

    def _end(self, *faults: Fault) -> int:
        """End faults and wait until they no longer have any effect."""
        count = self._hub.faults.heal(*faults)
        self._wait_settled()
        return count

    @property
    def faults(self) -> list[Fault]:
        """The active faults, oldest first."""
        return self._hub.faults.active

    def play(self, script: "str | Path | Iterable[Sequence[object]]") -> Script:
        """Start a script of faults; it runs in the background.

            sim.play([(0.0, "mute"), (0.5, "heal"), (1.0, "close", {"code": 1001})])

        :param script: steps ``(seconds, name)`` or ``(seconds, name, arguments)`` in order of time;
            ``"heal"`` ends all faults, or with ``{"name": "mute"}`` those of one name. Or the path
            of a JSON file with such a list. All steps are checked before the first one runs.
        :returns: the script, which can be waited for and stopped. Stopping the simulator ends it.
        :raises ValueError: if a step is not valid.
        """
        steps = read_script(script, tls=self._hub.faults.tls)
        playing = Script((step for step, _ in steps), self._hub)
        with self._hub.changed:
            self._scripts.add(playing)
            for step, fault in steps:
                take = functools.partial(playing.carry_out, self._action(step, fault))
                self._hub.call_later(step.seconds, take)
        return playing

    def _action(self, step: Step, fault: Fault | None) -> Callable[[], object]:
        """Return the function that carries out a step; it runs under the lock and never waits."""
        faults = self._hub.faults
        if fault is not None:
            fault.on_heal = self._end
            return functools.partial(faults.begin, fault)
        return lambda: faults.heal(*self._named(step.given.get("name")))

    def _wait_settled(self) -> None:
        """Wait until the listening socket is as the faults require."""

    def refuse(self, operation: str, error_code: str, message: str = "", times: int = 1) -> None:
        """Refuse the next requests of an operation, without carrying them out.

        :param operation: ``"Authenticate"``, ``"Subscribe"`` or ``"Unsubscribe"``.
        :param error_code: ``errorCode`` of the refusal.
        :param message: ``errorMessage`` of the refusal.
        :param times: how many requests to refuse.
        """
        arguments.text("error_code", error_code, empty=False)
        arguments.integer("times", times, 1)
        self.fault("reject", operation=operation, code=error_code, message=message, times=times)

    def ignore(self, operation: str, times: int = 1) -> None:
        """Leave the next requests of an operation unanswered, without carrying them out.

        :param operation: ``"Authenticate"``, ``"Subscribe"`` or ``"Unsubscribe"``.
        :param times: how many requests to ignore.
        """
        arguments.integer("times", times, 1)
        self.fault("no_answer", operation=operation, times=times)
