"""The doctor for Redis: each step says what is wrong, and what to do about it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from etoro_sync.cli import run
from etoro_sync.doctor import Outcome, Step
from etoro_sync.redis import OrderGroup
from etoro_sync.redis.connection import Address
from etoro_sync.redis.doctor import steps as doctor_steps
from etoro_sync.redis.doctor.examination import RedisExamination, RedisReport, examine_redis
from etoro_sync.redis.doctor.rights import missing_rights
from etoro_sync.redis.doctor.steps import Steps
from tests.redis.conftest import StartRedis
from tests.redis.orders import KEYS, add_orders
from tests.support.redis_server import RedisServer
from tests.support.timing import MS

STEPS = [
    *("connection", "rights", "version", "role", "eviction", "persistence", "memory", "clock"),
    *("feed", "publisher", "rates", "orders", "groups"),
]
PASSWORD = "planted-password-4711"
ROOT = Path(__file__).parents[2]


def write_feed(raw: redis.Redis, epoch: int = 7) -> None:
    """Write what a publisher that is well has written."""
    raw.set(KEYS.lease, "token", px=60_000)
    raw.set(KEYS.epoch, epoch)
    raw.hset(KEYS.meta, mapping={"version": "1", "library": "0.1.0"})
    raw.hset(KEYS.last, "1001", "[7,1,[]]")
    raw.xadd(KEYS.rates, {"e": epoch, "n": 1, "r": "[]"})


def failed(report: RedisReport) -> dict[str, Step]:
    """The steps that have failed, by name; each says what to do."""
    found = {step.name: step for step in report.steps if step.outcome is Outcome.FAILED}
    assert all(step.remedy for step in found.values())
    return found


def step(report: RedisReport, name: str) -> Step:
    """The step of this name."""
    return next(each for each in report.steps if each.name == name)


# A feed that is well -----------------------------------------------------------------------------


def test_a_feed_that_is_well_has_no_failure(server: RedisServer, raw: redis.Redis) -> None:
    """And says what was found."""
    write_feed(raw)
    add_orders(raw, 1, 2, 3)
    with OrderGroup(server.url, "booking") as group:
        next(iter(group))
        seen: list[Step] = []
        report = examine_redis(server.url, on_step=seen.append)
    assert [each.name for each in report.steps] == STEPS
    assert [each.name for each in seen] == STEPS
    assert report.ok, str(report)
    assert step(report, "rights").found == ("this user may read, publish, consume orders in groups")
    assert step(report, "version").found.startswith("redis ")
    assert step(report, "persistence").found == "append-only file, appendfsync everysec"
    assert step(report, "publisher").found.endswith("epoch 7; no standby was seen")
    assert step(report, "rates").found.endswith("ago; 1 instrument")
    assert step(report, "orders").found.startswith("3 order events; the last came ")
    assert step(report, "groups").found == (
        "booking: 3 not acknowledged (0.00% of the limit), 1 consumer"
    )


def test_tls_and_a_password_are_used(start_redis: StartRedis) -> None:
    """A certificate that is not trusted is said to be so."""
    own = start_redis(tls=True)
    with own.client() as raw:
        write_feed(raw)
        raw.execute_command("ACL", "SETUSER", "watcher", "on", f">{PASSWORD}", "~*", "+@all")
    url = own.tcp_url.replace("rediss://", f"rediss://watcher:{PASSWORD}@")
    report = examine_redis(url)
    assert report.ok, str(report)
    assert PASSWORD not in str(report)
    report = examine_redis(url.partition("?")[0])
    assert "certificate" in failed(report)["connection"].found


def test_the_rights_of_the_pages_are_enough_for_their_roles(start_redis: StartRedis) -> None:
    """What the doctor looks for is what docs/redis.md and docs/redis_orders.md list."""
    own = start_redis(port=True)
    with own.client() as raw:
        for page, name, role in (
            ("redis.md", "publisher", "publish"),
            ("redis_orders.md", "worker", "consume orders in groups"),
        ):
            text = (ROOT / "docs" / page).read_text()
            (rights,) = re.findall(rf"ACL SETUSER {name} on >PASSWORD (.*)", text)
            raw.execute_command("ACL", "SETUSER", name, "on", f">{PASSWORD}", *rights.split())
            url = own.tcp_url.replace("redis://", f"redis://{name}:{PASSWORD}@")
            address = Address(url)
            with address.client() as client:
                assert missing_rights(client, address, KEYS, role) == []


# The server --------------------------------------------------------------------------------------


def test_a_server_that_is_not_there() -> None:
    """Nothing else can be looked at."""
    report = examine_redis("redis://127.0.0.1:1")
    assert [each.name for each in report.steps] == ["connection"]
    assert "Check that it runs" in failed(report)["connection"].remedy


def test_a_wrong_password_is_not_shown(start_redis: StartRedis) -> None:
    """Nor is a right one; it is a fault of settings."""
    own = start_redis(port=True, requirepass="another")
    report = examine_redis(own.tcp_url.replace("redis://", f"redis://:{PASSWORD}@"))
    assert "Check the user and the password" in failed(report)["connection"].remedy
    assert PASSWORD not in str(report)
    assert "wants a password" in failed(examine_redis(own.url))["connection"].remedy


def test_rights_that_are_missing(start_redis: StartRedis) -> None:
    """A reader may be a reader, which is a note; one that may not read has failed."""
    own = start_redis(port=True)
    with own.client() as raw:
        write_feed(raw)
        rights = "~etoro-sync:* +@read +@connection +time +multi +exec +eval +info +config|get"
        raw.execute_command("ACL", "SETUSER", "reader", "on", f">{PASSWORD}", *rights.split())
        url = own.tcp_url.replace("redis://", f"redis://reader:{PASSWORD}@")
        report = examine_redis(url)
        assert report.ok, str(report)
        assert step(report, "rights").found == "this user may read"
        notes = step(report, "rights").notes
        assert notes[0].startswith("This user may not publish: SET lease, DEL lease, SET epoch and")
        assert notes[1].startswith("This user may not consume orders in groups: XREADGROUP orders")
        assert "reader" not in report.to_markdown()
        raw.execute_command("ACL", "SETUSER", "reader", "-eval")
        assert "publish: EVAL." in step(examine_redis(url), "rights").notes[0]
        raw.execute_command("ACL", "SETUSER", "reader", "-hget")
        report = examine_redis(url)
        assert "HGET meta is refused" in failed(report)["rights"].found


def test_a_user_that_may_not_ask_for_facts(start_redis: StartRedis) -> None:
    """It says which right is missing; the feed is looked at all the same."""
    own = start_redis(port=True)
    with own.client() as raw:
        write_feed(raw)
        rights = "~etoro-sync:* +@read +@connection +time +eval"
        raw.execute_command("ACL", "SETUSER", "reader", "on", f">{PASSWORD}", *rights.split())
    report = examine_redis(own.tcp_url.replace("redis://", f"redis://reader:{PASSWORD}@"))
    assert set(failed(report)) == {
        *("version", "role", "eviction", "persistence", "memory"),
    }
    assert "INFO" in failed(report)["memory"].remedy
    assert step(report, "groups").found == "none"


def test_an_old_version(
    server: RedisServer, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6.2 is the first that has all commands."""
    write_feed(raw)
    monkeypatch.setattr(doctor_steps, "_LEAST", (99, 0))
    assert "Install Redis" in failed(examine_redis(server.url))["version"].remedy


