"""The steps of the doctor for Redis: each looks at one thing, and says what to do about it."""

import contextlib
from collections.abc import Iterator
from typing import Any

from ... import clocks
from ...doctor.findings import Finding, StepFailed, failure_of
from ...errors import EToroRedisError, EToroValidationError
from ...text import count, duration, show
from ..connection import Address
from ..groups.trimming import LIMIT
from ..layout.keys import VERSION, Keys
from .rights import ROLES, missing_rights, unreadable

__all__ = ["Steps"]

#: The first version that has all commands.
_LEAST = (6, 2)
_MB = 1024.0 * 1024.0
#: Seconds: clocks that are further apart are worth a note; so is a rate that is older.
_CLOCKS, _OLD = 1.0, 60.0
_OF_USER = frozenset(["WRONGPASS", "NOAUTH", "NOPERM", "READONLY", "WRONGTYPE"])
_PUBLISH = "Start one: etoro-sync publish, with this address."


class Steps:
    """Looks at one Redis and one feed. Use it once, in one thread.

    :param address: of Redis.
    :param keys: of the feed.
    :param limit: how many orders Redis keeps at most.
    """

    def __init__(self, address: Address, keys: Keys, limit: int = LIMIT) -> None:
        self._address = address
        self._keys = keys
        self._limit = limit
        self._client: Any = address.client()
        self._info: dict[str, Any] = {}
        self._now = 0.0

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @contextlib.contextmanager
    def _calling(self) -> Iterator[None]:
        """:raises StepFailed: when Redis does not answer, or refuses."""
        try:
            with self._address.calling():
                yield
        except EToroRedisError as exc:
            failure = failure_of(exc)
            failure.of_user = exc.error_code in _OF_USER
            raise failure from None

    def _ask(self, *words: Any) -> Any:
        with self._calling():
            return self._client.execute_command(*words)

    # -- the server --------------------------------------------------------------------------------

    def connect(self) -> Finding:
        """Connect, log in, and ask for an answer."""
        began = clocks.monotonic()
        self._ask("PING")
        took = clocks.monotonic() - began
        return Finding(f"{self._address} answers, after {duration(took)}", (), {"seconds": took})

    def rights(self) -> Finding:
        """Find out what this user may do."""
        notes, roles = [], []
        with self._calling():
            missing = unreadable(self._client, self._address, self._keys)
        if missing is not None:
            raise StepFailed(
                f"This user may not even read the feed: {missing} is refused.",
                "Give it the rights that docs/redis.md lists.",
                of_user=True,
            )
        for role in ROLES:
            with self._calling():
                found = missing_rights(self._client, self._address, self._keys, role)
            if found is None:
                notes.append(f"Redis below 7 does not tell whether this user may {role}.")
            elif found:
                more = f" and {len(found) - 3} more" if len(found) > 3 else ""
                notes.append(f"This user may not {role}: {', '.join(found[:3])}{more}.")
            else:
                roles.append(role)
        return Finding(f"this user may {', '.join(['read', *roles])}", tuple(notes))

    def version(self) -> Finding:
        """Check that the server knows all commands."""
        with self._calling():
            self._info = dict(self._client.info("all"))
        text = str(self._info.get("redis_version", "unknown"))
        parts = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
        name = str(self._info.get("server_name", "redis"))
        if parts < _LEAST:
            raise StepFailed(
                f"Redis is of version {text}, which lacks commands of streams.",
                "Install Redis 6.2 or later.",
                of_user=True,
            )
        mode = str(self._info.get("redis_mode", "standalone"))
        notes = []
        if mode == "cluster":
            notes.append(
                "It is a node of a cluster: a feed lies on one node, whose address is needed."
            )
        return Finding(f"{name} {text}, {mode}", tuple(notes), {"version": text, "mode": mode})

    def role(self) -> Finding:
        """Check that it can be written to."""
        if self._known("role") != "master":
            primary = f"{self._info.get('master_host')}:{self._info.get('master_port')}"
            raise StepFailed(
                f"This is a replica, of {primary}: nothing can be written here.",
                "Use the address of the primary.",
                of_user=True,
            )
        return Finding(f"primary, with {count(int(self._known('connected_slaves')), 'replica')}")

    def eviction(self) -> Finding:
        """Check that Redis removes nothing by itself."""
        policy = str(self._known("maxmemory_policy"))
        if policy != "noeviction":
            raise StepFailed(
                f"The eviction policy is {policy}: short of memory, Redis would remove prices or "
                "order events without a word.",
                "CONFIG SET maxmemory-policy noeviction, and the same in its configuration.",
                of_user=True,
            )
        return Finding("noeviction: Redis removes nothing by itself")

    def persistence(self) -> Finding:
        """Look at what a restart of Redis would lose."""
        if int(self._known("aof_enabled")) and self._known("aof_last_write_status") != "ok":
            raise StepFailed(
                "Redis cannot write its append-only file.",
                "Look at its log, and at the space of its disk.",
            )
        if not int(self._known("aof_enabled")):
            return Finding(
                "no append-only file",
                (
                    "A restart of Redis loses order events that were not handled. Against that: "
                    "CONFIG SET appendonly yes, and the same in its configuration.",
                ),
            )
        try:
            with self._address.calling():
                config: Any = self._client.config_get("appendfsync")
            fsync = str(config.get("appendfsync", "unknown"))
        except EToroRedisError:
            fsync = "unknown, since this user may not ask for the configuration"
        notes = []
        if fsync == "no":
            notes.append(
                "With appendfsync no, a crash of the machine may lose half a minute. Against that: "
                "CONFIG SET appendfsync everysec."
            )
        return Finding(f"append-only file, appendfsync {fsync}", tuple(notes))

    def memory(self) -> Finding:
        """Compare what is used with the limit."""
        used, limit = int(self._known("used_memory")), int(self._known("maxmemory"))
        details = {"used": used, "limit": limit}
        if not limit:
            total = int(self._info.get("total_system_memory", 0))
            note = (
                f"There is no limit; the machine has {total / _MB:.0f} MB. Set maxmemory, so that "
                "Redis refuses writes before the system ends it."
            )
            return Finding(f"{used / _MB:.1f} MB used, without a limit", (note,), details)
        share = used / limit
        text = f"{used / _MB:.1f} of {limit / _MB:.1f} MB used ({share:.0%})"
        remedy = "Raise maxmemory, or let groups acknowledge their orders."
        if share >= 0.9:
            raise StepFailed(f"{text}: Redis will soon refuse to write.", remedy, of_user=True)
        return Finding(text, (remedy,) if share >= 0.5 else (), details)

    def clock(self) -> Finding:
        """Compare Redis's clock with this machine's."""
        asked = clocks.wall_clock()
        with self._calling():
            seconds, micros = self._client.time()
        answered = clocks.wall_clock()
        self._now = int(seconds) + int(micros) / 1e6
        ahead = (asked + answered) / 2 - self._now
        notes = []
        if abs(ahead) > _CLOCKS:
            notes.append(
                "Ages of prices are wrong by that. Synchronise the clocks of both machines (NTP)."
            )
        way = "ahead of" if ahead > 0 else "behind"
        text = f"this machine is {duration(abs(ahead))} {way} Redis"
        if abs(ahead) <= answered - asked:
            text = "this machine's and Redis's agree"
        return Finding(text, tuple(notes), {"ahead": ahead})

    def _known(self, name: str) -> Any:
        if name not in self._info:
            raise StepFailed(
                f"Redis does not say what {name} is.",
                "Let this user run INFO, or log in as another one.",
                of_user=True,
            )
        return self._info[name]

    # -- the feed ----------------------------------------------------------------------------------

    def feed(self) -> Finding:
        """Check that a publisher has written the feed, in a layout that is known."""
        version = self._ask("HGET", self._keys.meta, "version")
        if version is None:
            raise StepFailed(
                f"No publisher has written the feed {self._keys.feed!r}.",
                f"{_PUBLISH} If it has another name, use --feed.",
            )
        if version != str(VERSION).encode():
            raise StepFailed(
                f"The feed {self._keys.feed!r} is of version {show(version)}; this library knows "
                f"{VERSION}.",
                "Use the same version of the library as the publisher.",
                of_user=True,
            )
        library = self._ask("HGET", self._keys.meta, "library") or b"unknown"
        return Finding(f"{self._keys.feed!r}, written by etoro_sync {_text(library)}")

    def publisher(self) -> Finding:
        """Check that a publisher holds the lease."""
        left, epoch = self._ask("PTTL", self._keys.lease), self._ask("GET", self._keys.epoch)
        if left == -2:
            raise StepFailed("No publisher is running: nobody holds the lease.", _PUBLISH)
        standby = self._ask("HGET", self._keys.meta, "standby")
        others = "no standby was seen"
        with contextlib.suppress(TypeError, ValueError):
            others = f"a standby was seen {duration(self._age(float(standby)))} ago"
        text = f"the lease is held for another {left / 1000:.1f} s, epoch {_text(epoch)}; {others}"
        return Finding(text, (), {"lease": left})

    def rates(self) -> Finding:
        """Look at the last rates."""
        instruments, last = self._ask("HLEN", self._keys.last), self._last(self._keys.rates)
        if last is None:
            return Finding("none was written", ("Is anything subscribed to?",))
        notes = []
        if last > _OLD:
            notes.append("No market moves, or the publisher has lost eToro: look at its log.")
        text = f"the last came {duration(last)} ago; {count(instruments, 'instrument')}"
        return Finding(text, tuple(notes), {"age": last, "instruments": instruments})

    def orders(self) -> Finding:
        """Look at the order events, and at those that were set aside or lost."""
        length, last = self._ask("XLEN", self._keys.orders), self._last(self._keys.orders)
        dead, lost = (
            self._ask("XLEN", self._keys.dead),
            self._ask("HGET", self._keys.groups, ":lost"),
        )
        notes = []
        if dead:
            notes.append(
                f"{count(dead, 'order event')} could not be handled by groups, and are set aside: "
                "read them by OrderGroup.set_aside()."
            )
        if lost is not None:
            notes.append(
                f"About {_text(lost)} order events were removed before all groups had acknowledged "
                "them. Ask eToro's REST API for the orders of that time."
            )
        when = "none has come" if last is None else f"the last came {duration(last)} ago"
        return Finding(f"{count(length, 'order event')}; {when}", tuple(notes), {"orders": length})

    def groups(self) -> Finding:
        """Check that no group is so far behind that its orders will be lost."""
        noted = self._ask("HGETALL", self._keys.groups)
        infos = self._groups()
        names = sorted({n.decode() for n in noted if b":" not in n} | set(infos))
        length = int(self._ask("XLEN", self._keys.orders))
        notes, lines = [], []
        for name in names:
            if name not in infos:
                notes.append(f"The group {name} is missing; its consumers will make it anew.")
                continue
            pending, lag = infos[name].get(b"pending", 0), infos[name].get(b"lag")
            behind = min(length if lag is None else pending + lag, length)
            share = behind / self._limit
            if share >= 0.5:
                raise StepFailed(
                    f"The group {name} has not acknowledged up to {behind} order events, "
                    f"{share:.0%} of the most that are kept.",
                    "Start consumers of it; or, if nobody needs it any more, "
                    f"OrderGroup(url, {name!r}).remove().",
                    of_user=True,
                )
            most = "" if lag is not None else "at most "
            lines.append(
                f"{name}: {most}{behind} not acknowledged ({share:.2%} of the limit), "
                f"{count(infos[name].get(b'consumers', 0), 'consumer')}"
            )
        return Finding("; ".join(lines) or "none", tuple(notes), {"groups": names})

    def _groups(self) -> dict[str, dict[bytes, Any]]:
        if not self._ask("EXISTS", self._keys.orders):
            return {}
        with self._calling():
            found: Any = self._client.execute_command("XINFO GROUPS", self._keys.orders)
        each = [{_bytes(k): v for k, v in info.items()} for info in found]
        return {_text(info[b"name"]): info for info in each}

    def _last(self, key: str) -> float | None:
        """Return the age of a stream's last entry, by Redis's clock; None: it has none."""
        found = self._ask("XREVRANGE", key, "+", "-", "COUNT", 1)
        if not found:
            return None
        try:
            return self._age(float(_text(found[0][0]).partition("-")[0]))
        except ValueError as exc:
            raise EToroValidationError(f"{key} in Redis has an odd id.", key) from exc

    def _age(self, milliseconds: float) -> float:
        return max(self._now - milliseconds / 1000, 0.0)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
