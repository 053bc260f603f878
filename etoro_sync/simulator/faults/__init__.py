"""
What can go wrong with a simulated feed, by name.

Every fault is a small class: its docstring says what it does, its fields are its arguments, and
its class attributes say what it concerns and in which phases of a connection it makes sense::

    for name, fault in FAULTS.items():
        for phase, given in fault.phases.items():
            run(name, phase, given)  # ... sim.fault(name, **given) ...
"""

# Each adds its faults to the list, in this order: that of a connection's life.
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
