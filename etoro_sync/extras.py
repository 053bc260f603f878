"""Advice for a package of an extra that is missing, or hidden by another module of its name."""

import importlib.util

__all__ = ["advice", "file_of"]


def advice(module: str, extra: str) -> str:
    """Return what to do so that *module* can be imported.

    :param module: a module that cannot be used. It is missing, or a file of the user's that has
        this name is found before the package.
    :param extra: the extra that installs the package.
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
    """Return the file that Python finds for a module that cannot be used; None: there is none."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # ValueError: it is half imported, or has no spec
        return "unknown"
    return None if spec is None else spec.origin or str([*(spec.submodule_search_locations or [])])
