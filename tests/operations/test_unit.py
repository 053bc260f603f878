"""The systemd unit, read by systemd itself."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from etoro_sync import EToroValidationError
from etoro_sync.systemd import make_unit

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)"
)
#: What is special to systemd, to a shell, or to nobody.
ODD = [
    "plain",
    "two words",
    "$HOME",
    "${HOME}",
    "$$",
    "%h and %n",
    "100%",
    'a "quote"',
    "it's",
    "back\\slash",
    ";",
    "ünï€",
    "-@!+:",
]


def verify(text: str, folder: Path, name: str = "etoro-test.service") -> tuple[int, str, str]:
    """Let systemd read a unit; return the exit code, what it says, and what it has understood."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    run = ["systemd-analyze", "verify", "--man=no", str(path)]
    plain = subprocess.run(run, capture_output=True, text=True, timeout=30, check=False)
    dump = subprocess.run(
        run,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "debug"},
    )
    return plain.returncode, plain.stdout + plain.stderr, dump.stdout


def command_of(dump: str) -> list[str]:
    """Return the words that systemd has read."""
    (line,) = re.findall(r"Command Line: (.*)", dump)
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, text=True, check=True
    )
    return done.stdout.split("\0")[:-1]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "prices.py"
    path.write_text("")
    return path


@needs_systemd
@pytest.mark.timeout(90)
def test_systemd_accepts_the_unit(program: Path, tmp_path: Path) -> None:
    """Without a word of complaint, with this interpreter and the program's own path."""
    user = "daemon" if getpass.getuser() == "root" else None
    code, said, dump = verify(make_unit(program, user=user), tmp_path)
    assert (code, said) == (0, "")
    assert command_of(dump) == [sys.executable, str(program)]
    assert f"WorkingDirectory: {tmp_path}" in dump
    assert "EnvironmentFile: /etc/prices.env" in dump
    assert "Type: notify" in dump
    assert "WatchdogSec: 30s" in dump or "WatchdogUSec: 30s" in dump or "Watchdog" in dump


@needs_systemd
@pytest.mark.timeout(90)
def test_systemd_reads_odd_paths_and_arguments_as_they_are(tmp_path: Path) -> None:
    """Spaces, quotes, percent and dollar signs, backslashes: none means anything to it."""
    folder = tmp_path / "odd %h $x '1' \"2\" b\\c ü"
    folder.mkdir()
    program = folder / "my $$ %n program.py"
    program.write_text("")
    keys = folder / "keys %i.env"
    unit = make_unit(program, ODD, user="daemon", keys=keys)
    code, said, dump = verify(unit, tmp_path)
    assert (code, said) == (0, "")
    assert command_of(dump) == [sys.executable, str(program), *ODD]
    assert "\nExecStart=:" in unit  # or variables would be filled in at the start
    assert f"WorkingDirectory: {folder}\n" in dump
    escaped = str(keys).replace("\\", "\\\\")  # it is a pattern, in which a backslash escapes
    assert f"EnvironmentFile: {escaped}\n" in dump
    assert f"Description: {program.name} (eToro stream)\n" in dump


@needs_systemd
@pytest.mark.timeout(60)
def test_the_check_notices_a_mistake(program: Path, tmp_path: Path) -> None:
    """Or the tests above would prove nothing."""
    unit = make_unit(program, user="daemon")
    for right, wrong in (("Type=notify", "Type=notifi"), ("/bin/python", "/no/python")):
        code, said, _ = verify(unit.replace(right, wrong), tmp_path)
        assert code or said


def test_what_the_unit_promises(program: Path) -> None:
    """Restarts unless the keys are refused, no keys in it, and no rights that are not needed."""
    lines = make_unit(program, user="trader").splitlines()
    for line in (
        "Type=notify",
        "WatchdogSec=30",
        "Restart=on-failure",
        "RestartPreventExitStatus=2",
        "StartLimitBurst=10",
        "After=network-online.target",
        "EnvironmentFile=/etc/prices.env",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "SuccessExitStatus=143",
        "LimitCORE=0",
        "UMask=0077",
        "User=trader",
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith("Environment=") and "KEY" in line]


