"""Writes pictures to files."""

import os
from pathlib import Path
from typing import Any

from ..errors import EToroError, EToroValidationError

__all__ = ["check_format", "save"]


def check_format(out: Path, matplotlib: Any) -> None:
    """Refuse a file whose ending stands for no format, before anything is read.

    :raises EToroValidationError: with the endings that there are.
    """
    formats = matplotlib.figure.Figure().canvas.get_supported_filetypes()
    if out.suffix[1:].lower() not in formats:
        raise EToroValidationError(
            f"out must end with one of .{', .'.join(sorted(formats))}, not {out.name!r}.", "out"
        )


def save(figure: Any, out: Path) -> None:
    """Write the picture aside, and rename it, so that no half of one is left.

    :raises EToroError: when the file cannot be written.
    """
    aside = out.with_name(f".{os.getpid()}.{out.name}")
    try:
        figure.savefig(aside, dpi=150)
        os.replace(aside, out)
    except OSError as exc:
        raise EToroError(f"{out} cannot be written: {exc.strerror or exc}.") from exc
    finally:
        aside.unlink(missing_ok=True)
