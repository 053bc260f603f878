"""The supported CPythons of this machine, each with an environment that has the library in it.

They are looked for on the PATH and with pyenv. An environment is made once, under build/.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["environment", "pythons"]

_ROOT = Path(__file__).resolve().parents[1]
_SUPPORTED = ("3.10", "3.11", "3.12", "3.13")


def pythons() -> Iterator[tuple[str, Path]]:
    """Yield minor version and path of each supported CPython, one of each."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in _SUPPORTED:
        places = sorted(pyenv.glob(f"{version}.*/bin/python{version}"))
        on_path = shutil.which(f"python{version}")
        found = [*places, *([Path(on_path)] if on_path else [])]
        # pyenv's stand-ins exist for versions too that are not chosen, and fail then.
        works = [p for p in found if subprocess.run([p, "-V"], capture_output=True).returncode == 0]
        if works:
            yield version, works[0]


def environment(version: str, python: Path) -> Path:
    """Return the interpreter of an environment with the library in it; made when it is missing."""
    place = _ROOT / "build" / "pythons" / version
    made = place / "bin" / "python"
    if not (place / ".complete").exists():
        print(f"Making an environment for Python {version} ...", file=sys.stderr, flush=True)
        subprocess.run([python, "-m", "venv", "--clear", place], check=True)
        pip = [made, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--editable", _ROOT], check=True)
        (place / ".complete").touch()
    return made
