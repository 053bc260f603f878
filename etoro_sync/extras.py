"""What to say of a package that an extra installs, when it is missing or another's module."""

import importlib.util

__all__ = ["advice", "file_of"]


def advice(module: str, extra: str) -> str:
    """Return what to do so that *module* is there.

    :param module: what cannot be used, although it may be found: a user's own file of that name
        comes before the package.
    :param extra: what installs it.
    """
    install = f'pip install "etoro-sync[{extra}]"'
    where = file_of(module)
    if where is None:
        return install
    return (
        f"what Python finds as {module} is {where}. If that file is your own, rename it; else "
        f"{install}"
    )


def file_of(module: str) -> str | None:
    """Return where a module is that cannot be used; None: nowhere."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # ValueError: it is half imported, or has no spec
        return "unknown"
    return None if spec is None else spec.origin or str([*(spec.submodule_search_locations or [])])
