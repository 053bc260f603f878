"""What a group of consumers does in Redis, in Lua: each script does all of its work, or nothing.

The *position* of a group is the id of an entry up to which all is acknowledged. It is kept in the
hash ``groups``, beside the group itself, so that a group that was lost is made anew at the right
place. The field ``:feed`` of the hash is a random text that is made with the hash: where it
differs from what a consumer remembers, everything in Redis was lost since, and what is there now
is new. The field ``:lost`` counts the orders that were removed before all groups had acknowledged
them. No group has a colon in its name.
"""

__all__ = ["ACKNOWLEDGE", "CLAIM", "ENSURE", "FORGET", "LEAVE", "REMOVE", "SET_ASIDE", "TRIM"]

_COMMON = """
local orders, groups = KEYS[1], KEYS[2]

-- Whether the entry a is older than b.
local function before(a, b)
    local ams, aseq = string.match(a, '^(%d+)-(%d+)$')
    local bms, bseq = string.match(b, '^(%d+)-(%d+)$')
    if tonumber(ams) ~= tonumber(bms) then return tonumber(ams) < tonumber(bms) end
    return tonumber(aseq) < tonumber(bseq)
end

local function named(flat)
    local found = {}
    for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
    return found
end

-- All groups of the stream; none if there is no stream.
local function all_groups()
    local found = {}
    if redis.call('EXISTS', orders) == 1 then
        for _, flat in ipairs(redis.call('XINFO', 'GROUPS', orders)) do
            table.insert(found, named(flat))
        end
    end
    return found
end

local function find(group)
    for _, each in ipairs(all_groups()) do
        if each.name == group then return each end
    end
    return nil
end

-- Up to which entry a group has acknowledged all.
local function position_of(info)
    local pending = redis.call('XPENDING', orders, info.name)
    if pending[1] == 0 then return info['last-delivered-id'] end
    local older = redis.call('XREVRANGE', orders, '(' .. pending[2], '-', 'COUNT', 1)
    return older[1] and older[1][1] or '0-0'
end

-- Note the position of a group, and return it; '' if the group is lost.
local function note(group)
    local info = find(group)
    if not info then return '' end
    local position = position_of(info)
    redis.call('HSET', groups, group, position)
    return position
end

local function set_aside(group, id, times, reason, fields)
    -- Added before it is acknowledged: if there is no memory for it, it stays pending.
    redis.call('XADD', KEYS[3], '*', 'g', group, 'i', id, 't', times, 'w', reason, unpack(fields))
    redis.call('XACK', orders, group, id)
end
"""

#: Make the group unless it is there. KEYS: orders, groups. ARGV: group; the position and the feed
#: that the consumer remembers, or ''; a new random text; where a new group begins, '0-0' or '$'.
#: Returns the feed, the position, and 1 if the group was made.
ENSURE = (
    _COMMON
    + """
local group, known, known_feed, begin = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local feed = redis.call('HGET', groups, ':feed')
local position = redis.call('HGET', groups, group)
local info = find(group)
if info then
    if not position then position = note(group) end
    if not feed then feed = ARGV[4]; redis.call('HSET', groups, ':feed', feed) end
    return {feed, position, 0}
end

local last = '0-0'
if redis.call('EXISTS', orders) == 1 then
    last = named(redis.call('XINFO', 'STREAM', orders))['last-generated-id']
end
if known ~= '' and known_feed == feed then
    -- A consumer may remember more than Redis, which has lost its last second in a crash.
    if not position or before(position, known) then position = known end
end
if not position then
    if known ~= '' then position = '0-0'  -- all was lost, so all that is there has come since
    elseif begin == '$' then position = last
    else position = begin end
end
-- What is remembered may be beyond the last entry that Redis has: what comes next is new.
if before(last, position) then position = last end
redis.call('XGROUP', 'CREATE', orders, group, position, 'MKSTREAM')
if not feed then feed = ARGV[4] end
redis.call('HSET', groups, ':feed', feed, group, position)
return {feed, position, 1}
"""
)

#: Acknowledge an order. KEYS: orders, groups. ARGV: group, id. Returns 1 if it was pending, and the
#: position; '' if the group is lost.
#:
#: XACK comes first: when memory is short, Redis refuses what needs more of it, except behind what
#: was written already by the same script.
ACKNOWLEDGE = (
    _COMMON
    + """
local count = redis.call('XACK', orders, ARGV[1], ARGV[2])
return {count, note(ARGV[1])}
"""
)

