"""Throughput of etoro_sync against the number of instruments, handlers and queues."""

from .feeds import Scenario
from .session import Row, Session, seconds_per_message, speed

__all__ = ["handlers", "instruments", "queues"]

#: More than any feed here has, so that no rate is conflated and each handler is called.
_ROOM = ("--room", "1000000")

#: Number -> what the client takes, and its arguments.
Cases = dict[int, tuple[Scenario, tuple[str, ...]]]


def _rows(session: Session, title: str, cases: Cases) -> list[Row]:
    """Measure etoro_sync with ``speed`` for each number, in turns."""
    listed = [("speed", scenario, arguments) for scenario, arguments in cases.values()]
    best = session.best(title, listed, seconds_per_message)
    numbers = list(cases)
    return [
        {"number": numbers[row["case"]], **speed(row), "callbacks": row["callbacks"]}
        for row in best
    ]


def instruments(session: Session) -> list[Row]:
    """Throughput with 100 to 12,000 instruments."""
    messages = session.plan.messages
    cases: Cases = {
        number: (Scenario("universe", messages, instruments=number), ())
        for number in (100, 1000, 4000, 12_000)
    }
    return _rows(session, "instruments", cases)


def handlers(session: Session) -> list[Row]:
    """Throughput with handlers of the only instrument, and with handlers of other instruments."""
    own: Cases = {}
    for number in (1, 10, 100, 1000, 10_000):
        messages = int(session.plan.messages / (1 + number / 50))
        scenario = Scenario("full", messages, instruments=1)
        own[number] = (scenario, (*_ROOM, "--handlers", str(number - 1)))
    rows = [{"of": "the instrument", **row} for row in _rows(session, "handlers", own)]
    scenario = Scenario("universe", session.plan.messages)
    others = {
        number: (scenario, ("--others", "--handlers", str(number))) for number in (0, 100, 10_000)
    }
    more = _rows(session, "handlers of other instruments", others)
    return rows + [{"of": "other instruments", **row} for row in more]


def queues(session: Session) -> list[Row]:
    """Throughput with queues that all get everything, and with queues of other instruments."""
    scenario = Scenario("universe", session.plan.messages)
    reading = ("--sink", "queue", *_ROOM)
    own = {number: (scenario, (*reading, "--queues", str(number - 1))) for number in (1, 10, 100)}
    rows = [{"of": "all instruments", **row} for row in _rows(session, "queues", own)]
    others = {
        number: (scenario, (*reading, "--others", "--queues", str(number)))
        for number in (0, 100, 10_000)
    }
    more = _rows(session, "queues of other instruments", others)
    return rows + [{"of": "other instruments", **row} for row in more]