def test_a_replica(start_redis: StartRedis, server: RedisServer, raw: redis.Redis) -> None:
    """Nothing can be written there."""
    write_feed(raw)
    raw.config_set("repl-diskless-sync-delay", 0)
    port = server.tcp_url.rpartition(":")[2]
    replica = start_redis(replicaof=f"localhost {port}")
    with replica.client() as client:
        deadline = time.monotonic() + 10_000 * MS
        while client.get(KEYS.epoch) is None:
            assert time.monotonic() < deadline
            time.sleep(5 * MS)
    report = examine_redis(replica.url)
    assert list(failed(report)) == ["role"]
    assert "address of the primary" in failed(report)["role"].remedy


CONFIGS: list[tuple[dict[str, str], str, str]] = [
    ({"maxmemory-policy": "allkeys-lru"}, "eviction", "maxmemory-policy noeviction"),
    ({"appendonly": "no"}, "persistence", "appendonly yes"),
    ({"appendfsync": "no"}, "persistence", "appendfsync everysec"),
    ({"maxmemory": "0"}, "memory", "Set maxmemory"),
    ({"maxmemory": "{used*1.5}"}, "memory", "Raise maxmemory"),
    ({"maxmemory": "{used*1.08}"}, "memory", "Raise maxmemory"),
]


