"""Faults of the feed that change messages before they are sent."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import wire
from .base import named
from .feed import FeedFault


@dataclass(kw_only=True, eq=False)
class Rewriting(FeedFault):
    """A fault that changes messages, snapshots included."""

    of_snapshots: ClassVar[bool] = True

    def transform(self, topic: str, text: str) -> tuple[str, ...]:
        """Return the message, changed by :meth:`rewrite` if it concerns it."""
        envelope = json.loads(text)
        if not self.rewrite(envelope["messages"][0]):
            return (text,)
        self.struck += 1
        return (wire.compact(envelope),)

    def rewrite(self, message: dict[str, Any]) -> bool:
        """Change a message in place; return whether it was changed."""
        raise NotImplementedError


@named("no_type")
@dataclass(kw_only=True, eq=False)
class NoType(Rewriting):
    """Leave out the ``type`` of messages, which the author of one client has observed."""

    def rewrite(self, message: dict[str, Any]) -> bool:
        """Remove the type."""
        del message["type"]
        return True


@named("content_object")
@dataclass(kw_only=True, eq=False)
class ContentObject(Rewriting):
    """Send the ``content`` of messages as an object instead of a string that contains one."""

    def rewrite(self, message: dict[str, Any]) -> bool:
        """Parse the content."""
        message["content"] = json.loads(message["content"])
        return True


@named("zero_last_execution")
@dataclass(kw_only=True, eq=False)
class ZeroLastExecution(Rewriting):
    """Replace each ``LastExecution`` by 0, as if there had been no recent trade."""

    def rewrite(self, message: dict[str, Any]) -> bool:
        """Replace the last execution."""
        content = json.loads(message["content"])
        if "LastExecution" not in content:
            return False
        content["LastExecution"] = "0"
        message["content"] = wire.compact(content)
        return True
