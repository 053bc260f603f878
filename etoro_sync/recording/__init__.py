"""Recordings of a stream: files that hold all that came, to be replayed or read as tables.

::

    recorder --> writer --> series --> segment, folder, lock
        |                                             writes what intake has kept
        `------> intake                               a journal, on the stream's thread
    copies                                            closed segments become Parquet files
    segments --> frames                               reads them, for a replay
    recovery                                          repairs them
    details --> keyframes --> lines, values           what was noted, as lines, and back
"""

from .recorder import Recorder, RecorderStats
from .recovery import Recovered, recover

__all__ = ["Recorder", "RecorderStats", "Recovered", "recover"]
