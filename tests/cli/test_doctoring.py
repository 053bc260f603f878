"""The command doctor: lines or one JSON object, a report in a file, exit codes, Ctrl-C."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from etoro_sync.cli import doctoring, run
from etoro_sync.doctor import Outcome, Step, Watched
from etoro_sync.doctor.page import INDENT
from etoro_sync.simulator import EToroSimulator
from tests.support.processes import interruptible
from tests.support.raw_server import Refuser

pytestmark = pytest.mark.heavy

QUICK = ["doctor", "--traffic", "0.05", "--wait", "1"]
DEMO = [*QUICK, "--demo"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="sends signals")


def test_each_step_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe, as soon as it was taken; nothing on stderr."""
    assert run(DEMO) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].startswith("ok      environment     etoro_sync ")
    assert [line.split()[1] for line in lines if line.startswith(("ok ", "skipped "))] == [
        *("environment", "keys", "proxy", "DNS", "TCP", "TLS", "handshake", "authentication"),
        *("subscription", "snapshot", "rate", "order", "traffic", "clock"),
    ]
    assert lines[-1] == "All is well: 14 steps, 0 deviations."


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    """On one line, and nothing else."""
    assert run([*DEMO, "--json"]) == 0
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (1, "")
    report = json.loads(out)
    assert report["ok"] is True
    assert report["steps"][-1]["outcome"] == "ok"


PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")


def documented(key: str) -> set[str]:
    """The keys that the row of *key* on the page names for it."""
    row = next(line for line in PAGE.splitlines() if line.startswith("| `") and f"`{key}`" in line)
    return set(re.findall(r"`(\w+)`", row.partition(": ")[2]))


