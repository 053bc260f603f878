"""Promise 14: no key is in a recording, whatever a server repeats, and in whatever spelling."""

from __future__ import annotations

import json
from pathlib import Path

from etoro_sync.recording.folder import segments_in
from etoro_sync.recording.frames import whole_frames
from tests.conftest import MakeClient, StartServer
from tests.recording.tools import replayed
from tests.support.clients import API_KEY, USER_KEY, Ear, envelope
from tests.support.peer import Peer
from tests.test_redaction import WAYS
from tests.trust.exposure import assert_hidden

RATE = {"Ask": "2", "Bid": "1", "PriceRateID": "1"}


def spellings(key: str) -> list[str]:
    found = []
    for ways in WAYS:
        text = key
        for way in ways:
            text = way(text)
        found.append(text)
    return found


def repeating(peer: Peer) -> None:
    """Say the keys in each kind of message, then lose the connection."""
    peer.handshake()
    request = peer.read_json()
    peer.send_json({"id": request["id"], "success": True, "operation": "Authenticate", **request})
    peer.send_text(json.dumps(request))
    for key in (API_KEY, USER_KEY):
        for echo in spellings(key):
            peer.send_text(
                f'{{"messages":[{{"topic":"instrument:18","type":"{echo}","content":"{{}}","id":"{echo}"}}]}}'
            )
            peer.send_text(f"not JSON: {echo}")
        peer.send_text(envelope("instrument:18", {**RATE, "Date": key}))
        peer.send_text(envelope("private", {"OrderID": 1, key: {"x": [key]}}, key))
        peer.send_text(envelope(f"instrument:{key}", RATE))
    peer.send_close(4001, API_KEY)


def all_bytes(folder: Path) -> str:
    return "".join(
        (frame.data or b"").decode() for path in segments_in(folder) for frame in whole_frames(path)
    )


def undone(text: str) -> str:
    """Undo escapes, as a reader of JSON in JSON would."""
    while "\\\\" in text:
        text = text.replace("\\\\", "\\")
    return text.encode("ascii").decode("unicode_escape")


def test_promise_14_no_key_is_in_a_recording(
    raw_server: StartServer, client: MakeClient, tmp_path: Path
) -> None:
    """Neither in texts, events and errors, nor in the states at the beginning of a segment."""

    def quiet(peer: Peer) -> None:
        peer.accept()
        peer.send_text(envelope("instrument:18", {**RATE, "Date": API_KEY}))
        peer.serve()

    c = client(raw_server([repeating, quiet]).url)
    ear = Ear(c)
    with c.record(tmp_path, segment_bytes=1000):
        c.connect()
        ear.wait(lambda ear: 18 in c.rates and c.rates[18].generation == 2)
    with c.record(tmp_path):
        c.disconnect()
    found = all_bytes(tmp_path)
    assert found.count("***") > 50
    assert_hidden(found, undone(found))
    events, _ = replayed(tmp_path)
    assert [event for event, *_ in events].count("private:event") == 2
    assert_hidden(repr(events))
