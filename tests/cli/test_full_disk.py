"""The command record on a disk that fills up."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import Recording, Replay
from etoro_sync.recording.segments import lines_of, segments_in
from tests.conftest import MakeSimulator
from tests.recording.test_recorder import until
from tests.recording.tools import details_of, quote
from tests.support.disks import fill, small_disk

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.name != "posix", reason="mounts, and sends signals"),
]

#: More than the command's buffer of 64 MiB has room for, in few messages.
_LONG, _MOST = 400_000, 200


def test_a_full_disk_is_one_error_and_a_hole_and_the_command_goes_on(
    tmp_path: Path, simulator: MakeSimulator, keys: Callable[[str], None], spawn: Any
) -> None:
    """It resumes when there is room; the files, a replay and the last line say what is missing."""
    sim = simulator(instruments=[18])
    keys(sim.url)
    with small_disk(tmp_path / "disk") as disk:
        folder, filler = disk / "recording", disk / "filler"

        def recorded(text: str) -> bool:
            """Whether *text* is part of a text of the last file; those before are long."""
            files = segments_in(folder) if folder.is_dir() else []
            return any(text in line.text for path in files[-1:] for line in lines_of(path))

        process = spawn("-m", "etoro_sync", "record", "18", "--out", str(folder))
        until(lambda: recorded("Snapshot"), 20)
        fill(filler)
        # It does not fit into what is left of the last page.
        sim.send_text(quote(18, 2, Date=os.urandom(8192).hex()))
        assert "pauses: No space left on device" in process.stderr.readline()
        for number in range(3, _MOST):
            sim.send_text(quote(18, number, Date="x" * _LONG))
        while not re.search("missing.*paused: No space left on device", process.stdout.readline()):
            assert process.poll() is None
        filler.unlink()
        assert process.stderr.readline().endswith("goes on.\n")
        # More than once: what comes before there is room in the buffer again is missing, too.
        last_one = quote(18, _MOST)
        until(lambda: recorded(last_one) or not sim.send_text(last_one), 20)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read() == ""
        last = process.stdout.read().splitlines()[-1]
        found = re.fullmatch(r"recorded ([\d,]+) messages, .* ([\d,]+) missing into .*", last)
        assert found is not None, last
        written, missing = (int(each.replace(",", "")) for each in found.groups())
        assert len(list(Recording(folder).items("texts"))) == written
        holes = [line for path in segments_in(folder) for line in lines_of(path)]
        holes = [line for line in holes if line.kind == "hole"]
        assert sum(details_of(hole)["texts"] for hole in holes) == missing > 0
        with Replay(folder) as stream:
            gaps = stream.queue("reconnected")
            stream.run_forever()
            assert gaps.qsize() == len(holes)
            assert stream.rates[18].price_rate_id == _MOST
