"""The command line. No other module imports it, since it needs typer and rich.

::

    app --> showing --> streaming --> inbox      reads a client's queues as one sequence
     |          |           `-------> screens --> lines, table <-- table_contents
     |          `-----> names            ids of symbols, and names for the table
     |-> finding                         writes ids, symbols and names
     |-> simulating                      runs a simulator, alone or for a demonstration
     |-> keeping --> recording, replaying, serving --> progress
     |                                   the commands for recordings
     `-> ending                          exit codes, signals, one line for an error
"""

from .app import run

__all__ = ["run"]
