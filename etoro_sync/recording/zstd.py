"""The compression of recordings: the standard library's where it has zstd, else its backport."""

import sys
from typing import Any

from ..errors import EToroError
from ..extras import advice

__all__ = ["load_zstd"]


def load_zstd() -> Any:
    """Return the module of zstd; ``compression.zstd`` and ``backports.zstd`` have the same names.

    :raises EToroError: when it is not installed, with what to install.
    """
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as exc:
        raise EToroError(
            f"Recordings need zstd, which is not installed: {advice('backports.zstd', 'record')}"
        ) from exc
    return zstd
