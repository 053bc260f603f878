"""The doctor for Redis: whether it can carry a feed, and whether the feed is well.

It takes all steps whose ground is there, so that one run shows all that is to be done.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone

from ... import clocks
from ..._version import __version__
from ...doctor.findings import Finding, StepFailed, parted
from ...doctor.page import block, step_lines
from ...doctor.privacy import Scrubber
from ...doctor.records import Outcome, Step
from ...doctor.report import Report
from ...errors import EToroValidationError
from ..connection import Address
from ..layout.keys import DEFAULT_FEED, Keys
from .steps import Steps

__all__ = ["RedisExamination", "RedisReport", "examine_redis"]

#: Behind a failure of these, nothing else can be looked at.
_GROUND = ("connection", "feed")


class RedisReport(Report):
    """All that was found, without passwords and the server's address; several steps may fail."""

    @property
    def summary(self) -> str:
        """How much was looked at."""
        return f"{len(self.steps)} steps"

    def to_markdown(self) -> str:
        """Return all of it as a page to be read, and to be put into an issue."""
        failed = [step.name for step in self.steps if step.outcome is Outcome.FAILED]
        verdict = f"Failed: {', '.join(failed)}." if failed else "No step has failed."
        parts = [
            "# Report of etoro-sync doctor for Redis",
            f"etoro_sync {self.version}, {self.began}. {verdict}",
            "Without passwords and names, as far as these can be recognised. Read it before you "
            "post it.",
            block([line for step in self.steps for line in step_lines(step)]),
        ]
        return "\n\n".join(parts) + "\n"


class RedisExamination:
    """One examination. Use it once, in one thread.

    :param url: of Redis.
    :param feed: the feed's name.
    :param on_begin: called with the name of each step before it is taken.
    :param on_step: called with each step afterwards; its text may name the server.
    :raises EToroValidationError: when the URL or the name cannot be used.
    """

    def __init__(
        self,
        url: str,
        feed: str = DEFAULT_FEED,
        on_begin: Callable[[str], object] = lambda name: None,
        on_step: Callable[[Step], object] = lambda step: None,
    ) -> None:
        self._address = Address(url)
        self._keys = Keys(feed)
        self._on_begin = on_begin
        self._on_step = on_step
        self._scrubber = Scrubber(self._address.redact)
        for name in self._address.names:
            self._scrubber.hide(name, "<redis>")
        now = datetime.fromtimestamp(clocks.wall_clock(), timezone.utc)
        #: What was found so far; complete after :meth:`run`.
        self.report = RedisReport(__version__, now.strftime("%Y-%m-%dT%H:%M:%SZ"))
        #: Whether the first failure is one of settings, and not of the network.
        self.fault_of_user = False

    def run(self) -> None:
        """Take all steps.

        :raises KeyboardInterrupt: at Ctrl-C; the report has what was seen before.
        """
        steps = Steps(self._address, self._keys)
        try:
            for name, function in _steps(steps):
                if not self._take(name, function) and name in _GROUND:
                    break
        except BaseException:
            self.report.interrupted = True
            raise
        finally:
            steps.close()

    def _take(self, name: str, function: Callable[[], Finding]) -> bool:
        """Take one step and record it; return whether it has not failed."""
        self._on_begin(name)
        began = clocks.monotonic()
        is_first = self.report.failure is None
        try:
            found = function()
            step = Step(name, Outcome.OK, found.text, "", found.notes, found.details)
        except StepFailed as failure:
            step = Step(name, Outcome.FAILED, failure.found, failure.remedy, failure.notes)
            of_user = failure.of_user
        except EToroValidationError as error:  # something odd stands in Redis
            words, advice = parted(error)
            step = Step(name, Outcome.FAILED, words, advice or "Use another feed.")
            of_user = True
        step = replace(step, seconds=round(clocks.monotonic() - began, 3))
        if step.outcome is Outcome.FAILED and is_first:
            self.fault_of_user = of_user
        self._on_step(step)
        self.report.steps.append(self._scrubbed(step))
        return step.outcome is not Outcome.FAILED

    def _scrubbed(self, step: Step) -> Step:
        scrub = self._scrubber
        return replace(
            step,
            found=scrub(step.found),
            remedy=scrub(step.remedy),
            notes=tuple(scrub(note) for note in step.notes),
            details=scrub.deep(step.details),
        )


def _steps(steps: Steps) -> Iterator[tuple[str, Callable[[], Finding]]]:
    yield "connection", steps.connect
    yield "rights", steps.rights
    yield "version", steps.version
    yield "role", steps.role
    yield "eviction", steps.eviction
    yield "persistence", steps.persistence
    yield "memory", steps.memory
    yield "clock", steps.clock
    yield "feed", steps.feed
    yield "publisher", steps.publisher
    yield "rates", steps.rates
    yield "orders", steps.orders
    yield "groups", steps.groups


def examine_redis(
    url: str,
    feed: str = DEFAULT_FEED,
    *,
    on_step: Callable[[Step], object] = lambda step: None,
) -> RedisReport:
    """Look at a Redis, and at a feed in it.

    :param url: ``redis://``, ``rediss://`` or ``unix://``.
    :param feed: the feed's name.
    :param on_step: called with each step when it was taken; it may name the server.
    :returns: what was found, without passwords.
    :raises EToroValidationError: when the URL or the name cannot be used.
    """
    examination = RedisExamination(url, feed, on_step=on_step)
    examination.run()
    return examination.report
