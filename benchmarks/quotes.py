"""Figures that README.md and CHANGELOG.md quote from the page of a run."""

import re

__all__ = ["quote"]

_TARGET = re.compile(
    r"^\| throughput against etoropy, `\w+`, (with|without)\b.*\| ([\d.]+) x \|", re.MULTILINE
)
_DELIVERED = re.compile(
    r"^\| price changes delivered, `universe` .*\(etoropy ([\d.]+)%\)", re.MULTILINE
)
#: "3.7 to 5.2 times ..., without it 2.3 to 3.4 times", however the lines are broken.
_TIMES = re.compile(
    r"[\d.]+(\s+)to(\s+)[\d.]+(\s+times\b[^.;]*\bwithout\s+it\s+)[\d.]+ to [\d.]+ times"
)
_SHARE = re.compile(r"\d+( %\s+of\s+the\s+price\s+changes)")


def quote(page: str, text: str) -> str:
    """Return a text with its figures of speed as they stand on a page; the rest is as it was.

    :param page: docs/benchmarks.md. What was not measured there stays as it is.
    :param text: says how many times etoropy's throughput this library has, and what share of the
        price changes etoropy delivers.
    """
    speeds: dict[str, list[str]] = {"with": [], "without": []}
    for extra, factor in _TARGET.findall(page):
        speeds[extra].append(factor)
    if all(speeds.values()):
        fast, slow = (sorted(speeds[extra], key=float) for extra in ("with", "without"))
        text = _TIMES.sub(
            rf"{fast[0]}\g<1>to\g<2>{fast[-1]}\g<3>{slow[0]} to {slow[-1]} times", text
        )
    share = _DELIVERED.search(page)
    return _SHARE.sub(rf"{float(share[1]):.0f}\g<1>", text) if share else text
