//! What must happen in Redis at once, as scripts. Every one is whole in itself: a client that dies between two of them
//! leaves nothing that does not end by its time; and run twice it does no more than once.

/// The birth of this data set: `RANDOM MILLISECONDS`, made by whoever comes first. Another one than before means that the
/// data is gone, leases included.
///
/// KEYS: epoch. ARGV: a random name.
pub(super) const EPOCH: &str = r"
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  local time = redis.call('TIME')
  epoch = ARGV[1] .. ' ' .. string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('SET', KEYS[1], epoch)
end
return epoch
";

/// Takes the lease of a refresh, unless there is a newer generation already, somebody holds it, a failure was a moment ago, or
/// the data is so young that a lease of before may have been lost with the one before it.
///
/// KEYS: result, lease, pause, epoch. ARGV: holder, lease in ms, the generation that is to be replaced, how old the data must be in ms.
pub(super) const BEGIN: &str = r"
local result = redis.call('GET', KEYS[1])
if result and tonumber(string.match(result, '^%d+')) > tonumber(ARGV[3]) then
  return {'newer', result}
end
if redis.call('EXISTS', KEYS[3]) == 1 then return {'paused'} end
local epoch = redis.call('GET', KEYS[4])
if not epoch then return {'busy'} end
local time = redis.call('TIME')
local age = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(string.match(epoch, '%d+$'))
if age < tonumber(ARGV[4]) then return {'busy'} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'held'} end
if redis.call('GET', KEYS[2]) == ARGV[1] then return {'held'} end
return {'busy'}
";

/// Holds the lease for longer; takes it again when it was lost with the data and nobody else has it.
///
/// KEYS: lease. ARGV: holder, lease in ms.
pub(super) const RENEW: &str = r"
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
";

/// Stores a generation unless the same or a newer one is there, and gives the lease back if it is ours.
///
/// KEYS: result, lease. ARGV: holder, `GENERATION SEALED`, life in ms.
pub(super) const STORE: &str = r"
local generation = tonumber(string.match(ARGV[2], '^%d+'))
local known = redis.call('GET', KEYS[1])
if not known or tonumber(string.match(known, '^%d+')) < generation then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
";

/// Gives the lease back if it is ours; after a failure nobody tries for a moment.
///
/// KEYS: lease, pause. ARGV: holder, pause in ms (0 is none).
pub(super) const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
if tonumber(ARGV[2]) > 0 then redis.call('SET', KEYS[2], '1', 'PX', ARGV[2]) end
return 1
";

/// Keeps a session's record unless a newer generation is there, and lists it for its user. A session that is not new must
/// be there: one that has ended meanwhile is not revived.
///
/// KEYS: session, list. ARGV: `new` or `known`, `GENERATION SEALED`, the sealed ID token (may be empty: the one before stays),
/// life in ms, its name in the list, what the list says of it (may be empty), life of the list in ms.
pub(super) const KEEP: &str = r"
local known = redis.call('GET', KEYS[1])
if not known and ARGV[1] == 'known' then return 0 end
local generation = tonumber(string.match(ARGV[2], '^%d+'))
if known and tonumber(string.match(known, '^%d+')) > generation then return 1 end
local hint = ARGV[3]
if hint == '' and known then hint = string.match(known, '^%d+ %S+ (%S+)') or '' end
redis.call('SET', KEYS[1], ARGV[2] .. ' ' .. hint, 'PX', ARGV[4])
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[5], ARGV[6])
  if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[7]) then redis.call('PEXPIRE', KEYS[2], ARGV[7]) end
end
return 1
";