@pytest.mark.parametrize(("config", "name", "words"), CONFIGS)
def test_settings_that_harm(
    config: dict[str, str], name: str, words: str, start_redis: StartRedis
) -> None:
    """What would lose data silently has failed; what may be wanted is a note."""
    own = start_redis(save='""')
    with own.client() as raw:
        write_feed(raw)
        used = int(raw.info("memory")["used_memory"])
        for key, value in config.items():
            factor = re.fullmatch(r"\{used\*(.*)\}", value)
            raw.config_set(key, int(used * float(factor[1])) if factor else value)
        report = examine_redis(own.url)
    found = step(report, name)
    assert words in " ".join((*found.notes, found.remedy)), str(report)
    fails = name == "eviction" or "1.08" in str(config)
    assert list(failed(report)) == ([name] if fails else [])


def test_memory_is_a_note_from_half_on_and_a_failure_from_nine_tenths_on() -> None:
    """Redis will refuse to write when it is full."""
    steps = Steps(Address("redis://127.0.0.1:1"), KEYS)
    found = []
    for used in (49, 50, 89, 90):
        steps._info = {"used_memory": used, "maxmemory": 100}
        try:
            found.append(len(steps.memory().notes))
        except doctor_steps.StepFailed:
            found.append(-1)
    assert found == [0, 1, 1, -1]