def test_the_home_stays_visible_where_the_program_is_in_it(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So do temporary folders; else both are hidden."""
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(sys, "prefix", "/usr")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert "ProtectHome=read-only\nPrivateTmp=yes\n" in make_unit("/home/ann/a.py")
    assert "ProtectHome=yes\nPrivateTmp=no\n" in make_unit("/tmp/a.py")
    assert "ProtectHome=yes\nPrivateTmp=no\n" in make_unit("/var/tmp/a.py")
    assert "ProtectHome=yes\nPrivateTmp=yes\n" in make_unit("/var/www/a.py")
    assert "ProtectHome=read-only\nPrivateTmp=yes\n" in make_unit("/root/a.py")
    assert "ProtectHome=yes\nPrivateTmp=yes\n" in make_unit("/opt/a.py")
    monkeypatch.setattr(sys, "executable", "/home/ann/.venv/bin/python")
    assert "ProtectHome=read-only\n" in make_unit("/opt/a.py")
    monkeypatch.setattr(sys, "executable", "/opt/venv/bin/python")
    assert "ProtectHome=yes\n" in make_unit("/opt/a.py")
    monkeypatch.setattr(sys, "base_prefix", "/home/ann/.local/share/uv/python/3.13")
    assert "ProtectHome=read-only\n" in make_unit("/opt/a.py")


def test_the_home_stays_visible_where_a_link_leads_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hidden Python, or a hidden program, would not start."""
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    for name in ("prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, "/usr")
    (tmp_path / "python").symlink_to("/home/ann/.pyenv/python3.13")
    (tmp_path / "a.py").symlink_to("/home/ann/a.py")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert "ProtectHome=read-only\n" in make_unit("/opt/a.py")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert "ProtectHome=yes\n" in make_unit("/opt/a.py")
    assert "ProtectHome=read-only\n" in make_unit(tmp_path / "a.py")


def test_root_s_program_has_a_user_of_its_own(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs no rights of root's."""
    monkeypatch.setattr(getpass, "getuser", lambda: "root")
    assert "DynamicUser=yes" in make_unit(program)
    monkeypatch.setattr(getpass, "getuser", lambda: "ann")
    assert "User=ann" in make_unit(program)


def test_the_name_is_made_from_the_program_s(tmp_path: Path) -> None:
    """With characters that a service may have."""
    for file, name in (("a b$c.py", "a-b-c"), ("é.py", "etoro"), ("-x-.py", "x")):
        path = tmp_path / file
        path.write_text("")
        assert f"EnvironmentFile=/etc/{name}.env" in make_unit(path)
    assert "/etc/mine.env" in make_unit(path, name="mine.service")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\nExecStartPre=x"}, "name"),
        ({"user": "a\nb"}, "user"),
        ({"user": ""}, "user"),
        ({"keys": "/etc/a\nb"}, "keys"),
        ({"keys": "/etc/a "}, "keys"),
        ({"keys": "/etc/a\\"}, "keys"),
    ],
)
def test_what_would_be_another_line_is_refused(
    options: dict[str, str], field: str, program: Path
) -> None:
    """The error names the argument."""
    with pytest.raises(EToroValidationError) as caught:
        make_unit(program, **options)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_the_keys_are_one_file_whatever_its_name(program: Path) -> None:
    """systemd takes it for a pattern; the comment's command is for a shell."""
    unit = make_unit(program, user="ann", keys="/srv/a [1]*?\\%.env")
    assert r"EnvironmentFile=/srv/a \[1]\*\?\\%%.env" in unit.splitlines()
    assert r"install -m 600 /dev/null '/srv/a [1]*?\%.env'" in unit


def test_a_program_has_to_exist(tmp_path: Path) -> None:
    """A mistyped path would be noticed at the next start of the machine."""
    with pytest.raises(EToroValidationError, match="no program"):
        make_unit(tmp_path / "nope.py")
    with pytest.raises(EToroValidationError, match="no program"):
        make_unit(tmp_path)
    odd = tmp_path / "a\nb"
    odd.mkdir()
    (odd / "c.py").write_text("")
    with pytest.raises(EToroValidationError, match="control characters"):
        make_unit(odd / "c.py")


def test_arguments_may_have_any_character(program: Path) -> None:
    """Also line breaks, and bytes that are no text."""
    unit = make_unit(program, ["a\nb\t\x7f", os.fsdecode(b"\xff")])
    assert r'"a\x0ab\x09\x7f" "\xff"' in unit
