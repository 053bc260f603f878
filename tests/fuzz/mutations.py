"""Bytes that resemble given ones: what a fuzzer does that does not watch the code.

Used by the tests, where every run has to do the same, and by ``make fuzz`` where atheris, which
watches the code, has no build for the Python at hand.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

__all__ = ["MOST_BYTES", "mutants"]

#: Longer inputs take more time and find no more.
MOST_BYTES = 4096
#: Bytes that have a meaning somewhere: in frames, in JSON, in HTTP.
_TELLING = [
    b"\x00",
    b"\xff",
    b"\x7e",
    b"\x7f",
    b"\x80",
    b"\x81",
    b"\x88",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
]
_TELLING += [
    b":",
    b",",
    b"\\",
    b"\\ud800",
    b"null",
    b"1e999",
    b"-0",
    b"\n",
    b"\r\n\r\n",
    b"\xed\xa0\x80",
]


def mutants(seeds: Sequence[bytes], chance: random.Random) -> Iterator[bytes]:
    """Yield without end: seeds that were changed in one to four places."""
    while True:
        data = chance.choice(seeds)
        for _ in range(chance.randint(1, 4)):
            data = _mutate(data, seeds, chance)[:MOST_BYTES]
        yield data


def _mutate(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    start = chance.randint(0, len(data))
    stop = min(start + int(chance.expovariate(0.1)), len(data))
    match chance.randrange(6):
        case 0:  # flip a bit
            flipped = (
                bytes([data[start] ^ (1 << chance.randrange(8))]) if start < len(data) else b""
            )
            return data[:start] + flipped + data[start + 1 :]
        case 1:  # cut out
            return data[:start] + data[stop:]
        case 2:  # duplicate
            return data[:stop] + data[start:]
        case 3:  # insert
            return data[:start] + chance.choice(_TELLING) + data[start:]
        case 4:  # replace
            return data[:start] + chance.choice(_TELLING) + data[stop:]
        case _:  # splice: the head of one, the tail of another
            other = chance.choice(seeds)
            return data[:start] + other[chance.randint(0, len(other)) :]
