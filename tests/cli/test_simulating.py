"""The commands simulate and demo, and the picture of the demonstration."""

from __future__ import annotations

import importlib.util
import os
import queue
import sys
import xml.dom.minidom
from pathlib import Path
from types import ModuleType

import pytest

from etoro_sync import WsClient, WsClientOptions
from etoro_sync.cli import run, showing, simulating
from etoro_sync.cli.table_contents import TableContents
from etoro_sync.simulator import EToroSimulator
from tests.support.clients import quick_options
from tests.support.threads import run_in_thread
from tests.support.timing import MS


def test_a_simulator_ends_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """--seconds ends with 0."""
    assert run(["simulate", "--port", "0", "--seconds", "0.1", "--api-key", "x"]) == 0
    out, err = capsys.readouterr()
    assert "ws://127.0.0.1:" in out
    assert "the given API key, any user key" in out
    assert "ETORO_REST_URL=http://127.0.0.1:" in out
    assert err == ""


def test_the_certificate_is_handed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Clients need it to trust the simulator: it is printed, or written to a file."""
    arguments = ["simulate", "--port", "0", "--seconds", "0.1", "--tls", "--user-key", "x"]
    assert run(arguments) == 0
    out = capsys.readouterr().out
    assert "wss://localhost:" in out
    assert "any API key, the given user key" in out
    assert "BEGIN CERTIFICATE" in out

    file = tmp_path / "ca.pem"
    assert run([*arguments, "--ca-file", str(file)]) == 0
    assert str(file) in capsys.readouterr().out
    assert file.read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_a_certificate_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file's name is the user's choice, so what is wrong with it ends with 2."""
    file = tmp_path / "missing" / "ca.pem"
    arguments = ["simulate", "--port", "0", "--seconds", "5", "--tls", "--ca-file", str(file)]
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert err == f"etoro-sync: Cannot write the certificate to {file}: {os.strerror(2)}.\n"


def test_clients_that_come_and_go_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes a client sees whether it has arrived, and how it takes a cut."""
    said: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(simulating, "_print", said.put)
    simulator = EToroSimulator(port=0)
    running = run_in_thread(
        lambda: simulating.simulate(simulator, None, 1000 * MS, 300 * MS, "any")
    )
    said.get(timeout=5)
    said.get(timeout=5)
    with WsClient(quick_options(simulator.url)) as client:
        client.subscribe([1001])
        heard = list(iter(lambda: said.get(timeout=5), "All connections were cut off."))
        assert "1 client, 1 topic" in heard
        assert client.wait_for("reconnected", timeout=5).generation == 2
    running.wait()
    assert "0 clients, 0 topics" in list(said.queue)


def test_the_steps_of_a_script_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When they are taken, with their time, among the comings and goings of clients."""
    said: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(simulating, "_print", said.put)
    simulator = EToroSimulator(port=0)
    script = simulator.play([(0, "pongs"), (0.04, "freeze", {"instrument_id": 18}), (0.06, "heal")])
    running = run_in_thread(
        lambda: simulating.simulate(simulator, None, 1000 * MS, None, "any", script)
    )
    heard = [said.get(timeout=5) for _ in range(5)]
    assert heard[2:] == ["0.0 s  pongs", "0.0 s  freeze", "0.1 s  heal"]
    running.wait()
    assert said.empty()


def test_a_demonstration_can_cut_its_own_connection(capsys: pytest.CaptureFixture[str]) -> None:
    """What a reconnection looks like can be seen without waiting for one."""
    arguments = ["demo", "--json", "--cut-every", "0.2", "--seconds", "0.5", "--rate", "500"]
    assert run(arguments) == 0
    assert '"event":"close"' in capsys.readouterr().out


def test_nobody_is_cut_off_where_nobody_is() -> None:
    """Only cuts that somebody feels are told."""
    with EToroSimulator() as simulator:
        cuts = simulating.Cuts(simulator, 1e-9)
        assert not cuts.tick()
        assert not simulating.Cuts(simulator, None).tick()


def _picture() -> ModuleType:
    """Return the script that draws the picture; it is no part of the package."""
    path = Path(__file__).parents[2] / "docs" / "draw_demo.py"
    spec = importlib.util.spec_from_file_location("draw_demo", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_that_of_a_demonstration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made from what the command shows, and loads nothing from elsewhere."""
    picture = _picture()
    original = picture.draw
    monkeypatch.setattr(picture, "draw", lambda seconds: original(0.2))
    file = tmp_path / "demo.svg"
    monkeypatch.setattr(sys, "argv", ["picture", str(file)])
    picture.main()
    svg = file.read_text(encoding="utf-8")
    xml.dom.minidom.parseString(svg)
    assert "spread" in svg
    assert "live" in svg
    assert "url(http" not in svg


def test_a_picture_without_a_file_to_write_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is drawn."""
    monkeypatch.setattr(sys, "argv", ["picture"])
    with pytest.raises(SystemExit, match=r"^Usage: .* FILE\.svg$"):
        _picture().main()


def test_a_picture_needs_no_log() -> None:
    """What the log says is not in it."""
    _picture()._Still(TableContents((), "", False, 0.0)).note("warning: x")


def test_options_of_the_demo_client_do_not_look_for_a_proxy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A proxy that the environment names has no way to this process."""
    seen: list[WsClientOptions] = []
    monkeypatch.setattr(showing, "stream", lambda options, *rest: seen.append(options))
    assert run(["demo"]) == 0
    assert seen[0].proxy == ""
