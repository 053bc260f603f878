"""Frames of eToro's own server go the whole circle: served, recorded, replayed, read as a table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeClient, StartServer
from tests.recording.tools import Tape, plainly, replayed, texts_of
from tests.support.peer import Peer

pytestmark = pytest.mark.heavy

RECORDED = Path(__file__).parents[3] / "shared" / "recorded"
FILES = sorted(RECORDED.glob("*.jsonl.gz"))


def frames(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [line.rstrip("\n") for line in lines]
    return [json.loads(row)["text"] if "received_at" in row[:20] else row for row in rows]


@pytest.mark.skipif(not FILES, reason=f"no recorded frames in {RECORDED}")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_frames_come_back_as_they_were(
    raw_server: StartServer, client: MakeClient, tmp_path: Path, path: Path
) -> None:
    """The texts to the character, and each event and rate that they make."""
    texts = frames(path)
    end = '{"messages":[{"topic":"private","content":"{}","id":"e","type":"end"}]}'

    def serve(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        for text in [*texts, end]:
            peer.send_text(text)
        peer.serve()

    c = client(raw_server(serve).url)
    done = c.queue("private:event")
    with c.record(tmp_path):
        tape = Tape(c)
        c.connect()
        c.subscribe([18, 28, 100000, "private"], wait=False)
        done.get(timeout=20)
        rates = {key: vars(rate) for key, rate in c.rates.items()}
        c.disconnect()
    events = plainly(tape.read())
    assert [text for text in texts_of(tmp_path) if text.startswith('{"messages"')] == [*texts, end]
    again, at_end = replayed(tmp_path)
    assert again.pop() == ("close", 1000, "")
    assert again == events
    assert at_end == rates
    _compare_with_table(tmp_path, events)


def _compare_with_table(folder: Path, events: list[tuple[Any, ...]]) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    from etoro_sync import Recording

    live = [args[1] for event, *args in events if event == "instrument:rate"]
    table = Recording(folder).to_frame()
    for name in ("bid", "ask", "price_rate_id"):
        assert list(table[name]) == [rate[name] for rate in live]
    assert len(table) == len(live) > 30
