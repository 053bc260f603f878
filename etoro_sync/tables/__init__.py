"""Recordings as tables: data frames, and files of other programs.

::

    copies --> recording --> files      writes CSV, JSON lines and Parquet
      |            `-------> replay     what is in a table is what a replay of the recording emits
      `--> makes Parquet files of a recording that goes on
"""

from .recording import Recording

__all__ = ["Recording"]
