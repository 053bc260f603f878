"""Writes a systemd unit for a program that uses the library."""

import getpass
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import EToroValidationError
from ..text import show

__all__ = ["make_unit"]

_TEMPLATE = """\
# Written by `etoro-sync unit`. Install it with:
#   {sudo}install -m 644 {name}.service /etc/systemd/system/
#   {sudo}install -m 600 /dev/null {shell_keys}
#   (then write ETORO_API_KEY=... and ETORO_USER_KEY=... into that file, one a line)
#   {sudo}systemctl daemon-reload && {sudo}systemctl enable --now {name}
[Unit]
Description={description}
Wants=network-online.target
After=network-online.target
# A program that ends again and again is given up after ten times in five minutes.
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
# The program calls etoro_sync.systemd.notify(client): started means that data comes.
Type=notify
NotifyAccess=main
ExecStart={command}
WorkingDirectory={directory}
{user}
# The keys: readable by root alone, since systemd reads the file before it starts the program.
EnvironmentFile={keys}
Environment=PYTHONUNBUFFERED=1 "XDG_CACHE_HOME=/var/cache/{name}"
# Prints the stack of each thread when the watchdog ends the program.
Environment=PYTHONFAULTHANDLER=1
# The only folders that it may write to; the latter is $STATE_DIRECTORY, for files of its own.
CacheDirectory={name}
StateDirectory={name}

Restart=on-failure
RestartSec=5
# 2 is for keys that eToro refuses, and wrong usage: another start would change nothing.
RestartPreventExitStatus=2
# As a program ends that lets SIGTERM raise an exception.
SuccessExitStatus=143
# The library sends signs of life while its thread works, also during an outage.
WatchdogSec=30
# While the client tries to connect, the library asks for more.
TimeoutStartSec=90
TimeoutStopSec=15
# A core dump would have the keys in it.
LimitCORE=0

NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome={home}
PrivateTmp={tmp}
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def make_unit(
    program: str | os.PathLike[str],
    arguments: Sequence[str] = (),
    *,
    name: str | None = None,
    user: str | None = None,
    keys: str | os.PathLike[str] | None = None,
) -> str:
    """Return the text of a systemd unit that runs a program with this interpreter.

    It fits a program that calls :func:`etoro_sync.systemd.notify`.

    :param program: the file; it has to be there.
    :param arguments: of the program.
    :param name: of the service; None is made from the program's name.
    :param user: whose rights it has; None: who calls this, or a user of its own for root.
    :param keys: the file with the keys; None is ``/etc/<name>.env``.
    :raises EToroValidationError: naming the argument.
    """
    path = Path(os.path.abspath(program))
    if not path.is_file():
        raise EToroValidationError(
            f"There is no program {show(str(program), 200)}. Name its file.", "program"
        )
    name = _service_name(path, name)
    python = Path(sys.executable)
    command = [str(python), str(path), *arguments]
    # All that is run, also where links lead: a venv may belong to a Python in a home.
    used = (path, path.resolve(), python, python.resolve(), Path(sys.prefix), Path(sys.base_prefix))
    places = [part.parts[1:3] for part in used]
    keys = str(Path(keys or f"/etc/{name}.env").absolute())
    at_home = any(place[:1] in (("home",), ("root",)) for place in places)
    temporary = any(place[:1] == ("tmp",) or place == ("var", "tmp") for place in places)
    return _TEMPLATE.format(
        name=name,
        sudo="" if _own_name() == "root" else "sudo ",
        description=_plain(f"{path.name} (eToro stream)", "program"),
        # The colon leaves $ alone.
        command=":" + " ".join(_quoted(word) for word in command),
        directory=_plain(str(path.parent), "program"),
        user=_user(user),
        keys=_pattern(keys),
        shell_keys=shlex.quote(keys),
        home="read-only" if at_home else "yes",
        tmp="no" if temporary else "yes",
    )


def _service_name(program: Path, name: str | None) -> str:
    if name is None:
        return re.sub(r"[^A-Za-z0-9_.-]+", "-", program.stem).strip("-.") or "etoro"
    name = name.removesuffix(".service")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name):
        raise EToroValidationError(
            f"A service's name consists of letters, digits, '_', '.' and '-', unlike "
            f"{show(name, 60)}.",
            "name",
        )
    return name


def _user(user: str | None) -> str:
    user = user if user is not None else _own_name()
    if user == "root":
        return "DynamicUser=yes"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*\$?|[0-9]+", user):
        raise EToroValidationError(f"{show(user, 60)} is no name of a user.", "user")
    return f"User={user}"


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return "root"


def _plain(text: str, field: str) -> str:
    """Return *text* for a setting that takes the rest of its line as it is."""
    if not text.isprintable() or text != text.strip() or text.endswith("\\"):
        raise EToroValidationError(
            f"systemd cannot use the path {show(text, 200)}. Move the file to one without control "
            "characters, and without a space or a backslash at the end.",
            field,
        )
    return text.replace("%", "%%")


def _pattern(path: str) -> str:
    """Return the path of the keys, which systemd takes for a pattern of names."""
    return re.sub(r"([*?\[\\])", r"\\\1", _plain(path, "keys"))


def _quoted(word: str) -> str:
    """Return one word of a command line, for the unit's reader to find just that word."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + "".join(c if c.isprintable() else _escaped(c) for c in text) + '"'


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
