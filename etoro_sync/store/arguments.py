"""Checks the arguments of a store's methods."""

import os
from pathlib import Path

from ..errors import EToroValidationError
from ..numbers import real, whole
from ..text import show

__all__ = ["check_path", "check_time", "check_whole"]


def check_path(path: object) -> Path:
    """Return an absolute path, because the program may change its folder."""
    if not isinstance(path, (str, os.PathLike)) or str(path) in ("", ":memory:"):
        raise EToroValidationError(
            f"path must be that of a file, which survives the program, not {show(path, 60)}.",
            "path",
        )
    if "\0" in str(path):
        raise EToroValidationError(f"path has a NUL in it: {show(path, 60)}.", "path")
    return Path(path).absolute()


def check_whole(value: object, name: str) -> int:
    """Return a whole number, of any of the types that are accepted as one."""
    number = whole(value)
    if number is None:
        raise EToroValidationError(f"{name} must be a whole number, not {show(value, 60)}.", name)
    return number


def check_time(value: object) -> float:
    """Return seconds since the epoch, to look for what is later."""
    seconds = real(value)
    if seconds is None:
        raise EToroValidationError(
            f"since must be seconds since the epoch, such as time.time() - 3600, not "
            f"{show(value, 60)}.",
            "since",
        )
    return float(seconds)
