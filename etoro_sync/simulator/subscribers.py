"""The clients, their sessions, and the subscribers of each topic. Pure: no thread, no socket."""

from collections.abc import Iterable

from .peer import Peer
from .session import Answer, Policy, Session


class Subscribers:
    """Keeps each client's session, and the subscribers of each topic. Guarded by the hub's lock.

    :param policy: the rules for requests.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._sessions: dict[Peer, Session] = {}
        self._topics: dict[str, dict[Peer, None]] = {}

    def __contains__(self, peer: Peer) -> bool:
        return peer in self._sessions

    @property
    def sessions(self) -> dict[Peer, Session]:
        """The clients with their sessions, in the order in which they connected; not a copy."""
        return self._sessions

    @property
    def topics(self) -> Iterable[str]:
        """All topics that have subscribers; not a copy."""
        return self._topics.keys()

    def of(self, topic: str) -> tuple[Peer, ...]:
        """Return the subscribers of a topic."""
        return tuple(self._topics.get(topic, ()))

    def add(self, peer: Peer) -> None:
        """Start a client's session."""
        self._sessions[peer] = Session(self._policy)

    def remove(self, peer: Peer) -> None:
        """End a client's session, if there is one."""
        session = self._sessions.pop(peer, None)
        if session is not None:
            self._follow(peer, session.topics, set())

    def answer(self, peer: Peer, request: dict[str, object] | None) -> Answer:
        """Carry out a client's request and return the answer."""
        session = self._sessions[peer]
        before = session.topics.copy()
        answer = session.answer(request)
        self._follow(peer, before, session.topics)
        return answer

    def unsubscribe(self, peer: Peer, topic: str) -> None:
        """Remove a client's subscription to a topic, if there is one."""
        session = self._sessions[peer]
        self._follow(peer, session.topics, session.topics - {topic})
        session.topics.discard(topic)

    def _follow(self, peer: Peer, before: set[str], after: set[str]) -> None:
        """Update the subscribers of each topic after a change of a client's topics."""
        for topic in after - before:
            self._topics.setdefault(topic, {})[peer] = None
        for topic in before - after:
            self._topics[topic].pop(peer)
            if not self._topics[topic]:
                del self._topics[topic]