def test_a_clock_that_is_wrong(
    server: RedisServer, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ages would be wrong by that."""
    write_feed(raw)
    now = time.time
    monkeypatch.setattr("etoro_sync.clocks.wall_clock", lambda: now() - 100)
    found = step(examine_redis(server.url), "clock")
    assert found.found.startswith("this machine is 100.0 s behind Redis")
    assert "Synchronise the clocks" in found.notes[0]


def test_ctrl_c_ends_the_examination(server: RedisServer) -> None:
    """With what was seen before."""

    def interrupt(name: str) -> None:
        if name == "role":
            raise KeyboardInterrupt

    examination = RedisExamination(server.url, on_begin=interrupt)
    with pytest.raises(KeyboardInterrupt):
        examination.run()
    assert [each.name for each in examination.report.steps] == ["connection", "rights", "version"]
    assert not examination.report.ok


# The feed ----------------------------------------------------------------------------------------


def test_a_feed_that_nobody_has_written(server: RedisServer) -> None:
    """Whatever is behind it cannot be looked at."""
    report = examine_redis(server.url, "other")
    assert list(failed(report)) == ["feed"]
    assert report.steps[-1].name == "feed"
    assert "etoro-sync publish" in failed(report)["feed"].remedy


def test_a_feed_of_another_version(server: RedisServer, raw: redis.Redis) -> None:
    """Which this library does not know."""
    write_feed(raw)
    raw.hset(KEYS.meta, "version", "2")
    assert "Use the same version" in failed(examine_redis(server.url))["feed"].remedy


def test_a_publisher_that_has_gone(server: RedisServer, raw: redis.Redis) -> None:
    """The lease has expired; a standby that was seen is named."""
    write_feed(raw)
    raw.hset(KEYS.meta, "standby", int(time.time() * 1000))
    assert "a standby was seen" in step(examine_redis(server.url), "publisher").found
    raw.delete(KEYS.lease)
    report = examine_redis(server.url)
    assert list(failed(report)) == ["publisher"]


def test_rates_that_are_old(server: RedisServer, raw: redis.Redis) -> None:
    """A note: the market may be closed."""
    write_feed(raw)
    raw.delete(KEYS.rates)
    assert step(examine_redis(server.url), "rates").found == "none was written"
    raw.xadd(KEYS.rates, {"e": 7}, id=f"{int((time.time() - 100) * 1000)}-0")
    found = step(examine_redis(server.url), "rates")
    assert found.found.startswith("the last came 100.")
    assert "lost eToro" in found.notes[0]


def test_orders_that_were_set_aside_or_lost(server: RedisServer, raw: redis.Redis) -> None:
    """Notes, with what to do."""
    write_feed(raw)
    raw.xadd(KEYS.orders, {"c": "odd"})
    with OrderGroup(server.url, "booking") as group:
        assert list(group.orders(0.0)) == []
    raw.hset(KEYS.groups, ":lost", 5)
    notes = step(examine_redis(server.url), "orders").notes
    assert "1 order event could not be handled" in notes[0]
    assert "About 5 order events were removed" in notes[1]


def test_a_group_that_is_far_behind(server: RedisServer, raw: redis.Redis) -> None:
    """At half of the limit it has failed; a lost group is a note."""
    write_feed(raw)
    add_orders(raw, *range(1, 101))
    with OrderGroup(server.url, "booking") as group:
        group.stop()
    steps = Steps(Address(server.url), KEYS, limit=201)
    assert steps.groups().text.startswith("booking: 100 not acknowledged (49.75% of the limit)")
    steps = Steps(Address(server.url), KEYS, limit=200)
    with pytest.raises(doctor_steps.StepFailed, match="up to 100 order events, 50%") as caught:
        steps.groups()
    assert "OrderGroup(url, 'booking').remove()" in caught.value.remedy
    raw.xgroup_destroy(KEYS.orders, "booking")
    assert steps.groups().notes == (
        "The group booking is missing; its consumers will make it anew.",
    )


@pytest.mark.parametrize("key", ["meta", "lease", "rates", "orders", "groups", "last"])
def test_keys_of_another_program(key: str, server: RedisServer, raw: redis.Redis) -> None:
    """Of another type than a publisher's: a step has failed, and none raises."""
    write_feed(raw)
    name = getattr(KEYS, key)
    raw.delete(name)
    if key == "lease":
        raw.rpush(name, "x")
    else:
        raw.set(name, "x")
    report = examine_redis(server.url)
    assert bool(failed(report)) or key == "lease"


# The command -------------------------------------------------------------------------------------


def test_the_command_shows_the_steps(
    server: RedisServer, raw: redis.Redis, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In the form of the other doctor; the report names no server."""
    write_feed(raw)
    path = tmp_path / "report.md"
    assert run(["doctor", server.tcp_url, "--report", str(path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].startswith(f"ok      connection      {server.tcp_url} answers")
    assert lines[-2:] == ["All is well: 13 steps.", f"The report is in {path}."]
    text = path.read_text()
    assert "No step has failed." in text
    assert server.tcp_url.partition("//")[2].partition(":")[2] in text


FAULTS: list[tuple[Callable[[redis.Redis], Any], int, str]] = [
    (lambda raw: raw.delete(KEYS.meta), 1, "feed: No publisher has written the feed 'main'."),
    (lambda raw: raw.hset(KEYS.meta, "version", "2"), 2, "feed: The feed 'main' is of version"),
]


@pytest.mark.parametrize(("harm", "code", "words"), FAULTS)
def test_exit_codes_are_those_of_all_commands(
    harm: Callable[[redis.Redis], Any],
    code: int,
    words: str,
    server: RedisServer,
    raw: redis.Redis,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """1 for what is away, 2 for settings; one line on stderr, JSON on stdout."""
    write_feed(raw)
    harm(raw)
    assert run(["doctor", server.url, "--json"]) == code
    out, err = capsys.readouterr()
    assert err.startswith(f"etoro-sync: {words}")
    assert (out.count("\n"), err.count("\n")) == (1, 1)
    assert json.loads(out)["ok"] is False


def test_a_wrong_password_is_wrong_usage(
    start_redis: StartRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a wrong key of eToro's is."""
    assert run(["doctor", start_redis(requirepass="another").url]) == 2
    assert "wants a password" in capsys.readouterr().err


def test_a_wrong_address_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is connected; a server that is away is not."""
    assert run(["doctor", "http://localhost"]) == 2
    assert "url must be an URL such as redis://" in capsys.readouterr().err
    assert run(["doctor", "redis://localhost", "--feed", "a b"]) == 2
    assert run(["doctor", "redis://127.0.0.1:1"]) == 1
