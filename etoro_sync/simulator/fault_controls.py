"""What lets something go wrong in a simulator."""

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from weakref import WeakSet

from . import arguments
from .faults import FAULTS, Fault, Script, Step, make, read_script
from .hub import Hub


class FaultControls:
    """
    The faults of a simulator. All of it may be used from any thread.

    :param hub: The simulator's state.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._scripts: WeakSet[Script] = WeakSet()

    def fault(self, name: str, /, **given: object) -> Fault:
        """
        Let something go wrong; ``docs/simulator.md`` has an example of every fault.

            sim.fault("close", code=4001)
            with sim.fault("mute"):
                ...

        :param name: What: one of :data:`~etoro_sync.simulator.FAULTS`.
        :param given: The fault's arguments.
        :return: The fault, which counts how often it ``struck`` and can be healed.
        :raises ValueError: For a name or an argument that doesn't exist, with the nearest one.
        """
        fault = make(name, given, tls=self._hub.faults.tls)
        fault.on_heal = self._end
        self._hub.faults.begin(fault)
        self._wait_settled()
        return fault

    def heal(self, name: str | None = None) -> int:
        """
        End the faults in force. What they have held back goes out.

        :param name: Only those of this name; None ends all.
        :return: How many it were.
        """
        if name is not None:
            arguments.choice("name", name, FAULTS)
        return self._end(*self._named(name))

    def _named(self, name: str | None) -> list[Fault]:
        """Give the faults in force of one name, or all."""
        return [fault for fault in self.faults if name in (None, fault.name)]

    def _end(self, *faults: Fault) -> int:
        """End faults, and don't return before they have ended."""
        count = self._hub.faults.heal(*faults)
        self._wait_settled()
        return count

    @property
    def faults(self) -> list[Fault]:
        """The faults in force, oldest first."""
        return self._hub.faults.active

    def play(self, script: "str | Path | Iterable[Sequence[object]]") -> Script:
        """
        Play a script of faults from now on, while everything else goes on.

            sim.play([(0.0, "mute"), (0.5, "heal"), (1.0, "close", {"code": 1001})])

        :param script: Steps ``(seconds, name)`` or ``(seconds, name, arguments)`` in order of time;
            ``"heal"`` ends all faults, or with ``{"name": "mute"}`` those of one name. Or the path
            of a JSON file with such a list. A step fails before the first one is carried out.
        :return: The script, which can be waited for and stopped. :meth:`stop` ends it, too.
        :raises ValueError: If a step is wrong.
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
        """Give what a step does; it runs with the lock held and waits for nothing."""
        faults = self._hub.faults
        if fault is not None:
            fault.on_heal = self._end
            return functools.partial(faults.begin, fault)
        return lambda: faults.heal(*self._named(step.given.get("name")))

    def _wait_settled(self) -> None:
        """Wait until the port is as the faults want it."""

    def refuse(self, operation: str, error_code: str, message: str = "", times: int = 1) -> None:
        """
        Refuse the next requests of an operation. They have no effect.

        :param operation: ``"Authenticate"``, ``"Subscribe"`` or ``"Unsubscribe"``.
        :param error_code: ``errorCode`` of the refusal.
        :param message: ``errorMessage`` of the refusal.
        :param times: How many requests.
        """
        arguments.text("error_code", error_code, empty=False)
        arguments.integer("times", times, 1)
        self.fault("reject", operation=operation, code=error_code, message=message, times=times)

    def ignore(self, operation: str, times: int = 1) -> None:
        """
        Never answer the next requests of an operation. They have no effect.

        :param operation: ``"Authenticate"``, ``"Subscribe"`` or ``"Unsubscribe"``.
        :param times: How many requests.
        """
        arguments.integer("times", times, 1)
        self.fault("no_answer", operation=operation, times=times)
