"""The command ``doctor``: shows each step, writes the report, and decides the exit code."""

import contextlib
import json
import os
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.status import Status
from rich.text import Text

from ..doctor.examination import Examination
from ..doctor.page import INDENT, deviation_lines, step_lines, watched_lines
from ..doctor.plan import Plan
from ..doctor.records import Outcome, Step, Watched
from ..doctor.report import Report
from ..errors import EToroWebSocketError
from ..ws import WsClientOptions
from .ending import CommandError
from .showing import of_simulator
from .simulating import make_simulator

__all__ = ["Visit", "examine", "examine_redis"]

_COLORS = {Outcome.OK: "green", Outcome.FAILED: "bold red", Outcome.SKIPPED: "yellow"}


@dataclass(frozen=True)
class Visit:
    """What a user wants of the doctor.

    :param plan: what to do.
    :param as_json: one JSON object at the end, and nothing else.
    :param report: where to write the report; None: nowhere.
    """

    plan: Plan
    as_json: bool
    report: Path | None


def examine(visit: Visit, demo: bool) -> None:
    """Examine, show it, and write the report.

    :param demo: examine a simulator of this process.
    :raises CommandError: when keys or settings are the fault, or the report cannot be written.
    :raises EToroWebSocketError: when the network or the service is.
    """
    if visit.report is not None:
        _check_writable(visit.report)
    if not demo:
        _examine(visit, None)
        return
    with make_simulator(rest=True, rate=20.0, order_interval=1.0) as simulator:
        _examine(visit, of_simulator(simulator)[0])


def _examine(visit: Visit, options: WsClientOptions | None) -> None:
    show: _Show = _Silent() if visit.as_json else _Lines()
    examination = Examination(visit.plan, options, show.begin, show.step, show.watch)
    _carry_out(visit, show, examination)


def examine_redis(visit: Visit, url: str, feed: str) -> None:
    """Examine a Redis and a feed in it; as :func:`examine`.

    :param url: of Redis.
    :param feed: the feed's name.
    """
    try:
        from ..redis.doctor.examination import RedisExamination
    except ImportError as exc:
        raise CommandError(f"{exc}.") from exc
    if visit.report is not None:
        _check_writable(visit.report)
    show: _Show = _Silent() if visit.as_json else _Lines()
    _carry_out(visit, show, RedisExamination(url, feed, show.begin, show.step))


def _carry_out(visit: Visit, show: "_Show", examination: "_Examination") -> None:
    report = examination.report
    try:
        with show.running():
            examination.run()
    finally:
        # Also after Ctrl-C: what was seen until then is what the user has waited for. Neither a
        # reader that has gone nor a full disk costs the other half of it.
        try:
            if visit.as_json:
                sys.stdout.write(json.dumps(report.to_dict()) + "\n")
            else:
                show.end(report)
            sys.stdout.flush()
        finally:
            if visit.report is not None:
                _write(visit.report, report.to_markdown())
                show.written(visit.report)
    if report.failure is not None:
        raise (CommandError if examination.fault_of_user else EToroWebSocketError)(
            str(report.failure)
        )


# What is shown -----------------------------------------------------------------------------------


class _Examination(Protocol):
    fault_of_user: bool

    @property
    def report(self) -> Report: ...
    def run(self) -> None: ...


class _Show(Protocol):
    def running(self) -> contextlib.AbstractContextManager[object]: ...
    def begin(self, name: str) -> None: ...
    def step(self, step: Step) -> None: ...
    def watch(self, left: float, seen: list[Watched]) -> None: ...
    def end(self, report: Report) -> None: ...
    def written(self, path: Path) -> None: ...


class _Silent:
    """Shows nothing, since the JSON is all that is wanted."""

    def running(self) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext()

    def begin(self, name: str) -> None:
        pass

    def step(self, step: Step) -> None:
        pass

    def watch(self, left: float, seen: list[Watched]) -> None:
        pass

    def end(self, report: Report) -> None:
        pass

    def written(self, path: Path) -> None:
        pass


class _Lines:
    """Writes the lines of each step when it was taken; a terminal also shows which one runs."""

    def __init__(self, console: Console | None = None) -> None:
        # No markup and no highlighting: words of a server have no meaning here.
        self._console = console or Console(
            highlight=False, markup=False, soft_wrap=True, emoji=False
        )
        self._status: Status | None = None
        self._told = -1

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            yield
            return
        self._status = self._console.status("")
        with self._status:
            yield

    def _say(self, text: str) -> None:
        if self._status is not None:
            self._status.update(text)

    def begin(self, name: str) -> None:
        self._say(f"{name} ...")

    def step(self, step: Step) -> None:
        first, *rest = [part for line in step_lines(step) for part in self._wrapped(line)]
        word = str(step.outcome)
        # In one piece: what shows the running step is drawn anew behind each.
        self._console.print(Text.assemble((word, _COLORS[step.outcome]), first[len(word) :]))
        for line in rest:
            self._console.print(line)

    def _wrapped(self, line: str) -> list[str]:
        """Return a line in pieces that fit a terminal, below each other; in a pipe as it is."""
        room = self._console.width
        if self._status is None or len(line) <= room or room < 2 * len(INDENT):
            return [line]
        return textwrap.wrap(line, room, subsequent_indent=INDENT, break_on_hyphens=False)

    def watch(self, left: float, seen: list[Watched]) -> None:
        known = "; ".join(
            f"{' '.join(each.topics)}: {each.pongs} of {each.pings} pings answered, "
            f"{each.nuls} NULs, {each.ended} ends"
            for each in seen
        )
        text = f"{left / 60:.1f} minutes left; {known}; Ctrl-C ends."
        self._say(text)
        minutes = int(left / 60)
        if self._status is None and minutes != self._told:
            self._told = minutes
            self._console.print(text)

    def end(self, report: Report) -> None:
        for seen in report.watched:
            for line in watched_lines(seen):
                self._console.print(line)
        lines = deviation_lines(report.deviations, report.more_deviations)
        if lines:
            self._console.print("Not publicly known of the service so far:")
        for line in lines:
            self._console.print(f"    {line}")
        if report.ok:
            self._console.print(f"All is well: {report.summary}.")

    def written(self, path: Path) -> None:
        self._console.print(f"The report is in {path}.")


# The file ----------------------------------------------------------------------------------------


def _check_writable(path: Path) -> None:
    """Raise before anything is asked of eToro, not after minutes of observation.

    :raises CommandError: when the report could not be written.
    """
    if path.is_dir():
        raise CommandError(f"Cannot write the report to {path}: it is a folder.")
    if not os.access(path.parent, os.W_OK):
        there = "cannot be written to" if path.parent.is_dir() else "does not exist"
        raise CommandError(f"Cannot write the report to {path}: its folder {there}.")


def _write(path: Path, text: str) -> None:
    """Write a file so that it has either the whole report, or what it had before."""
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            # Such as /dev/stdout, which must not be replaced by a file.
            path.write_text(text, encoding="utf-8", errors="replace")
            return
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with open(handle, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as exc:
        raise CommandError(f"Cannot write the report to {path}: {exc.strerror}.") from exc
