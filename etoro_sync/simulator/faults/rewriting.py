"""Faults of the feed's messages: each is sent, but says something in another way."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import wire
from .base import named
from .feed import FeedFault


@dataclass(kw_only=True, eq=False)
class Rewriting(FeedFault):
    """A fault that changes messages on their way out, snapshots included."""

    of_snapshots: ClassVar[bool] = True

    def transform(self, topic: str, text: str) -> tuple[str, ...]:
        """Change it, if there is anything to be changed."""
        envelope = json.loads(text)
        if not self.rewrite(envelope["messages"][0]):
            return (text,)
        self.struck += 1
        return (wire.compact(envelope),)

    def rewrite(self, message: dict[str, Any]) -> bool:
        """Change a message in place; say whether that was done."""
        raise NotImplementedError


@named("no_type")
@dataclass(kw_only=True, eq=False)
class NoType(Rewriting):
    """Leave the ``type`` of messages out, as one client's author has seen."""

    def rewrite(self, message: dict[str, Any]) -> bool:
        """Leave it out."""
        del message["type"]
        return True


@named("content_object")
@dataclass(kw_only=True, eq=False)
class ContentObject(Rewriting):
    """Send the ``content`` of messages as an object, and not as a string that holds one."""

    def rewrite(self, message: dict[str, Any]) -> bool:
        """Unwrap it."""
        message["content"] = json.loads(message["content"])
        return True


@named("zero_last_execution")
@dataclass(kw_only=True, eq=False)
class ZeroLastExecution(Rewriting):
    """Send a ``LastExecution`` of 0 wherever there is one, as when nothing was traded lately."""

    def rewrite(self, message: dict[str, Any]) -> bool:
        """Write 0 in its place."""
        content = json.loads(message["content"])
        if "LastExecution" not in content:
            return False
        content["LastExecution"] = "0"
        message["content"] = wire.compact(content)
        return True
