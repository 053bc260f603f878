import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from etoro_sync.simulator import EToroSimulator
from tests.simulator.client import PATIENCE
from tests.simulator.conftest import Dial, Simulate
from tests.support.frames import close_payload


def test_steps_are_taken_in_their_time(simulate: Simulate, dial: Dial) -> None:
    """Faults begin and end, and everything else goes on meanwhile."""
    sim = simulate()
    client = dial(sim)
    start = time.monotonic()
    script = sim.play(
        [
            (0, "mute"),
            (0, "stall"),
            (0.05, "heal", {"name": "stall"}),
            (0.15, "heal"),
            (0.2, "close", {"code": 4001}),
        ]
    )
    sim.wait_until(lambda s: [fault.name for fault in s.faults] == ["mute", "stall"])
    sim.send_text("late")
    sim.wait_until(lambda s: [fault.name for fault in s.faults] == ["mute"])
    assert time.monotonic() - start >= 0.05
    assert not script.done
    assert client.frame().payload == b"late"
    assert time.monotonic() - start >= 0.15
    assert client.frame().payload == close_payload(4001)
    script.wait()
    assert script.done
    assert time.monotonic() - start >= 0.2


def test_a_script_can_refuse_connections(simulate: Simulate, dial: Dial) -> None:
    """What needs the accepting thread doesn't block the one that plays."""
    sim = simulate()
    sim.play([(0, "refuse")]).wait()
    sim._wait_settled()
    with pytest.raises(ConnectionRefusedError):
        dial(sim)
    sim.play([(0, "heal")]).wait()
    sim._wait_settled()
    dial(sim)


def test_a_script_may_wait_for_the_start(
    simulate: Simulate, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due by then is done before anybody can connect."""
    sim = simulate()
    sim.stop()
    monkeypatch.setattr(sim._feed, "start", lambda: None)  # it is in no hurry
    sim.play([(0, "refuse"), (1000, "heal")])
    sim.start()
    with pytest.raises(ConnectionRefusedError):
        dial(sim)


def test_a_script_is_read_from_a_file(simulate: Simulate, tmp_path: Path) -> None:
    """The same list, as JSON, also with the mark that editors on Windows put first."""
    script = json.dumps([[0, "freeze", {"instrument_id": 18}], [0.001, "pong_only"]])
    path, marked = tmp_path / "script.json", tmp_path / "marked.json"
    path.write_text(script, encoding="utf-8")
    marked.write_text(script, encoding="utf-8-sig")
    for name in (path, str(path), marked):
        sim = simulate()
        sim.play(name).wait()
        assert [fault.name for fault in sim.faults] == ["freeze", "pong_only"]


def test_a_stopped_script_takes_no_more_steps(simulate: Simulate) -> None:
    """What it has brought stays."""
    sim = simulate()
    script = sim.play([(0, "mute"), (1000, "heal")])
    sim.wait_until(lambda s: s.faults)
    script.stop()
    script.wait()
    assert script.done
    with sim._hub.changed:  # nothing is done before the stop
        sim.play([(0, "drip")]).stop()
    sim.play([(0, "stall")]).wait()
    assert [fault.name for fault in sim.faults] == ["mute", "stall"]
    with pytest.raises(TimeoutError, match=r"1 step of the script is left after 0\.01 s"):
        sim.play([(1000, "mute")]).wait(0.01)


def test_stopping_the_simulator_ends_its_scripts(simulate: Simulate) -> None:
    """Nothing of them is left when it starts again."""
    sim = simulate()
    sim.play([(0.2, "mute")])
    sim.stop()
    sim.start()
    sim.play([(0.3, "freeze", {"instrument_id": 1})]).wait()
    assert [fault.name for fault in sim.faults] == ["freeze"]


@pytest.mark.parametrize("which", ["simulator", "script"])
def test_who_waits_for_a_script_hears_of_its_stop(simulate: Simulate, which: str) -> None:
    """At once, whether it is stopped alone or with its simulator; later, there is no wait."""
    sim = simulate()
    script = sim.play([(1000, "mute")])
    waiting = threading.Thread(target=script.wait, args=(1000,), daemon=True)
    waiting.start()
    while not sim._hub._waiters:
        time.sleep(0)
    {"simulator": sim.stop, "script": script.stop}[which]()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    script.wait(0)
    assert script.done


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        (5, TypeError, "a script must be a list of steps, not 5"),
        ({"mute": 1}, TypeError, "a script must be a list of steps"),
        (["mute"], TypeError, r"step 1 of the script: a step must be \(seconds, name, arguments\)"),
        ([(0, "mute"), (1,)], ValueError, "step 2 of the script: a step must be"),
        ([(0, "mute", 5)], TypeError, "step 1 of the script: the arguments must be a mapping"),
        ([("0", "mute")], TypeError, "seconds must be a number"),
        ([(-1, "mute")], ValueError, "seconds must be 0 or more"),
        ([(0, 5)], TypeError, "name must be a string"),
        ([(0, "mutter")], ValueError, "step 1 .* no fault 'mutter'; did you mean 'mute'"),
        ([(0, "mute", {"att": 1})], ValueError, "no argument 'att'; did you mean 'at'"),
        (
            [(1, "mute"), (0, "heal")],
            ValueError,
            "step 2 .*: steps must be in order of time, but 0 s comes after 1 s",
        ),
        ([(1, "heal", {"names": 1})], ValueError, "heal takes only the argument 'name', not names"),
        ([(0, "mute", {1: 2})], ValueError, "step 1 .* 'mute' has no argument 1; there are times"),
        ([(1, "heal", {1: 2})], ValueError, "heal takes only the argument 'name', not 1"),
        ([(1, "heal", {"name": "mutter"})], ValueError, "name must be one of"),
        ([(1, "wrong_host")], ValueError, "needs a simulator with tls=True"),
    ],
)
def test_a_mistake_shows_before_the_first_step(
    script: Any, error: type[Exception], words: str
) -> None:
    """With the number of the step."""
    sim = EToroSimulator()
    with pytest.raises(error, match=words):
        sim.play(script)


def test_a_file_that_is_no_script_is_named(tmp_path: Path) -> None:
    """So is one that is not there."""
    path = tmp_path / "script.json"
    with pytest.raises(OSError, match=r"script\.json"):
        EToroSimulator().play(path)
    path.write_text("[[0, mute]]")
    with pytest.raises(ValueError, match=r"script\.json is not a JSON file"):
        EToroSimulator().play(path)


def test_text_in_a_file_that_cannot_be_sent_is_a_mistake(tmp_path: Path) -> None:
    """JSON can write half a character, which no message can hold."""
    path = tmp_path / "script.json"
    path.write_text(r'[[0, "bad_json", {"text": "\ud800"}]]')
    with pytest.raises(ValueError, match="step 1 of the script: text must be text that UTF-8"):
        EToroSimulator().play(path)
