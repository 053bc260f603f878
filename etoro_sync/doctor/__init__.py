"""Finds out, step by step, why a client cannot connect, and what the service does.

::

    from etoro_sync.doctor import examine

    report = examine()  # keys from the environment
    if report.failure is not None:
        print(report.failure)

Each step uses the part of the client that does the same. A report names every message, field, code
and frame that nobody has publicly reported of the service, and holds no keys and no account data.
"""

from .examination import examine
from .records import Deviation, End, Outcome, Spread, Step, Watched
from .report import Report

__all__ = ["Deviation", "End", "Outcome", "Report", "Spread", "Step", "Watched", "examine"]
