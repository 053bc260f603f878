"""The measurements that compare clients: each function makes one group of rows."""

from .feeds import MIXES, Scenario
from .session import Row, Session, seconds_per_message, speed

__all__ = ["ending", "latency", "memory", "recovery", "throughput", "wake"]

_ALL = ("speed", "plain", "etoropy", "naive", "ceiling")


def throughput(session: Session) -> list[Row]:
    """Messages per second and CPU per message, to a callback and to a queue."""
    rows = []
    for mix in MIXES:
        for sink in session.plan.sinks:
            clients = (*_ALL, "sink") if sink == "callback" else _ALL[:-1]
            scenario = Scenario(mix, session.plan.messages)
            cases = [(key, scenario, ("--sink", sink)) for key in clients]
            best = session.best(f"throughput, {mix}, {sink}", cases, seconds_per_message)
            rows += [{"mix": mix, "sink": sink, **speed(row)} for row in best]
    return rows


def latency(session: Session) -> list[Row]:
    """Time from send to callback, and share of a core, at steady rates."""
    rows = []
    for rate in session.plan.rates:
        scenario = Scenario("universe", int(rate * session.plan.seconds), rate=rate)
        cases = [(key, scenario, ("--mode", "latency")) for key in _ALL]
        runs = session.runs(f"latency, {rate}/s", cases)
        rows += [_latency(each) for each in runs if each]
    return rows


def _latency(runs: list[Row]) -> Row:
    """Return the best of each time: one hiccup of the machine spoils the tail of a whole run.

    CPU is taken from the run with the lowest median, because a client that is kept waiting reads
    several messages at once, and saves CPU at the expense of latency.
    """
    rate = runs[0]["feed"]["rate"]
    due = runs[0]["feed"]["messages"] / rate
    prompt = min(runs, key=lambda row: float(row["p50_us"]))
    return {
        "rate": rate,
        **{name: runs[0][name] for name in ("client", "key")},
        **{name: min(row[name] for row in runs) for name in ("p50_us", "p99_us", "p999_us")},
        "cpu_share": prompt["cpu_seconds"] / prompt["seconds"],
        # One that is too slow gets its last message late.
        "keeps_up": any(row["seconds"] < due * 1.05 for row in runs),
        "server_late_p99_us": min(row["feed"]["late_p99_us"] for row in runs),
    }


def memory(session: Session) -> list[Row]:
    """Peak memory of the whole process, reading all instruments as fast as it can."""
    scenario = Scenario("universe", session.plan.messages, instruments=12_000)
    cases = [(key, scenario, ()) for key in _ALL]
    best = session.best("memory", cases, lambda row: float(row["peak_mib"] or 0), 2)
    return [{name: row[name] for name in ("client", "key", "peak_mib")} for row in best]


def wake(session: Session) -> list[Row]:
    """Time from send until a handler, or a get() that waited for it, has the price."""
    messages = max(int(200 * session.plan.seconds), 100)
    scenario = Scenario("full", messages, instruments=100, rate=200)
    kinds = [(key, sink) for key in ("speed", "etoropy", "naive") for sink in ("callback", "queue")]
    cases = [(key, scenario, ("--mode", "latency", "--sink", sink)) for key, sink in kinds]
    runs = session.runs("wake-up", cases)
    return [{"sink": kinds[rows[0]["case"]][1], **_latency(rows)} for rows in runs if rows]


def recovery(session: Session) -> list[Row]:
    """Time from the loss of a connection with 4,999 topics to the first price after it."""
    scenario = Scenario("full", 1000, instruments=4999, act="reset")
    cases = [(key, scenario, ("--mode", "recovery")) for key in ("speed", "plain", "etoropy")]
    best = session.best("reconnect", cases, lambda row: float(row["marker_age_ms"]))
    return [{"ms": row["marker_age_ms"], "client": row["client"]} for row in best]


def ending(session: Session) -> list[Row]:
    """Time of disconnect() while the server answers nothing."""
    scenario = Scenario("full", 1000, instruments=10, act="silent")
    cases = [("speed", scenario, ("--mode", "end"))]
    best = session.best("disconnect", cases, lambda row: float(row["disconnect_ms"]), 1)
    return [{"ms": row["disconnect_ms"], "client": row["client"]} for row in best]
