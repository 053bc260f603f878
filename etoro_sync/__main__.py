"""The command ``etoro-sync``, which is also ``python -m etoro_sync``."""

import sys

from .extras import advice

__all__ = ["main"]

# What the extra "cli" installs, and what that stands on.
_EXTRA = {"typer", "rich", "click", "shellingham"}


def main() -> int:
    """Run the command line.

    :returns: the exit code.
    """
    try:
        from .cli import run
    except ImportError as exc:
        module = (exc.name or "").partition(".")[0]
        if module not in _EXTRA:
            raise
        print(f"The command line needs its extra: {advice(module, 'cli')}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
