"""The command publish: symbols, ids or all, and how far it is."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
import redis

from etoro_sync import Instruments
from etoro_sync.cli import publishing, run
from etoro_sync.redis import PublisherStats
from etoro_sync.simulator import EToroSimulator
from tests.conftest import MakeSimulator
from tests.redis.conftest import StartRedis
from tests.redis.orders import wait_until
from tests.redis.publishing import Feed
from tests.support.clients import API_KEY, USER_KEY
from tests.support.redis_server import RedisServer


@pytest.fixture
def sim(simulator: MakeSimulator, monkeypatch: pytest.MonkeyPatch) -> EToroSimulator:
    """A simulator to which the environment leads."""
    sim = simulator(rest=True)
    for name, value in {
        "ETORO_API_KEY": API_KEY,
        "ETORO_USER_KEY": USER_KEY,
        "ETORO_WS_URL": sim.url,
        "ETORO_REST_URL": sim.rest_url,
    }.items():
        monkeypatch.setenv(name, value)
    return sim


@pytest.fixture
def feed(raw: redis.Redis) -> Feed:
    """What is in the server."""
    return Feed(raw)


def publish_until(condition: Callable[[], object], *arguments: str) -> int:
    """Run the command until *condition* is true; then press Ctrl-C. Return its exit status."""

    def watch() -> None:
        try:
            wait_until(condition)
        finally:
            signal.pthread_kill(main, signal.SIGINT)  # wakes it, too

    main = threading.get_ident()
    # The command leaves signals ignored, since its process ends.
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    # In a shell's background job it is ignored, and the command leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        return run(["publish", *arguments])
    finally:
        thread.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def test_it_publishes_what_is_named(
    sim: EToroSimulator, server: RedisServer, feed: Feed, capsys: pytest.CaptureFixture[str]
) -> None:
    """By symbol and by id, with order events; the last line says what was published."""
    filled: list[int] = []

    def is_published() -> bool:
        if len(sim.subscribed) == 3 and not filled:
            filled.append(sim.fill_order(1001))
        return len(feed.last()) == 2 and len(feed.orders()) == 1

    assert publish_until(is_published, server.url, "BTC", "1001", "--private") == 130
    out, err = capsys.readouterr()
    assert set(feed.last()) == {100000, 1001}
    assert len(feed.orders()) == 1
    assert re.search(r"published [1-9]\d* rates, 1 orders, epoch \d+", out)
    assert err == ""
    assert not feed.raw.exists(feed.keys.lease)


def test_all_instruments_are_published(sim: EToroSimulator, server: RedisServer) -> None:
    """As many as the REST API names; to a feed of another name."""
    ids = {each.id for each in Instruments().all()}
    with server.client() as raw:
        night = Feed(raw, "night")
        arguments = ["--all", "--feed", "night", "--lease", "1"]
        assert publish_until(lambda: set(night.last()) == ids, server.url, *arguments) == 130
    assert {f"instrument:{each}" for each in ids} == {
        topic for request in sim.requests for topic in request.get("data", {}).get("topics", [])
    }


def test_a_cold_publisher_connects_by_itself(
    sim: EToroSimulator, server: RedisServer, feed: Feed, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once it has the lease."""
    assert publish_until(lambda: set(feed.last()) == {1001}, server.url, "1001", "--cold") == 130
    assert "published" in capsys.readouterr().out


def test_simulated_data_need_no_keys(
    server: RedisServer, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --demo."""
    for name in ("ETORO_API_KEY", "ETORO_USER_KEY"):
        monkeypatch.delenv(name, raising=False)
    arguments = ["1001", "--private", "--demo"]
    assert publish_until(lambda: set(feed.last()) == {1001}, server.url, *arguments) == 130


def test_it_ends_after_its_seconds(sim: EToroSimulator, server: RedisServer) -> None:
    """With --seconds."""
    assert run(["publish", server.url, "1001", "--seconds", "0.1"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Name at least one instrument"),
        (["BTC", "--all"], "name none"),
        (["1001", "--feed", "a b"], "feed must be"),
        (["1001", "--lease", "100"], "lease must be"),
        (["1001", "--lease", "nan"], "greater than 0"),
    ],
)
def test_wrong_arguments_are_said(
    sim: EToroSimulator,
    server: RedisServer,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    """In one line, before anything is connected."""
    assert run(["publish", server.url, *arguments]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert sim.connections == 0


def test_all_needs_to_know_where_to_ask(
    sim: EToroSimulator,
    server: RedisServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ids of a simulator are not those of eToro."""
    monkeypatch.delenv("ETORO_REST_URL")
    assert run(["publish", server.url, "--all"]) == 2
    assert "ETORO_REST_URL" in capsys.readouterr().err


def test_a_refused_password_is_not_shown(
    sim: EToroSimulator, start_redis: StartRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends with what to do."""
    own = start_redis(port=True, requirepass="right")
    url = own.tcp_url.replace("redis://", "redis://:planted-password@")
    assert run(["publish", url, "1001"]) == 1
    out, err = capsys.readouterr()
    assert "Check the user and the password" in err
    assert "planted" not in out + err


@pytest.mark.parametrize(
    "arguments",
    [["publish", "redis://localhost", "1001", "--demo"], ["doctor", "redis://localhost"]],
)
def test_a_missing_extra_is_named(arguments: list[str]) -> None:
    """With what to install, in one line."""
    code = (
        "import sys; sys.modules['redis'] = None; from etoro_sync.cli import run; "
        f"sys.exit(run({arguments}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert 'pip install "etoro-sync[redis]"' in done.stderr


def test_metrics_of_the_connection_are_served(
    sim: EToroSimulator, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the command stream."""
    ports: list[int | None] = []

    @contextlib.contextmanager
    def watch(client: object, port: int | None) -> Iterator[None]:
        ports.append(port)
        yield

    monkeypatch.setattr(publishing, "watching", watch)
    arguments = ["publish", server.url, "1001", "--metrics-port", "9464", "--seconds", "0.1"]
    assert run(arguments) == 0
    assert ports == [9464]


def test_one_line_says_how_far_it_is() -> None:
    """What is not nothing, and why it pauses."""
    quiet = PublisherStats("new", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, None)
    assert publishing.describe(quiet) == "0 rates, 0 orders"
    busy = PublisherStats("active", 9, 12_345, 3, 0, 1, 2, 4, 5, 6, 7, 8, 1, 0, 1, "why")
    assert publishing.describe(busy) == (
        "12,345 rates, 3 orders, epoch 9, 4 conflated, 5 waiting, 6 orders held, 8 refused, "
        "7 lost, paused: why"
    )
