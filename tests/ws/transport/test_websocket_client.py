"""What is imported as ``websocket`` is websocket-client, and recent enough."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.heavy

#: What the library uses, in a module that is another package's otherwise.
NAMES = "class ABNF: pass\nclass WebSocket: pass\n"
NAMES += (
    "class WebSocketException(Exception): pass\nWebSocketBadStatusException = WebSocketException\n"
)
REPAIR = (
    "pip uninstall -y websocket\n",
    'pip install --force-reinstall "websocket-client>=1.9.2,<2"',
)


def importing(folder: Path, code: str = "import etoro_sync") -> str:
    """Run *code* where *folder* comes first on the path; return the last error."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == (1 if done.stderr else 0)
    return done.stderr.rpartition("\nImportError: ")[2]


@pytest.mark.parametrize(
    "source",
    [
        "",
        "class WebSocket: pass",
        "import no_such_module_as_gevent",
        "raise RuntimeError('half broken')",
        "from etoro_sync import WsClient",
    ],
    ids=["empty", "another package", "its requirement", "raising", "the user's own program"],
)
def test_another_module_of_that_name_is_refused_at_the_import(tmp_path: Path, source: str) -> None:
    """The error names the file, and the lines that replace the package that it belongs to."""
    (tmp_path / "websocket.py").write_text(source)
    error = importing(tmp_path)
    assert str(tmp_path / "websocket.py") in error
    assert "rename it" in error
    for line in REPAIR:
        assert line in error


def test_a_folder_of_that_name_is_refused_at_the_import(tmp_path: Path) -> None:
    """Python takes a folder without an ``__init__.py`` for a package, too."""
    (tmp_path / "websocket").mkdir()
    # The real one would win over such a folder, so it is hidden, and the other requirement kept.
    code = (
        "import dataclasses_json; sys.path[:] = [p for p in sys.path if 'site-packages' not in p]; "
    )
    root = str(Path(__file__).parents[2])
    error = importing(tmp_path, f"{code}sys.path.append({root!r}); import etoro_sync.ws")
    assert str(tmp_path / "websocket") in error


@pytest.mark.parametrize("version", ["0.59.0", "1.9.1", "1.9", "unreadable"])
def test_a_version_that_is_too_old_is_refused_at_the_import(tmp_path: Path, version: str) -> None:
    """1.9.1 has a close race, and earlier ones take a redirect for a connection."""
    (tmp_path / "websocket.py").write_text(f"{NAMES}__version__ = {version!r}")
    error = importing(tmp_path)
    assert f"websocket.py is version {version}." in error
    assert "websocket-client 1.9.2 or later" in error
    assert REPAIR[1] in error


@pytest.mark.parametrize("version", ["1.9.2", "1.10", "1.9.2rc1", "2.0.0"])
def test_a_version_that_is_recent_enough_is_taken(tmp_path: Path, version: str) -> None:
    """Whether a later version fits is checked by pip."""
    (tmp_path / "websocket.py").write_text(f"{NAMES}__version__ = {version!r}")
    assert importing(tmp_path) == ""


def test_a_package_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """As after an installation without dependencies."""
    error = importing(tmp_path, "sys.modules['websocket'] = None; import etoro_sync")
    assert "not installed" in error
    assert REPAIR[1] in error
