"""All faults of the simulator, by name.

Every fault is a small class: its docstring says what it does, its fields are its arguments, and
its class attributes say which part of the server it concerns and in which phases of a connection
it can be used::

    for name, fault in FAULTS.items():
        for phase, given in fault.phases.items():
            run(name, phase, given)  # ... sim.fault(name, **given) ...
"""

# Each module registers its faults when it is imported: in the order of a connection's phases.
# isort: off
from .listening import HandshakeFault
from . import requests, frames, lasting, messages, feed, rewriting  # noqa: F401

# isort: on
from .active import ActiveFaults
from .base import FAULTS, MOMENTS, PHASES, Fault, make
from .script import Script, Step, read_script

__all__ = [
    "FAULTS",
    "MOMENTS",
    "PHASES",
    "ActiveFaults",
    "Fault",
    "HandshakeFault",
    "Script",
    "Step",
    "make",
    "read_script",
]
