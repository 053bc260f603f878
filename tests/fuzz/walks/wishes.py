"""What the users of a client want, kept apart from what the client believes they want."""

from __future__ import annotations

from collections.abc import Container, Iterable

__all__ = ["Wishes"]


class Wishes:
    """Calls of subscribe and unsubscribe, streams that begin and end, and what was refused.

    A topic belongs to the user who has asked for it, or else to the streams that use it.
    """

    def __init__(self) -> None:
        #: Topic -> the number of the last call that asked for it.
        self.wanted: dict[str, int] = {}
        #: Topic -> the numbers of all calls that have asked for it since it was not wanted.
        self.askers: dict[str, frozenset[int]] = {}
        #: Of these, what a snapshot was asked for.
        self.snapshots: set[str] = set()
        #: Of these, what eToro has accepted before: a later refusal is no reason to give it up.
        self.proven: set[str] = set()
        #: Topic -> the number of the last call of any kind.
        self.touched: dict[str, int] = {}
        self.calls = 0
        self._streams: dict[str, set[int]] = {}

    def _call(self, topics: Iterable[str]) -> int:
        self.calls += 1
        self.touched.update(dict.fromkeys(topics, self.calls))
        return self.calls

    def _drop(self, topic: str) -> None:
        self.wanted.pop(topic, None)
        self.askers.pop(topic, None)
        self.snapshots.discard(topic)
        self.proven.discard(topic)

    def _want(self, topics: list[str], call: int) -> None:
        for topic in topics:
            self.wanted[topic] = call
            self.askers[topic] = self.askers.get(topic, frozenset()) | {call}

    def subscribe(self, topics: list[str], snapshot: bool) -> int:
        """The user asks: what streams do is nothing to these topics from now on."""
        for topic in topics:
            self._streams.pop(topic, None)
        call = self._call(topics)
        self._want(topics, call)
        self.snapshots.update(topics if snapshot else ())
        return call

    def unsubscribe(self, topics: list[str]) -> int:
        """The user wants them no longer, whoever else does."""
        for topic in topics:
            self._streams.pop(topic, None)
            self._drop(topic)
        return self._call(topics)

    def stream(self, topics: list[str]) -> int:
        """A stream begins; return its number, which is that of its call."""
        call = self._call(topics)
        for topic in topics:
            if topic in self._streams or topic not in self.wanted:
                self._streams.setdefault(topic, set()).add(call)
        self._want(topics, call)
        self.snapshots.update(topics)
        return call

    def release(self, stream: int) -> None:
        """A stream ends, and with it the topics that were wanted for it alone."""
        for topic, streams in list(self._streams.items()):
            streams.discard(stream)
            if not streams:
                del self._streams[topic]
                self._drop(topic)
                self._call([topic])

    def accepted(self, topic: str) -> None:
        """eToro carries a topic."""
        if topic in self.wanted:
            self.proven.add(topic)

    def refused(self, topics: Iterable[str], call: int, carried: Container[str]) -> None:
        """What was refused is not wanted any more, unless it was asked for again, or is carried."""
        for topic in topics:
            self.snapshots.discard(topic)  # whoever asked for it was told
            if topic not in carried and self.wanted.get(topic, call + 1) <= call:
                assert topic not in self.proven, f"{topic} was accepted before, and is given up"
                self._drop(topic)