#: Take over an order that was not acknowledged in time. KEYS: orders, groups, dead. ARGV: group,
#: consumer, milliseconds, how many deliveries are allowed. Returns what has happened ('none',
#: 'order', 'dead': set aside, 'gone': it was removed from the stream), the position, and for all
#: but 'none' the id, how often it was delivered (now included), and the fields.
CLAIM = (
    _COMMON
    + """
local group, consumer, idle, allowed = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local found = redis.call('XPENDING', orders, group, 'IDLE', idle, '-', '+', 1)
if not found[1] then return {'none', position_of(find(group))} end
local id, times = found[1][1], found[1][4]
local entry = redis.call('XRANGE', orders, id, id)[1]
if not entry then
    redis.call('XACK', orders, group, id)
    return {'gone', note(group), id, times, {}}
end
if times >= allowed then
    set_aside(group, id, times, 'attempts', entry[2])
    return {'dead', note(group), id, times, entry[2]}
end
redis.call('XCLAIM', orders, group, consumer, idle, id)
return {'order', position_of(find(group)), id, times + 1, entry[2]}
"""
)

#: Set an order aside at once. KEYS: orders, groups, dead. ARGV: group, id, deliveries, reason.
#: Returns the position.
SET_ASIDE = (
    _COMMON
    + """
-- Not twice, where the answer to the first call was lost.
local pending = redis.call('XPENDING', orders, ARGV[1], ARGV[2], ARGV[2], 1)[1]
local entry = redis.call('XRANGE', orders, ARGV[2], ARGV[2])[1]
if pending and entry then set_aside(ARGV[1], ARGV[2], ARGV[3], ARGV[4], entry[2]) end
return note(ARGV[1])
"""
)

#: Remove what was set aside. KEYS: orders, groups, dead. ARGV: group, id of the order.
FORGET = """
local removed = 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[3], '-', '+')) do
    local fields = {}
    for i = 1, #entry[2], 2 do fields[entry[2][i]] = fields[entry[2][i]] or entry[2][i + 1] end
    if fields.g == ARGV[1] and fields.i == ARGV[2] then
        removed = removed + redis.call('XDEL', KEYS[3], entry[1])
    end
end
return removed
"""

#: Remove a group that nobody needs any more. KEYS: orders, groups. ARGV: group.
REMOVE = (
    _COMMON
    + """
if find(ARGV[1]) then redis.call('XGROUP', 'DESTROY', orders, ARGV[1]) end
return redis.call('HDEL', groups, ARGV[1])
"""
)

#: Remove orders that are old and that all groups have acknowledged, and whatever is too much; also
#: consumers that are gone and hold nothing. KEYS: orders, groups, dead. ARGV: the most entries; the
#: milliseconds for which acknowledged ones are kept; those after which a consumer is gone. Returns
#: the entries that are left, how many unacknowledged ones were lost, the group that is furthest
#: behind ('': there is none), how many entries it has not acknowledged (at most), and how many
#: orders are set aside.
TRIM = (
    _COMMON
    + """
local limit, keep, gone = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local positions = {}
local flat = redis.call('HGETALL', groups)
for i = 1, #flat, 2 do
    if not string.find(flat[i], ':', 1, true) then positions[flat[i]] = flat[i + 1] end
end
local present = all_groups()
local unread = {}
for _, info in ipairs(present) do
    if not positions[info.name] then positions[info.name] = position_of(info) end
    -- Redis below 7 has no lag, and none knows it behind some deletions.
    if info.lag then unread[info.name] = info.pending + info.lag end
    for _, each in ipairs(redis.call('XINFO', 'CONSUMERS', orders, info.name)) do
        local consumer = named(each)
        if consumer.pending == 0 and consumer.idle > gone then
            redis.call('XGROUP', 'DELCONSUMER', orders, info.name, consumer.name)
        end
    end
end
local least, behind = nil, ''
for group, position in pairs(positions) do
    if not least or before(position, least) then least, behind = position, group end
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local cut = string.format('%.0f-0', now - keep)
if least and before(least, cut) then cut = least end
redis.call('XTRIM', orders, 'MINID', '~', cut)

local lost = 0
if redis.call('XLEN', orders) > limit then
    local first = least and redis.call('XRANGE', orders, '(' .. least, '+', 'COUNT', 1)[1]
    local removed = redis.call('XTRIM', orders, 'MAXLEN', '~', limit)
    local kept = redis.call('XRANGE', orders, '-', '+', 'COUNT', 1)[1]
    if first and (not kept or before(first[1], kept[1])) then
        lost = removed
        redis.call('HINCRBY', groups, ':lost', lost)
    end
end
local length = redis.call('XLEN', orders)
local count = least and math.min(unread[behind] or length, length) or 0
return {length, lost, behind, count, redis.call('XLEN', KEYS[3])}
"""
)

#: Take a consumer off its group, unless it still holds an order, which would be lost with it.
#: KEYS: orders, groups. ARGV: group, consumer.
LEAVE = (
    _COMMON
    + """
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', orders, ARGV[1])) do
    local consumer = named(flat)
    if consumer.name == ARGV[2] and consumer.pending == 0 then
        redis.call('XGROUP', 'DELCONSUMER', orders, ARGV[1], ARGV[2])
    end
end
return 0
"""
)
