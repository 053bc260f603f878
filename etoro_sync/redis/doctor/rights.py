"""What a user of Redis may do, found out without doing it."""

from typing import Any

from ...errors import EToroRedisError
from ..connection import Address
from ..layout.keys import Keys

__all__ = ["ROLES", "missing_rights", "unreadable"]

#: What each kind of program does: commands, with the name of the key, and arguments that are valid.
ROLES: dict[str, tuple[tuple[str, ...], ...]] = {
    "publish": (
        ("GET", "@lease"),
        ("SET", "@lease", "x"),
        ("DEL", "@lease"),
        ("PTTL", "@lease"),
        ("SET", "@epoch", "1"),
        ("HSET", "@last", "1", "x"),
        ("DEL", "@last"),
        ("HGETALL", "@last"),
        ("HMGET", "@meta", "version"),
        ("HSET", "@meta", "version", "1"),
        ("HDEL", "@meta", "standby"),
        ("XADD", "@rates", "*", "e", "1"),
        ("XADD", "@orders", "*", "e", "1"),
        ("XREVRANGE", "@orders", "+", "-"),
        ("XTRIM", "@orders", "MAXLEN", "1"),
        ("XADD", "@events", "*", "e", "1"),
        ("ZADD", "@seen", "1", "x"),
        ("ZSCORE", "@seen", "x"),
        ("ZREMRANGEBYSCORE", "@seen", "0", "0"),
        ("ZREMRANGEBYRANK", "@seen", "0", "0"),
        ("TIME",),
    ),
    "consume orders in groups": (
        ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "@orders", ">"),
        ("XACK", "@orders", "g", "0-1"),
        ("XCLAIM", "@orders", "g", "c", "0", "0-1"),
        ("XPENDING", "@orders", "g"),
        ("XGROUP", "CREATE", "@orders", "g", "0"),
        ("XGROUP", "DESTROY", "@orders", "g"),
        ("XGROUP", "DELCONSUMER", "@orders", "g", "c"),
        ("XINFO", "GROUPS", "@orders"),
        ("XINFO", "CONSUMERS", "@orders", "g"),
        ("XRANGE", "@orders", "-", "+"),
        ("XREVRANGE", "@orders", "+", "-"),
        ("XTRIM", "@orders", "MAXLEN", "1"),
        ("XLEN", "@orders"),
        ("EXISTS", "@orders"),
        ("XADD", "@dead", "*", "g", "x"),
        ("XRANGE", "@dead", "-", "+"),
        ("XDEL", "@dead", "0-1"),
        ("HGET", "@groups", "g"),
        ("HSET", "@groups", "g", "0-0"),
        ("HDEL", "@groups", "g"),
        ("HGETALL", "@groups"),
        ("HINCRBY", "@groups", ":lost", "1"),
        ("TIME",),
    ),
}
#: What a subscriber does; it is done, since it changes nothing.
_READING: tuple[tuple[str, ...], ...] = (
    ("GET", "@epoch"),
    ("PTTL", "@lease"),
    ("HGET", "@meta", "version"),
    ("HGETALL", "@meta"),
    ("HMGET", "@last", "0"),
    ("HVALS", "@groups"),  # as of @last, which is long
    ("XREAD", "COUNT", "1", "STREAMS", "@rates", "@orders", "@events", "$", "$", "$"),
    ("XREVRANGE", "@events", "+", "-", "COUNT", "1"),
)
_CHECK = """
local missing = {}
for line in string.gmatch(ARGV[1], '[^\\n]+') do
    local words = {}
    for word in string.gmatch(line, '%S+') do table.insert(words, word) end
    local known, may = pcall(redis.acl_check_cmd, unpack(words))
    if known and not may then table.insert(missing, line) end
end
return missing
"""


def _spelt(words: tuple[str, ...], keys: Keys) -> list[str]:
    return [getattr(keys, w[1:]) if w.startswith("@") else w for w in words]


def unreadable(client: Any, address: Address, keys: Keys) -> str | None:
    """Return what a subscriber needs and the user may not do; None: nothing is missing.

    :param client: for Redis.
    :param address: of it.
    :param keys: of the feed.
    :raises EToroRedisError: when Redis does not answer, or refuses for another reason.
    """
    for words in _READING:
        try:
            with address.calling():
                client.execute_command(*_spelt(words, keys))
        except EToroRedisError as exc:
            if exc.error_code != "NOPERM":
                raise
            return _named(words)
    return None


def missing_rights(client: Any, address: Address, keys: Keys, role: str) -> list[str] | None:
    """Return what the user may not do of what a role needs; None: this Redis cannot tell.

    :param client: for Redis.
    :param address: of it.
    :param keys: of the feed.
    :param role: one of :data:`ROLES`.
    :raises EToroRedisError: when Redis does not answer, or refuses for another reason.
    """
    lines = {" ".join(_spelt(words, keys)): words for words in ROLES[role]}
    try:
        with address.calling():
            found: Any = client.eval(_CHECK, 0, "\n".join(lines))
            can_tell = client.eval("return redis.acl_check_cmd and 1 or 0", 0)
    except EToroRedisError as exc:
        if exc.error_code == "NOPERM":
            return ["EVAL"]
        raise
    if not can_tell:
        return None
    return list(dict.fromkeys(_named(lines[line.decode()]) for line in found))


def _named(words: tuple[str, ...]) -> str:
    """Return a command with its keys, as they are called here."""
    kept = [w[1:] for w in words if w.startswith("@")]
    name = words[0] if words[0] not in ("XGROUP", "XINFO") else " ".join(words[:2])
    return f"{name} {' '.join(kept)}".rstrip()
