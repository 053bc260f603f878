"""What docs/simulator.md shows is run as it stands, and every fault is in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import etoro_sync
from etoro_sync import WsClient, WsClientOptions
from etoro_sync.simulator import FAULTS, EToroSimulator
from tests.simulator.conftest import Simulate
from tests.simulator.page import BLOCKS, TEXT, of_kind

pytestmark = pytest.mark.heavy

#: Name of each fault, and the example behind its description.
EXAMPLES = re.findall(
    r"^`(\w+)`: (?:(?!```).)*?^```python example\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL
)
#: The options that the page shows for its examples, with the simulator's URL and no proxy.
(OPTIONS,) = [block for _, _, block in BLOCKS if block.startswith("options = ")]


def namespace(sim: EToroSimulator) -> dict[str, Any]:
    """What the examples take for granted."""
    names = {name: getattr(etoro_sync, name) for name in etoro_sync.__all__}
    scope: dict[str, Any] = names | {"pytest": pytest, "sim": sim}
    exec(OPTIONS, scope)
    return scope


@pytest.fixture
def scope(simulate: Simulate, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """A simulator and a connected client, as the page describes them."""
    name = request.node.callspec.params.get("name") if hasattr(request.node, "callspec") else None
    tls = name in FAULTS and FAULTS[name].needs_tls
    sim = simulate(tls=tls)
    scope = namespace(sim)
    given = {f: getattr(scope["options"], f) for f in scope["options"].__dataclass_fields__}
    given |= {"proxy": "", "ssl_context": sim.client_ssl_context() if tls else None}
    if name == "drip_handshake":
        given["connect_timeout"] = 5.0  # it is to come to its end on a busy machine, too
    scope["options"] = WsClientOptions(**given)
    with WsClient(scope["options"]) as client:
        rates = client.queue("instrument:rate")
        client.subscribe([18], snapshot=True)
        rates.get(timeout=10)
        rates.close()
        yield scope | {"client": client}


def test_every_fault_has_one_example() -> None:
    """In the order of the list, and nothing else has one."""
    assert sorted(name for name, _ in EXAMPLES) == sorted(FAULTS)
    assert len(EXAMPLES) == len(of_kind("example"))


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_runs_as_it_stands(name: str, example: str, scope: dict[str, Any]) -> None:
    """And the simulator behaves when its fault is healed."""
    assert f'fault("{name}"' in example
    exec(example, scope)
    sim: EToroSimulator = scope["sim"]
    sim.heal()
    with WsClient(scope["options"]) as client:
        rates = client.queue("instrument:rate", instrument_ids=[77])
        client.subscribe([77], snapshot=True)
        assert rates.get(timeout=10)[0] == 77


def test_the_other_blocks_run_as_well(scope: dict[str, Any]) -> None:
    """Those that need no run of pytest of their own."""
    blocks = [b for language, kind, b in BLOCKS if language == "python" and not kind]
    assert len(blocks) == 4
    for block in blocks:
        if block != OPTIONS:
            exec(block, scope)
    assert scope["script"].done


def test_the_script_that_the_page_shows_is_one(tmp_path: Path) -> None:
    """It can be played from a file."""
    (block,) = [block for language, _, block in BLOCKS if language == "json"]
    path = tmp_path / "faults.json"
    path.write_text(block)
    assert not EToroSimulator().play(path).done
    assert len(json.loads(block)) == 3
