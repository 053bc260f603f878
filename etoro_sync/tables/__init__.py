"""Recordings as tables: data frames, files of other programs, pictures.

::

    recording --> files      writes CSV, JSON lines and Parquet
        |-------> plot       draws bid and ask
        `-------> replay     what is in a table is what a replay of the recording emits
"""

from .recording import Recording

__all__ = ["Recording"]
