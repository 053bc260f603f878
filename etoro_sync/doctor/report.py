"""What the doctor has found, as an object, as data and as a page."""

from dataclasses import asdict, dataclass, field
from typing import Any

from ..text import count
from .page import block, counted, deviation_lines, step_lines, watched_lines
from .records import Deviation, Outcome, Step, Watched

__all__ = ["Report"]


@dataclass
class Report:
    """All that an examination has found. Safe to be posted: no keys, no account, no names.

    :param version: of this library.
    :param began: when the examination began, UTC, in ISO format.
    :param steps: in order; at most the last one has failed.
    :param traffic: messages and frames by kind, and ``bytes``.
    :param deviations: what nobody has publicly reported of the service.
    :param more_deviations: how many further kinds were seen, and are not kept.
    :param watched: what long runs have shown, by kind of connection.
    :param interrupted: whether Ctrl-C has ended it.
    """

    version: str
    began: str
    steps: list[Step] = field(default_factory=list)
    traffic: dict[str, int] = field(default_factory=dict)
    deviations: list[Deviation] = field(default_factory=list)
    more_deviations: int = 0
    watched: list[Watched] = field(default_factory=list)
    interrupted: bool = False

    @property
    def failure(self) -> Step | None:
        """The step that has failed; None: none has."""
        return next((step for step in self.steps if step.outcome is Outcome.FAILED), None)

    @property
    def ok(self) -> bool:
        """Whether every step was taken, and none has failed; deviations are no failure."""
        return self.failure is None and not self.interrupted

    @property
    def summary(self) -> str:
        """How much was looked at, and how much was odd."""
        lines = deviation_lines(self.deviations, self.more_deviations)
        return f"{count(len(self.steps), 'step')}, {count(len(lines), 'deviation')}"

    def __str__(self) -> str:
        """Return the lines of all steps, as on a terminal."""
        return "\n".join(line for step in self.steps for line in step_lines(step))

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as data for JSON."""
        data = asdict(self)
        for step in data["steps"]:
            step["outcome"] = str(step["outcome"])
        return {"ok": self.ok, **data}

    def to_markdown(self) -> str:
        """Return all of it as a page to be read, and to be put into an issue."""
        parts = [
            "# Report of etoro-sync doctor",
            f"etoro_sync {self.version}, {self.began}. {self._verdict}",
            "Without keys, names and account data, as far as these can be recognised. Read it "
            "before you post it.",
            "## Steps",
            block([line for step in self.steps for line in step_lines(step)]),
            "## Deviations from what is publicly known",
            block(deviation_lines(self.deviations, self.more_deviations) or ["none"]),
        ]
        if self.traffic:
            parts += ["## Received on the connection of the steps", block([counted(self.traffic)])]
        if self.watched:
            lines = [line for seen in self.watched for line in watched_lines(seen)]
            parts += ["## Observed connections", block(lines)]
        return "\n\n".join(parts) + "\n"

    @property
    def _verdict(self) -> str:
        if self.failure is not None:
            return f"The step {self.failure.name} has failed; those behind it were not taken."
        if self.interrupted:
            return "It was interrupted; what was seen until then follows."
        return "All steps were taken, and none has failed."
