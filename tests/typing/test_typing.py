"""Type checkers know what an event passes on: programs that are right, and lines that are wrong.

pyright is here as basedpyright: the same checker, in a package that brings its own node and so
needs no network when it runs.
"""

import ast
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etoro_sync import EVENTS, MarketStream

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs"
EXAMPLES = ROOT / "examples"
STUB = ROOT / "etoro_sync" / "stream" / "typed_stream.pyi"

#: (name of a program, line) -> what a checker says there.
Complaints = dict[tuple[str, int], str]


def mypy(folder: Path) -> Complaints:
    (folder / "mypy.ini").write_text(
        "[mypy]\nstrict = True\npython_version = 3.10\nwarn_unreachable = True\n", encoding="utf-8"
    )
    options = ["--config-file", f"{folder / 'mypy.ini'}", f"--cache-dir={folder}"]
    done = run("mypy", *options, PROGRAMS, EXAMPLES)
    assert done.returncode in (0, 1), done.stderr
    return {
        (Path(path).name, int(line)): text
        for path, line, text in re.findall(r"^(.+?):(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    }


def pyright(folder: Path) -> Complaints:
    settings = {
        "include": [f"{PROGRAMS}", f"{EXAMPLES}"],
        "extraPaths": [f"{ROOT}"],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.10",
        # `get().order_idd` alone is one.
        "reportUnusedExpression": False,
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    done = run("basedpyright", "--outputjson", "--project", folder, "--pythonpath", sys.executable)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = json.loads(done.stdout)
    files = [*PROGRAMS.glob("*.py"), *EXAMPLES.glob("*.py")]
    assert found["summary"]["filesAnalyzed"] >= len(files)
    return {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1): each["message"]
        for each in found["generalDiagnostics"]
        if each["severity"] == "error"
    }


def run(module: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,  # where both find the library of these tests, and not another one
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module", params=[mypy, pyright], ids=lambda checker: checker.__name__)
def complaints(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Complaints:
    """What a checker, as strict as it can be, says about the programs; each runs once."""
    checker: Callable[[Path], Complaints] = request.param
    package = "basedpyright" if checker is pyright else "mypy"
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed (pip install -e '.[dev]')")
    return checker(tmp_path_factory.mktemp(checker.__name__))


@pytest.mark.heavy
@pytest.mark.timeout(240)  # it reads the whole library, without a cache
@pytest.mark.parametrize("program", ["each_event.py", "right.py", "untyped.py"])
def test_a_checker_takes_what_is_right(complaints: Complaints, program: str) -> None:
    """And knows the types of all that comes out."""
    assert {place: text for place, text in complaints.items() if place[0] == program} == {}


@pytest.mark.heavy
@pytest.mark.timeout(240)
def test_a_checker_takes_the_examples(complaints: Complaints) -> None:
    """A program that begins as a copy of one is right in the strictest setting."""
    examples = {path.name for path in EXAMPLES.glob("*.py")}
    assert {place: text for place, text in complaints.items() if place[0] in examples} == {}


@pytest.mark.heavy
@pytest.mark.timeout(240)
@pytest.mark.parametrize("program", ["wrong.py", "wrong_for_each.py"])
def test_a_checker_refuses_each_wrong_line_and_no_other(
    complaints: Complaints, program: str
) -> None:
    """Arguments that an event does not pass, and fields that an item does not have."""
    lines = (PROGRAMS / program).read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    found = {line: text for (name, line), text in complaints.items() if name == program}
    assert len(marked) > 40
    assert {line: found.get(line) for line in marked if line not in found} == {}, "not refused"
    assert {line: text for line, text in found.items() if line not in marked} == {}


# -- the stub and the class -----------------------------------------------------------------------


def overloads() -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(STUB.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == "MarketStream":
            yield from (each for each in node.body if isinstance(each, ast.FunctionDef))


METHODS = sorted({each.name for each in overloads()})


@pytest.mark.parametrize("method", METHODS)
def test_each_method_of_the_stub_knows_all_events(method: str) -> None:
    """And none that does not exist; each once with each set of other arguments."""
    named: list[str] = []
    for each in overloads():
        if each.name == method:
            named += re.findall(r"'([^']+)'", ast.unparse(each.args.args[1].annotation or each))
    times = 2 if method in ("on", "once") else 1
    assert sorted(named) == sorted([*EVENTS] * times)


def test_the_stub_has_no_argument_that_the_class_has_not() -> None:
    """Of the same name, default and kind, in the same order."""
    for each in overloads():
        real = inspect.signature(getattr(MarketStream, each.name)).parameters
        positional = [parameter.arg for parameter in each.args.args]
        assert positional == [*real][: len(positional)], each.name
        defaults = dict(zip(reversed(positional), reversed(each.args.defaults), strict=False))
        for parameter, default in zip(each.args.kwonlyargs, each.args.kw_defaults, strict=True):
            assert real[parameter.arg].kind is inspect.Parameter.KEYWORD_ONLY
            assert default is not None
            defaults[parameter.arg] = default
        for name, expression in defaults.items():
            assert ast.literal_eval(expression) == real[name].default, (each.name, name)


def test_at_run_time_a_signature_is_plain_and_has_its_docstring() -> None:
    """What help() shows has no overloads."""
    assert METHODS == ["expect", "on", "once", "queue", "wait_for"]
    for name in METHODS:
        method = getattr(MarketStream, name)
        assert len((method.__doc__ or "").splitlines()) > 5
        assert "self, event" in str(inspect.signature(method)).replace(": ~Stream", "")
    assert MarketStream.__module__ == "etoro_sync.stream.market_stream"
