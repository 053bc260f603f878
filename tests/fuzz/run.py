"""Searches for bytes that break a rule of tests/fuzz/targets.py: ``make fuzz``.

With atheris, which is led by the lines that an input reaches; without it by chance alone. Each
target runs in an interpreter of its own. What is found is written to tests/fuzz/crashes, where
the tests find it, and go on failing until the cause is mended.
"""

import argparse
import importlib.util
import logging
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

HERE = Path(__file__).resolve().parent
NAMES = sorted(path.name for path in (HERE / "seeds").iterdir())


def search_by_coverage(name: str, seconds: int) -> None:
    """Let atheris search; it ends the process, with an error code when it has found something."""
    import atheris

    with atheris.instrument_imports(include=["etoro_sync"]):
        from tests.fuzz.targets import TARGETS

    crashes = HERE / "crashes" / name
    crashes.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as found:
        arguments = [sys.argv[0], found, str(HERE / "seeds" / name), f"-artifact_prefix={crashes}/"]
        # A slow input counts as a find, as does one that takes a lot of memory.
        limits = ["-max_len=4096", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]
        atheris.Setup([*arguments, *limits, f"-max_total_time={seconds}"], TARGETS[name])
        atheris.Fuzz()


def search_by_chance(name: str, seconds: int) -> None:
    """Change the seeds at random."""
    from tests.fuzz.mutations import mutants
    from tests.fuzz.targets import TARGETS

    seeds = [path.read_bytes() for path in sorted((HERE / "seeds" / name).iterdir())]
    deadline = time.monotonic() + seconds
    for runs, data in enumerate(mutants(seeds, random.Random())):
        if time.monotonic() >= deadline:
            print(f"Done {runs} runs in {seconds} second(s)")
            return
        try:
            TARGETS[name](data)
        except BaseException:
            crash = HERE / "crashes" / name / f"crash-{time.time_ns():x}"
            crash.parent.mkdir(parents=True, exist_ok=True)
            crash.write_bytes(data)
            raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=NAMES, help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--only", choices=NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only is not None:
        logging.disable()
        guided = importlib.util.find_spec("atheris") is not None
        (search_by_coverage if guided else search_by_chance)(options.only, options.seconds)
        return 0
    failures = 0
    share = max(options.seconds // len(options.targets), 1)
    for name in options.targets:
        command = [sys.executable, __file__, "--only", name, "--seconds", str(share)]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = (done.stdout + done.stderr).strip().splitlines()
        runs = next((line for line in lines if line.startswith("Done ")), "Found something:")
        print(f"{name:10} {runs}", flush=True)
        if done.returncode:
            failures += 1
            start = next((n for n, line in enumerate(lines) if "Uncaught" in line), 0)
            print("\n".join(lines[start:][:30]), flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
