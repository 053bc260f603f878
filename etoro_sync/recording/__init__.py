"""Recordings of a stream: files that hold all that came, to be replayed or read as tables.

::

    recorder --> writer --> segment, folder, lock     writes what intake has kept
        `-----> intake                                a journal, on the stream's thread
    segments --> frames                               reads them, for a replay
    lines                                             one line of a segment, and back
"""

from .recorder import Recorder, RecorderStats

__all__ = ["Recorder", "RecorderStats"]
