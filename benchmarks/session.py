"""How a measurement is made: which client takes which feed, how often, and what is kept of it.

Clients take turns, so that a slow minute of the machine hits all of them, and of several
repetitions the best is kept, because whatever else runs can only slow a client down.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .feeds import Scenario
from .processes import CLIENTS, Client, ClientFailed, FeedServer

__all__ = ["QUICK", "THOROUGH", "Plan", "Row", "Session", "seconds_per_message", "speed"]

Row = dict[str, Any]
#: The key of a client, what it takes, and its arguments.
Case = tuple[str, Scenario, tuple[str, ...]]


@dataclass(frozen=True)
class Plan:
    """How thorough a run is.

    :param messages: for the fastest client, in one repetition.
    :param repeats: of which the best counts.
    :param seconds: of a paced feed.
    """

    messages: int = 200_000
    repeats: int = 3
    seconds: float = 2.0
    rates: tuple[int, ...] = (1000, 3000, 12_000)
    sinks: tuple[str, ...] = ("callback", "queue")


THOROUGH = Plan()
QUICK = Plan(messages=60_000, repeats=2, seconds=1.0, rates=(3000,), sinks=("callback",))


class Session:
    """One run of the benchmarks.

    :param plan: how thorough.
    :param server: feeds the clients.
    """

    def __init__(self, plan: Plan, server: FeedServer) -> None:
        self.plan = plan
        self._server = server
        self.notes: list[str] = []
        self._failed: set[str] = set()
        for client in CLIENTS.values():
            if client.missing:
                self.note(f"Without {client.name}: {client.missing} is not installed.")
                self._failed.add(client.name)

    def note(self, text: str) -> None:
        """Say at once, and in the report, what is missing."""
        self.notes.append(text)
        print(f"  {text}", file=sys.stderr, flush=True)

    def stages(self, hides: str) -> list[Row]:
        """Return what :mod:`benchmarks.stages` measures, without the module *hides*."""
        rows: list[Row] = self._server.run_module("stages", hides)
        return rows

    def run(self, client: Client, scenario: Scenario, *arguments: str, python: Path) -> Row:
        """Let a client take a scenario once, in another interpreter.

        :raises ClientFailed: when it cannot.
        """
        return self._server.run(client, scenario, *arguments, python=python)

    def take(self, key: str, scenario: Scenario, *arguments: str) -> Row | None:
        """Let one client take one scenario; None, and a note, when it cannot."""
        client = CLIENTS[key]
        if client.name in self._failed:
            return None
        if not scenario.rate:
            messages = max(int(scenario.messages * client.weight), 1000)
            scenario = replace(scenario, messages=messages)
        try:
            report = self._server.run(client, scenario, *arguments)
        except ClientFailed as exc:
            self.note(str(exc))
            self._failed.add(client.name)
            return None
        return {**report, "client": client.name, "key": key}

    def runs(self, title: str, cases: Iterable[Case], repeats: int = 0) -> list[list[Row]]:
        """Let all *cases* take turns; return the reports of each, none if it cannot run."""
        cases, repeats = list(cases), repeats or self.plan.repeats
        rows: list[list[Row]] = [[] for _ in cases]
        for repetition in range(repeats):
            print(f"  {title}: {repetition + 1} of {repeats}", file=sys.stderr, flush=True)
            for number, (key, scenario, arguments) in enumerate(cases):
                row = self.take(key, scenario, *arguments)
                if row is not None:
                    rows[number].append({**row, "case": number})
        return rows

    def best(
        self, title: str, cases: Iterable[Case], lowest: Callable[[Row], float], repeats: int = 0
    ) -> list[Row]:
        """Let all *cases* take turns; return the best report of each.

        Rows carry the number of their case as ``"case"``.
        """
        return [min(rows, key=lowest) for rows in self.runs(title, cases, repeats) if rows]


def seconds_per_message(row: Row) -> float:
    """Return what the best of several repetitions is chosen by."""
    return float(row["seconds"]) / int(row["feed"]["messages"])


def speed(row: Row) -> Row:
    """Return the figures of a feed that was sent as fast as the client read."""
    messages = row["feed"]["messages"]
    return {
        "client": row["client"],
        "key": row["key"],
        "messages": messages,
        "per_second": messages / row["seconds"],
        "cpu_us": row["cpu_seconds"] * 1e6 / messages,
        "delivered": row["delivered"],
        "price_changes": row["feed"]["price_changes"],
    }
