"""Where a user's caches are, by the customs of each system."""

import os
import sys
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path | None:
    """Return the folder for this package's files; None: this user has none."""
    given = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    # The specification of XDG has a relative path ignored.
    if os.path.isabs(given) and sys.platform != "darwin":
        base = Path(given)
    else:
        try:
            home = Path.home()
        except RuntimeError:  # a user without an entry in the system's list, as in containers
            return None
        base = home / {"win32": "AppData/Local", "darwin": "Library/Caches"}.get(
            sys.platform, ".cache"
        )
    return base / "etoro-sync"
