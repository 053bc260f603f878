"""The command line. Nothing else of the package imports it, for it needs typer and rich.

::

    app --> streaming --> inbox          queues of a client, read in order
     |          `-------> screens --> lines, table <-- board
     |-> simulating                      the simulator alone, or behind a demonstration
     `-> ending                          exit codes, signals, one line for a failure
"""

from .app import run

__all__ = ["run"]
