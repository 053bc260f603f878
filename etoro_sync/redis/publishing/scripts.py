"""What runs inside Redis, so that nothing comes between a check and what depends on it. Pure Lua.

A cluster needs all keys of a script by name; those of one feed lie in one place.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

__all__ = ["ACQUIRE", "RELEASE", "SEEN", "WRITE", "Script"]


class Script(NamedTuple):
    """One script.

    :param keys: the names of its keys, as :class:`~etoro_sync.redis.layout.keys.Keys` has them.
    :param text: in Lua.
    """

    keys: tuple[str, ...]
    text: str

    def run(self, client: "redis.Redis", keys: object, args: Sequence[Any]) -> Any:
        """Run it; Redis keeps it, so that its text is sent once only.

        :param keys: of the feed.
        """
        names = [getattr(keys, name) for name in self.keys]
        with contextlib.suppress(redis.exceptions.NoScriptError):
            return client.evalsha(_digest(self.text), len(names), *names, *args)
        return client.eval(self.text, len(names), *names, *args)


def _digest(text: str) -> str:
    found = _digests.get(text)
    if found is None:
        import hashlib

        # Redis names scripts so; it guards nothing.
        found = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        _digests[text] = found
    return found


_digests: dict[str, str] = {}

#: Takes the lease, if nobody else has it: {"OK", epoch}, {"TAKEN", ms that are left},
#: {"VERSION", version}. Arguments: token, ms, least epoch, the library's version.
#:
#: The epoch is at least the time in seconds, so that it rises even where Redis has lost its data.
#: What the last epoch knew of prices goes: the new owner writes what it knows, and a price of which
#: it knows nothing would be shown for ever.
ACQUIRE = Script(
    ("lease", "epoch", "meta", "last"),
    """
local version = redis.call('HGET', KEYS[3], 'version')
if version and version ~= '1' then return {'VERSION', version} end
local now = redis.call('TIME')
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then
  redis.call('HSET', KEYS[3], 'standby', string.format('%.0f', now[1] * 1000 + now[2] / 1000))
  return {'TAKEN', redis.call('PTTL', KEYS[1])}
end
local epoch = tonumber(redis.call('GET', KEYS[2]) or '0') + 1
epoch = math.max(epoch, tonumber(ARGV[3]), tonumber(now[1]))
redis.call('SET', KEYS[2], string.format('%.0f', epoch))
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[3], 'version', '1', 'library', ARGV[4], 'written', '0')
redis.call('HDEL', KEYS[3], 'standby')
redis.call('DEL', KEYS[4])
return {'OK', epoch}
""",
)

#: Gives the lease up. Arguments: token.
RELEASE = Script(
    ("lease",),
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
)

#: Returns 1 for each digest of an order that is written, else 0. Arguments: digests.
SEEN = Script(
    ("seen",),
    """
local found = {}
for i, digest in ipairs(ARGV) do
  found[i] = redis.call('ZSCORE', KEYS[1], digest) and 1 or 0
end
return found
""",
)

#: Writes a batch, and renews the lease: {"OK", orders that were new, ms since a standby was seen or
#: -1}, {"FENCED"}, {"LOST"}. Arguments: token, epoch, ms of the lease, number of the batch, number
#: of the first rate, rates or "", most entries of rates, where in them the last rate of each
#: instrument is: id, number, first and last byte; how many orders and events follow; then those:
#: number, message id, digest, content; number, name, arguments.
#:
#: A batch whose number is that of the last one was written already, and its answer was lost: then
#: only the lease is renewed; an empty one always has that number. If the number does not follow,
#: Redis has lost what came before. The lease may have expired: as long as the epoch is the same,
#: nobody else has had it. Orders are removed by the Trimmer, which counts those that are lost; the
#: limit in here is behind its.
WRITE = Script(
    ("lease", "epoch", "rates", "last", "orders", "events", "seen", "meta"),
    """
local epoch = redis.call('GET', KEYS[2])
if not epoch then return {'LOST'} end
if epoch ~= ARGV[2] then return {'FENCED'} end
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return {'FENCED'} end
local meta = redis.call('HMGET', KEYS[8], 'written', 'standby')
local written, batch = tonumber(meta[1] or '-1'), tonumber(ARGV[4])
local orders, events = tonumber(ARGV[9]), tonumber(ARGV[10])
local is_empty = ARGV[6] == '' and orders + events == 0
if written ~= batch and (is_empty or written ~= batch - 1) then return {'LOST'} end
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local standby = meta[2] and now - tonumber(meta[2]) or -1
local added = 0
if written ~= batch then
  local at = 11
  if ARGV[6] ~= '' then
    local states, head = {}, '[' .. ARGV[2] .. ','
    for id, number, first, last in string.gmatch(ARGV[8], '(%d+) (%d+) (%d+) (%d+)') do
      states[#states + 1] = id
      states[#states + 1] = head .. number .. ',' .. string.sub(ARGV[6], first, last) .. ']'
    end
    redis.call('HSET', KEYS[4], unpack(states))
  end
  local stamp = string.format('%.0f', now)
  for _ = 1, orders do
    if redis.call('ZADD', KEYS[7], 'NX', stamp, ARGV[at + 2]) == 1 then
      redis.call('XADD', KEYS[5], 'MAXLEN', '~', '1100000', '*', 'e', ARGV[2],
        'n', ARGV[at], 'm', ARGV[at + 1], 'd', ARGV[at + 2], 'c', ARGV[at + 3])
      added = added + 1
    end
    at = at + 4
  end
  if orders > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', string.format('%.0f', now - 86400000))
    redis.call('ZREMRANGEBYRANK', KEYS[7], 0, -100001)
  end
  for _ = 1, events do
    redis.call('XADD', KEYS[6], 'MAXLEN', '~', '10000', '*', 'e', ARGV[2],
      'n', ARGV[at], 'k', ARGV[at + 1], 'a', ARGV[at + 2])
    at = at + 3
  end
  if ARGV[6] ~= '' then
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], '*', 'e', ARGV[2],
      'n', ARGV[5], 'r', ARGV[6])
  end
  redis.call('HSET', KEYS[8], 'written', ARGV[4])
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return {'OK', added, standby}
""",
)
