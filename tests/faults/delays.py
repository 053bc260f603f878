"""Measures how long this machine keeps processes from running, to excuse the client for it.

It is measured in a process of its own, and by what the kernel knows: a client that keeps the
interpreter's lock is not a slow machine.
"""

from __future__ import annotations

import subprocess
import sys

__all__ = ["DelayMonitor"]

#: Sleeps, and adds up by how much it woke too late; each byte that comes is answered with the sum.
#: Less than three milliseconds is what every timer is late.
_CODE = """
import os, select, time
total, before = 0.0, time.monotonic()
while True:
    asked = select.select([0], [], [], 0.01)[0]
    now = time.monotonic()
    late = now - before - 0.01
    if late > 0.003:
        total += late
    before = now
    if asked:
        if not os.read(0, 1):
            break
        os.write(1, b"%.6f\\n" % total)
"""


class DelayMonitor:
    """A process that does nothing but sleep. It ends with this one."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _CODE],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @property
    def late(self) -> float:
        """By how much it woke too late, in all, in seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"?")
        return float(self._process.stdout.readline())
