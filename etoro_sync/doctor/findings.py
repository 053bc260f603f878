"""What a step returns or raises, and the words that are cut from the library's errors."""

import re
from dataclasses import dataclass, field
from typing import Any

from ..ws.failures import ConnectionFailed

__all__ = ["Finding", "StepFailed", "cause_of", "failure_of", "parted"]


@dataclass(frozen=True)
class Finding:
    """What a step has found.

    :param text: one sentence, without a full stop.
    :param notes: what else is worth knowing.
    :param details: the same in data.
    :param skipped: there was nothing to do or to judge.
    """

    text: str
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    skipped: bool = False


class StepFailed(Exception):
    """A step has failed.

    :param found: what was found, in one sentence.
    :param remedy: what to do.
    :param of_user: whether keys or settings are the cause, and not the network.
    :param notes: what else is worth knowing.
    """

    def __init__(
        self, found: str, remedy: str, *, of_user: bool = False, notes: tuple[str, ...] = ()
    ) -> None:
        super().__init__(found)
        self.found = found
        self.remedy = remedy
        self.of_user = of_user
        self.notes = notes


def cause_of(error: BaseException) -> BaseException:
    """Return what users get for an error."""
    return error.error if isinstance(error, ConnectionFailed) else error


def parted(error: BaseException) -> tuple[str, str]:
    """Return the first sentence of an error's text, and the advice that follows it, or ``""``."""
    text = str(cause_of(error))
    for end in re.finditer(r"\.\s+(?=[A-Z])", text):
        first = text[: end.start() + 1]
        # Not within what the server has said, which stands in brackets.
        if first.count("(") == first.count(")"):
            return first, text[end.end() :]
    return text, ""


def failure_of(error: BaseException, remedy: str = "") -> StepFailed:
    """Return the failure that an error of the library means.

    :param remedy: what to do; ``""``: what the error advises.
    """
    found, advice = parted(error)
    return StepFailed(found, remedy or advice or "Run it again; if it stays so, report it.")
