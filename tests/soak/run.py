"""Runs a soak and reports: ``make soak``. Exit status 1, and a line each, for broken promises.

Minutes of random faults alternate with quiet moments in which client and server are compared. The
seed of the faults is printed; ``--seed`` plays them again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from etoro_sync import ClientState
from tests.soak.audit import Audit
from tests.soak.memory import Memory, span
from tests.soak.picture import draw
from tests.soak.program import Program
from tests.soak.samples import MB, Sample, measure
from tests.soak.script import FaultScripts
from tests.soak.server import SimulatorProcess

#: The share of a run, and the seconds at most, that are not judged: everything comes to its size.
_WARM_UP, _LONGEST_WARM_UP = 0.3, 300.0
_SAMPLE = 1.0
#: Seconds after which each way to use the client has come to its end at least once.
_EVERYBODY = 60.0
#: For a terminal: begin the line anew.
_ANEW = "\r\x1b[K"


class Soak:
    """One run.

    :param options: of the command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._terminal = sys.stdout.isatty()
        self._told = 0.0
        self._named = 0
        self.samples: list[Sample] = []
        self.faults = 0
        self.interrupted = False

    def run(self) -> list[str]:
        """Soak, report, and return what was broken."""
        o = self._options
        mix = {"rate": o.rate, "mix": "universe", "seed": o.seed, "max_topics": o.topics}
        with SimulatorProcess(o.order_interval, max_backlog=40_000, **mix) as server:
            program = Program(server.url, o.topics, o.rate)
            audit = Audit(program, server)
            self._began, self._began_wall = time.monotonic(), time.time()
            try:
                program.start()
                audit.take()
                self._rounds(program, server, audit)
                self._sample(program)
            except KeyboardInterrupt:
                self.interrupted = True  # what there is so far is told
            finally:
                program.stop()
        broken = [*audit.broken, *program.failures, *program.log.defects]
        if time.monotonic() - self._began >= _EVERYBODY:
            broken += program.unused()
        memory = Memory(self.samples, audit.blocks, self._judged_from)
        broken += memory.judge()
        self._report(program, audit, memory)
        return broken

    def _rounds(self, program: Program, server: SimulatorProcess, audit: Audit) -> None:
        """Faults and quiet moments in turn, until the time is over or somebody has ended."""
        o = self._options
        end = self._began + o.seconds
        scripts, whims = FaultScripts(o.seed, program.ids), random.Random(o.seed)
        while (left := end - time.monotonic()) > 0:
            steps = scripts.next(min(o.round, left))
            self.faults += sum(name != "heal" for _, name, _ in steps)
            # Now and then the callbacks are slower than the feed; at first always, so that what
            # waits has come to its bounds before memory is judged.
            slow = end - left < self._judged_from or whims.random() < 0.3
            program.callbacks.pause = 10.0 / o.rate if slow else 0.0
            server.play(steps)
            self._watch(program, audit, min(o.round, left))
            if program.client.state is ClientState.FAILED or program.failures:
                break
            if time.monotonic() < end:
                audit.take()
        audit.take(last=True)

    def _watch(self, program: Program, audit: Audit, seconds: float) -> None:
        """Measure, and tell how it goes."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            time.sleep(min(_SAMPLE, self._options.round / 10, until - now))
            self._sample(program)
            audit.broken += [text for r in program.readers if (text := r.account())]
            self._tell(program, audit)

    def _sample(self, program: Program) -> None:
        self.samples.append(measure(program.client))

    def _tell(self, program: Program, audit: Audit) -> None:
        """One line, written anew each second; where there is no terminal, once a minute.

        What breaks is told at once, too: half an hour is long to wait for a reason.
        """
        now = time.monotonic()
        for text in audit.broken[self._named :]:
            print(
                f"{_ANEW * self._terminal}{_clock(now - self._began)}: broken: {text}", flush=True
            )
        self._named = len(audit.broken)
        if not self._terminal and now - self._told < 60.0:
            return
        self._told = now
        last, client = self.samples[-1], program.client
        line = (
            f"{_clock(now - self._began)} of {_clock(self._options.seconds)}  "
            f"{last.messages:,} messages  {(last.rss or 0) / MB:.0f} MB  "
            f"{len(program.callbacks.gaps)} gaps  {client.state.value}  "
            f"{len(audit.broken)} broken"
        )
        print(f"{_ANEW * self._terminal}{line}", end="", flush=True)
        if not self._terminal:
            print(flush=True)

    @property
    def _judged_from(self) -> float:
        return self._began + min(_WARM_UP * self._options.seconds, _LONGEST_WARM_UP)

    # -- the report ------------------------------------------------------------------------------

    def _report(self, program: Program, audit: Audit, memory: Memory) -> None:
        """Print the table, and draw the picture."""
        if self._terminal:
            print(_ANEW, end="")
        rows = [*self._figures(program, audit), *memory.rows(), *self._consumers(program)]
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            print(f"{name:{width}}  {value}")
        if self._options.picture is not None:
            self._draw(program)

    def _figures(self, program: Program, audit: Audit) -> list[tuple[str, str]]:
        stats, heard = program.client.stats(), program.callbacks
        seconds = time.monotonic() - self._began
        longest = max((gap.seconds for gap in heard.gaps), default=0.0)
        rows = [
            ("time", f"{_clock(seconds)}, seed {self._options.seed}"),
            ("topics", f"{self._options.topics:,}"),
            ("messages", f"{stats.messages:,}; {stats.rates:,} rates, {stats.bytes / MB:,.0f} MB"),
            ("faults", f"{self.faults}"),
            ("attempts, connections", f"{stats.connect_attempts}, {stats.connections}"),
            ("gaps, generation", f"{len(heard.gaps)}, {program.client.generation}"),
            ("longest gap", f"{longest:.1f} s"),
            (
                "until data after healing",
                f"{audit.slowest:.1f} s at worst (bound {program.patience:g})",
            ),
            (
                "quiet moments",
                f"{audit.moments}; {audit.compared:,} last prices compared",
            ),
        ]
        rows += [
            (f"orders, {book.name}", f"{book.received} delivered, {book.lost} lost in gaps")
            for book in program.orders
        ]
        rows += [("errors told", _counts(heard.errors)), ("others did", _counts(program.done))]
        rows += [("bad messages", f"{stats.bad_messages}"), ("stale", f"{heard.stale}")]
        warm = [s for s in self.samples if s.at >= self._judged_from]
        rows += [("threads", span([s.threads for s in warm]))]
        return [*rows, ("descriptors", span([s.descriptors for s in warm]))]

    @staticmethod
    def _consumers(program: Program) -> list[tuple[str, str]]:
        stats = program.client.stats()
        rows = [
            (
                f"queue: {r.name}",
                f"{r.events.received:,} = {r.events.delivered:,} delivered + "
                f"{r.events.dropped:,} dropped + {r.events.conflated:,} conflated + "
                f"{r.events.qsize()} waiting",
            )
            for r in program.readers
        ]
        calls = f"{stats.callbacks:,} calls, {stats.callback_errors:,} raised"
        losses = f"{stats.callbacks_conflated:,} rates conflated, {stats.callbacks_dropped:,} shed"
        return [*rows, ("callbacks", f"{calls}, {losses}")]

    def _draw(self, program: Program) -> None:
        points = [s.at - self._began for s in self.samples]
        memory = [
            (at, s.rss / MB)
            for at, s in zip(points, self.samples, strict=True)
            if s.rss is not None
        ]
        pace = [
            (later.at - self._began, (later.messages - earlier.messages) / (later.at - earlier.at))
            for earlier, later in zip(self.samples, self.samples[1:], strict=False)
            if later.at > earlier.at
        ]
        gaps = [
            (gap.from_ - self._began_wall, gap.until - self._began_wall)
            for gap in program.callbacks.gaps
        ]
        title = f"{self._options.topics:,} topics, seed {self._options.seed}"
        panels = (("resident memory, MB", memory), ("messages per second", pace))
        draw(self._options.picture, title, panels, gaps)


def _clock(seconds: float) -> str:
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


def _counts(counter: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items())) or "none"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--topics", type=int, default=4999)
    parser.add_argument("--rate", type=float, default=1000.0, help="messages per second")
    parser.add_argument("--round", type=float, default=60.0, help="seconds between comparisons")
    parser.add_argument("--order-interval", type=float, default=0.25, help="seconds")
    parser.add_argument("--tracemalloc", action="store_true", help="trace Python's memory, too")
    parser.add_argument("--picture", type=Path, help="draw memory and messages into this SVG")
    options = parser.parse_args(arguments)
    if options.topics < 30:
        parser.error("--topics must be 30 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 for what is broken, or 130 after Ctrl-C."""
    options = _parse(arguments)
    print(f"Soak of {_clock(options.seconds)} minutes, --seed {options.seed}", flush=True)
    if options.tracemalloc:
        tracemalloc.start()
    soak = Soak(options)
    try:
        broken = soak.run()
    finally:
        tracemalloc.stop()
    for line in broken:
        print(f"BROKEN: {line}")
    print(f"{len(broken)} broken" if broken else "Everything held.")
    return 1 if broken else 130 * soak.interrupted


if __name__ == "__main__":
    sys.exit(main())
