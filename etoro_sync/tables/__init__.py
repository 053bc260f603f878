"""Recordings as tables: data frames, and files of other programs.

::

    copies --> recording --> files      writes CSV, JSON lines and Parquet
      |            `-------> replay     what is in a table is what a replay of the recording emits
      `--> a segment of a recording that goes on becomes Parquet files
"""

from .recording import Recording

__all__ = ["Recording"]
