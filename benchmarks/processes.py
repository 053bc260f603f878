"""Starts the feed server and the clients, each in an interpreter of its own."""

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .feeds import Scenario

__all__ = ["CLIENTS", "Client", "ClientFailed", "FeedServer", "child_environment"]

_ROOT = Path(__file__).resolve().parents[1]
_PATIENCE = 180.0


@dataclass(frozen=True)
class Client:
    """One of those that are compared.

    :param name: in tables.
    :param module: of :mod:`benchmarks.clients`.
    :param needs: distributions' modules without which it cannot run.
    :param hides: a module that it is to do without.
    :param weight: its share of the messages that the fastest get, so that it ends in time.
    """

    name: str
    module: str
    needs: tuple[str, ...] = ()
    hides: str = ""
    weight: float = 1.0

    @property
    def missing(self) -> str:
        """What it needs and this environment has not."""
        return ", ".join(name for name in self.needs if importlib.util.find_spec(name) is None)


CLIENTS = {
    "speed": Client("etoro_sync with speed", "ours", ("orjson",)),
    "plain": Client("etoro_sync", "ours", hides="orjson"),
    "etoropy": Client("etoropy", "etoropy_client", ("etoropy",), weight=0.5),
    "naive": Client("naive client", "naive", weight=0.05),
    "ceiling": Client("ceiling (picows, orjson)", "ceiling", ("picows", "orjson"), weight=2.0),
    "sink": Client("the server alone", "sink", weight=2.0),
}


class ClientFailed(Exception):
    """A client under test ended with an error or not at all."""


def child_environment(hides: str = "") -> dict[str, str]:
    """Return the environment of a client: no proxy between two processes of one machine.

    Compiled files are kept, as in an installation: else each import would compile ours anew, and
    those of the installed libraries not.
    """
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    if hides:
        kept["BENCHMARK_HIDES"] = hides
    return kept


class FeedServer:
    """The server's process; a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.server"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._cores = _client_cores()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ClientFailed("the feed server has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(
        self,
        client: Client,
        scenario: Scenario,
        *arguments: str,
        python: Path | None = None,
        root: Path = _ROOT,
    ) -> dict[str, Any]:
        """Let *client* take *scenario*; return its report, with the server's under ``"feed"``.

        :param python: another interpreter to run it, on any core.
        :param root: another checkout to run it from.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(scenario)) + "\n")
        self._process.stdin.flush()
        plan = self._read()
        try:
            command = [f"benchmarks.clients.{client.module}", "--port", str(plan["port"])]
            command += ["--instruments", str(scenario.instruments), *arguments]
            output = self._run_process(client.name, command, client.hides, python, root)
            report: dict[str, Any] = json.loads(output)
        except ClientFailed:
            # Take its place, so that the server gets to its report.
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", plan["port"]), timeout=1).close()
            self._read()
            raise
        return {**report, "feed": {**plan, **self._read()}}

    def run_module(self, module: str, hides: str = "") -> Any:
        """Return what *module*, run where a client runs, prints as JSON."""
        return json.loads(self._run_process(module, [f"benchmarks.{module}"], hides))

    def _run_process(
        self,
        name: str,
        command: list[str],
        hides: str,
        python: Path | None = None,
        root: Path = _ROOT,
    ) -> str:
        """Run a module on the cores that the server leaves; return its output."""
        process = subprocess.Popen(
            [python or sys.executable, "-m", *command],
            cwd=root,
            env=child_environment(hides),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self._cores and python is None:
            os.sched_setaffinity(process.pid, self._cores)
        try:
            out, err = process.communicate(timeout=_PATIENCE)
        except BaseException as exc:
            process.kill()
            process.communicate()
            if isinstance(exc, subprocess.TimeoutExpired):
                raise ClientFailed(f"{name} did not end in {_PATIENCE:g} s") from None
            raise
        if process.returncode or not out:
            print(err, file=sys.stderr)
            # The last line only: a traceback shows paths, and this gets onto a page.
            why = err.strip().splitlines()[-1:] or ["no report"]
            raise ClientFailed(f"{name} failed: {why[0]}")
        return out

    def __enter__(self) -> "FeedServer":
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _client_cores() -> set[int]:
    """Return the cores that the server leaves; empty where that cannot be arranged."""
    if not hasattr(os, "sched_setaffinity"):
        return set()
    return set(sorted(os.sched_getaffinity(0))[1:])