def test_json_has_the_keys_that_the_page_lists(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the first step fails: programs read it without asking what there is."""
    assert run([*DEMO, "--json", "--minutes", "0.005"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert run([*QUICK, "--json"]) == 2
    failed = json.loads(capsys.readouterr().out)
    assert whole.keys() == failed.keys()
    section = PAGE.partition("## As data")[2].partition("## ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    assert whole.keys() == {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    for each in (*whole["steps"], *failed["steps"]):
        assert each.keys() < documented("steps")
        assert each["outcome"] in documented("steps")
    for each in whole["watched"]:
        assert each.keys() < documented("watched")
        for name in ("round_trips", "nul_intervals"):
            assert each[name] is None or each[name].keys() == {"least", "median", "most"}


def test_a_report_is_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """In place of an older one, and no temporary file is left."""
    path = tmp_path / "report.md"
    path.write_text("an older one")
    assert run([*DEMO, "--report", str(path)]) == 0
    assert "# Report of etoro-sync doctor" in path.read_text()
    assert capsys.readouterr().out.splitlines()[-1] == f"The report is in {path}."
    assert os.listdir(tmp_path) == ["report.md"]


def test_a_failure_has_its_report_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, keys: Callable[[str], None]
) -> None:
    """The last line and the exit code are those of any command; the report has the same steps."""
    path = tmp_path / "report.md"
    with Refuser() as refuser:
        keys(refuser.url)
        assert run([*QUICK, "--report", str(path)]) == 1
    out, err = capsys.readouterr()
    assert "failed  TCP" in out
    assert out.count("What to do: ") == 1
    assert out.splitlines()[-2].strip().startswith("What to do: No program of this")
    assert err.startswith("etoro-sync: TCP: Cannot connect to 127.0.0.1:")
    assert err.count("\n") == 1
    assert "The step TCP has failed" in path.read_text()


def test_missing_keys_are_a_fault_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    """As everywhere, 2 is the exit code for credentials and usage."""
    assert run([*QUICK, "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["steps"][-1]["name"] == "keys"
    assert err.startswith("etoro-sync: keys: ETORO_API_KEY and ETORO_USER_KEY are not set")


def test_refused_keys_are_a_fault_of_the_user(
    capsys: pytest.CaptureFixture[str], keys: Callable[[str], None]
) -> None:
    """With the code of eToro's refusal."""
    with EToroSimulator(api_key="another", rate=0) as simulator:
        keys(simulator.url)
        assert run(QUICK) == 2
    assert "InvalidKey" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--instrument", "BTC"], "--instrument"),
        (["--instrument", "0"], "instrument_ids must be ids"),
        (["--minutes", "-1"], "minutes must be a number of 0 or more"),
        (["--report", "missing/report.md"], "its folder does not exist"),
        (["--report", "."], "it is a folder"),
        (["redis://localhost:1"], "leave out --demo"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is connected."""
    monkeypatch.chdir(tmp_path)
    assert run([*DEMO, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["BTC"], "--instrument ID"),
        (["redis://localhost:1", "--minutes", "1"], "leave out --demo, --minutes"),
        (["redis://localhost:1", "--instrument", "1"], "and --instrument"),
    ],
)
def test_what_stands_alone_is_a_redis(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever means an instrument, or gives options that are not for a Redis, is told so."""
    assert run(["doctor", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


@POSIX
def test_a_link_is_followed_and_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Such as /dev/stdout: to replace it by a file would break other programs."""
    target, link = tmp_path / "report.md", tmp_path / "link"
    link.symlink_to(target)
    assert run([*DEMO, "--report", str(link)]) == 0
    assert link.is_symlink()
    assert "# Report" in target.read_text()


def test_a_disk_that_is_full_leaves_the_old_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has one whole report or the other."""

    def fail(*arguments: Any) -> None:
        raise OSError(28, os.strerror(28))

    path = tmp_path / "report.md"
    path.write_text("the old one")
    monkeypatch.setattr(doctoring.os, "replace", fail)
    assert run([*DEMO, "--report", str(path)]) == 2
    assert os.strerror(28) in capsys.readouterr().err
    assert path.read_text() == "the old one"
    assert os.listdir(tmp_path) == ["report.md"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_report_that_cannot_be_written_costs_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was seen in an hour is on stdout all the same."""
    assert run([*DEMO, "--json", "--report", "/dev/full"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["ok"] is True
    assert err == f"etoro-sync: Cannot write the report to /dev/full: {os.strerror(28)}.\n"


def test_other_instruments_and_no_order_events(capsys: pytest.CaptureFixture[str]) -> None:
    """As the options say."""
    assert run([*DEMO, "--instrument", "18", "--instrument", "1001", "--no-private"]) == 0
    out = capsys.readouterr().out
    assert "instrument:18, instrument:1001 acknowledged" in out
    assert "skipped order events" in out


def test_deviations_are_listed(
    capsys: pytest.CaptureFixture[str], keys: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the steps, and they are no failure."""
    with EToroSimulator(rate=200, mix="full") as simulator:
        keys(simulator.url)
        simulator.fault("content_object", topic="instrument:100000")
        assert run(QUICK) == 0
    out = capsys.readouterr().out
    assert "Not publicly known of the service so far:" in out
    assert "type of a field: content in a message of instrument: object, not string" in out
    assert out.endswith("14 steps, 1 deviation.\n")


def test_observed_connections_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each question that they answer."""
    assert run([*DEMO, "--minutes", "0.005"]) == 0
    out = capsys.readouterr().out
    assert "private alone: 1 connection" in out
    assert "    pings: " in out
    assert "    NUL keepalives: 0" in out


def test_long_lines_stay_below_their_beginning_on_a_terminal() -> None:
    """A remedy is a sentence or two, and a terminal cuts lines in the middle of words."""
    text = io.StringIO()
    screen = Console(file=text, force_terminal=True, width=80, color_system=None, soft_wrap=True)
    lines = doctoring._Lines(screen)
    words = "word " * 40
    with lines.running():
        lines.step(Step("TLS", Outcome.FAILED, words, words))
    # Without what was erased again, and what moves the cursor.
    shown = re.sub(r"[^\n]*\x1b\[2K|\x1b\[[?0-9;]*[a-zA-Z]|\r", "", text.getvalue())
    found = [line for line in shown.splitlines() if "word" in line]
    assert len(found) > 6
    assert all(len(line) <= 80 for line in found)
    assert all(line.startswith(("failed  TLS", INDENT)) for line in found)
    assert sum(line.count("word") for line in found) == 80


def test_a_pipe_gets_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """Of an observation that takes an hour, something is seen."""
    lines = doctoring._Lines()
    for left in (180.0, 179.0, 178.0, 119.0, 118.0):
        lines.watch(left, [Watched(("private",), pings=3, pongs=2)])
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in out] == ["3.0", "3.0", "2.0"]
    assert "private: 2 of 3 pings answered" in out[0]


# -- as programs -----------------------------------------------------------------------------------


@POSIX
@pytest.mark.heavy
@pytest.mark.parametrize("more", [[], ["--json"]], ids=["lines", "json"])
def test_ctrl_c_gives_what_was_seen_so_far(more: list[str], tmp_path: Path, spawn: Any) -> None:
    """Also after minutes of observation: the report is written, and the exit code is 130."""
    path = tmp_path / "report.md"
    process = spawn("-m", "etoro_sync", *DEMO, *more, "--minutes", "60", "--report", str(path))
    if more:
        # Nothing is written before the end, and the handler is there soon.
        _wait_for_threads(process)
    else:
        while not process.stdout.readline().startswith("ok      clock"):
            pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    assert "It was interrupted" in path.read_text()
    if more:
        assert json.loads(out)["interrupted"] is True


def _wait_for_threads(process: subprocess.Popen[str]) -> None:
    """Wait until the observation has begun: its two threads are named after the doctor."""
    folder = Path(f"/proc/{process.pid}/task")
    if not folder.exists():
        pytest.skip("needs /proc, to see that the observation has begun")
    while len(os.listdir(folder)) < 5 and process.poll() is None:
        pass


@POSIX
@pytest.mark.heavy
def test_a_terminal_shows_which_step_runs(spawn: Any) -> None:
    """The line of a step replaces what is shown while it runs."""
    main, terminal = os.openpty()
    with os.fdopen(main, "rb", buffering=0) as screen:
        process = spawn("-m", "etoro_sync", *DEMO, stdout=terminal)
        os.close(terminal)
        drawn = _read(screen)
        assert process.wait(20) == 0
    assert b"traffic ..." in drawn
    # The word and what follows it are one piece, which no drawing tears apart.
    assert re.search(rb"\x1b\[32mok\x1b\[0m      traffic  ", drawn)
    assert b"All is well" in drawn
    assert process.stderr.read() == ""


def _read(screen: io.FileIO) -> bytes:
    text = b""
    with contextlib.suppress(OSError):  # a terminal without a writer is an error on Linux
        while block := screen.read(65536):
            text += block
    return text


@POSIX
@pytest.mark.heavy
@pytest.mark.parametrize("more", [[], ["--json"]], ids=["lines", "json"])
def test_a_closed_pipe_ends_it_quietly(more: list[str], tmp_path: Path, spawn: Any) -> None:
    """As for each command; the report is there."""
    path = tmp_path / "report.md"
    wanted = ["--traffic", "0.5" if more else "2", "--report", str(path), *more]
    process = spawn("-m", "etoro_sync", *DEMO, *wanted)
    if not more:
        assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == ""
    assert "# Report" in path.read_text()


@pytest.mark.heavy
def test_the_library_and_other_commands_do_not_load_the_doctor() -> None:
    """It costs nothing where it is not asked for."""
    code = (
        "import sys, etoro_sync, etoro_sync.cli\n"
        "print([name for name in sys.modules if name.startswith('etoro_sync.doctor')])"
    )
    command = interruptible([sys.executable, "-c", code])
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
