"""The dashboard and the alerting rules, evaluated by a real Prometheus that scrapes a client."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etoro_sync.metrics import serve
from etoro_sync.operations.dashboard import make_dashboard
from etoro_sync.operations.figures import names
from etoro_sync.simulator import EToroSimulator
from tests.support.clients import make_client

from .conftest import until

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).parents[2]
RULES = ROOT / "etoro_sync" / "operations" / "alerts.yml"
_HERE = shutil.which("prometheus") and shutil.which("promtool")
needs_prometheus = pytest.mark.skipif(
    _HERE is None, reason="needs prometheus and promtool (Debian: prometheus)"
)

CONFIG = """
global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}
rule_files: [alerts.yml]
scrape_configs:
  - job_name: etoro
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
"""

Query = Callable[..., Any]


def expressions() -> Iterator[tuple[str, str]]:
    """Return the title of each panel, and each of its expressions."""
    for panel in make_dashboard()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def choices() -> dict[str, str]:
    """Return what Grafana asks Prometheus to fill the variables: name -> query."""
    variables = make_dashboard()["templating"]["list"]
    return {each["name"]: each["query"] for each in variables if each["type"] == "query"}


def filled(expression: str) -> str:
    """Put values where Grafana does."""
    for name in choices():
        expression = expression.replace(f"${name}", ".*")
    expression = re.sub(r"\$__(rate_interval|range)\b", "5s", expression)
    assert "$" not in expression
    return expression


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of the metrics of a client that receives prices and order events."""
    with (
        EToroSimulator({18: 4800.0, 1001: 227.5}, rate=50, order_interval=0.2) as sim,
        make_client(sim.url) as client,
        serve(client, 0) as server,
    ):
        client.on("instrument:rate", lambda number, rate: None)
        client.subscribe([18, 1001, "private"], snapshot=True)
        yield server.port


@pytest.fixture(scope="module")
def query(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Query]:
    """Ask a Prometheus of this test's own."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "prometheus.yml").write_text(CONFIG.replace("PORT", str(port)))
    shutil.copy(RULES, folder)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=folder,
    )

    def ask(path: str, **parameters: str) -> Any:
        url = f"http://{address}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read()
            return json.loads(text)["data"] if path.startswith("/api") else text

    def is_up() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            return bool(ask("/-/ready")) and bool(ask("/api/v1/query", query="up == 1")["result"])
        except (urllib.error.URLError, ConnectionError):
            return False

    try:
        until(is_up, 20)
        yield ask
    finally:
        process.terminate()
        process.wait(10)
        log.close()


@needs_prometheus
@pytest.mark.timeout(60)
def test_every_expression_of_the_dashboard_has_data(query: Query) -> None:
    """A panel that stays empty, because a name in it is wrong, looks like a quiet stream."""
    for title, expression in expressions():
        text = filled(expression)
        until(lambda text=text: query("/api/v1/query", query=text)["result"])
        for series in query("/api/v1/query", query=text)["result"]:
            assert float(series["value"][1]) >= 0, title


@needs_prometheus
def test_every_variable_of_the_dashboard_has_a_choice(query: Query) -> None:
    """Grafana turns label_values(metric, label) into this request."""
    found = {}
    for name, text in choices().items():
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", text).groups()  # type: ignore[union-attr]
        found[name] = query(f"/api/v1/label/{label}/values", **{"match[]": metric})
    assert found["client"] == ["default"]
    assert len(found["instance"]) == 1


@needs_prometheus
def test_prometheus_stores_every_metric(query: Query) -> None:
    """With its type and help, and no series that has a label per instrument."""
    series = query("/api/v1/series", **{"match[]": '{__name__=~"etoro_sync_.*"}'})
    assert {each["__name__"] for each in series} == names()
    labels = {label for each in series for label in each}
    assert labels == {"__name__", "job", "instance", "client", "state", "version"}
    metadata = query("/api/v1/metadata")
    for name in names():
        # In OpenMetrics a counter and an info are declared without their suffixes.
        (told,) = metadata.get(name) or metadata[re.sub("_(total|info)$", "", name)]
        kinds = {"_total": ["counter"], "e_info": ["info", "gauge"], "d_info": ["info", "gauge"]}
        assert told["type"] in kinds.get(name[-6:], ["gauge"])
        assert told["help"]


@needs_prometheus
def test_promtool_finds_nothing_to_correct(port: int) -> None:
    """In names, units, types and help texts."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read()
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@needs_prometheus
def test_the_page_s_configuration_is_valid(tmp_path: Path) -> None:
    """Whoever copies it from docs/operations.md has no mistake to find."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (config,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "prometheus.yml").write_text(config)
    shutil.copy(RULES, tmp_path / "etoro_sync_alerts.yml")
    done = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{RULES.read_text().count('- alert:')} rules found" in done.stdout


@needs_prometheus
@pytest.mark.timeout(60)
def test_prometheus_evaluates_the_rules(query: Query) -> None:
    """None fires of a healthy client, and none is in error."""

    def rules() -> list[Any]:
        return [rule for group in query("/api/v1/rules")["groups"] for rule in group["rules"]]

    until(lambda: all(rule["health"] == "ok" for rule in rules()))
    # Before the first scrape nothing was there, so the rule that says so may still be pending.
    until(lambda: {rule["state"] for rule in rules()} == {"inactive"})
    assert len(rules()) == RULES.read_text().count("- alert:")


def test_the_expressions_name_every_metric_and_no_other() -> None:
    """What is exposed can be seen, and what is shown is exposed."""
    used = {name for _, text in expressions() for name in re.findall(r"etoro_sync_\w+", text)}
    assert used == names()
    alerts = set(re.findall(r"\b(etoro_sync_\w+)[\[{ )]", RULES.read_text()))
    assert alerts <= names()


def test_the_page_s_copy_is_today_s() -> None:
    """Whoever changes it runs: etoro-sync dashboard > docs/operations/dashboard.json."""
    copy = ROOT / "docs" / "operations" / "dashboard.json"
    assert json.loads(copy.read_text(encoding="utf-8")) == make_dashboard()


def test_panels_do_not_overlap() -> None:
    """Each has a place of its own, and fits into the width."""
    seen = set()
    for panel in make_dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        seen.add((place["x"], place["y"]))
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
    assert len(seen) == len(make_dashboard()["panels"])


def test_no_color_and_no_number_misleads() -> None:
    """Grafana's own are red from 80 on, and of a single series it hides the name."""
    panels = {panel["title"]: panel for panel in make_dashboard()["panels"]}
    for title, panel in panels.items():
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        colors = ["red", "green"] if title == "Healthy" else ["green"]
        assert [step["color"] for step in steps] == colors
        assert [step["value"] for step in steps] == [None, 1][: len(steps)]
        assert panel["options"] == ({"textMode": "name"} if title == "State" else {})
        for target in panel["targets"]:
            assert target["instant"] == (panel["type"] != "timeseries")
            assert target["format"] == ("table" if title == "Versions" else "time_series")


@needs_prometheus
def test_each_rule_fires_when_it_should(tmp_path: Path) -> None:
    """promtool plays series of alerts_test.yml; every rule is in it, firing and quiet."""
    shutil.copy(RULES, tmp_path)
    tests = Path(__file__).with_name("alerts_test.yml")
    shutil.copy(tests, tmp_path)
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(
            ["promtool", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    text = tests.read_text()
    for name in re.findall(r"- alert: (\w+)", RULES.read_text()):
        assert re.search(rf"alertname: {name}\n +exp_alerts:", text), name
        assert f"alertname: {name}}}" in text, name
