-- One conversation's event log: a stream of events, a hash {epoch, seq, run}, a hash of fences by answer.
-- Every verb runs as one step, so that checking a fence, counting and adding cannot be torn apart.

local events, meta, fences = KEYS[1], KEYS[2], KEYS[3]
local verb, fresh_epoch, ttl_s = ARGV[1], ARGV[2], tonumber(ARGV[3])

-- A restarted (or promoted) server may have lost its newest entries and would count the same numbers again: readers
-- would miss events without noticing. So the epoch is bound to the server's run; fences are checked anew then.
-- Reading run_id costs 8 us of a call's 130 us.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local held = redis.call('HMGET', meta, 'epoch', 'seq', 'run')
local epoch, seq = held[1], tonumber(held[2] or 0)
if held[3] ~= run then
  if not epoch then
    redis.call('DEL', events)
  end
  epoch = fresh_epoch
  redis.call('DEL', fences)
  redis.call('HSET', meta, 'epoch', epoch, 'seq', seq, 'run', run)
end

-- Readers touch the log every few seconds: writing an expiry each time would fill the append-only file.
if redis.call('TTL', meta) < ttl_s / 2 or verb ~= 'read' then
  for _, key in ipairs(KEYS) do
    redis.call('EXPIRE', key, ttl_s)
  end
end

if verb == 'append' then
  local body, answer, fence, max_events = ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]
  if answer ~= '' then
    local stored = tonumber(redis.call('HGET', fences, answer) or -1)
    if stored ~= fence then
      return {'fence', stored}
    end
  end
  seq = seq + 1
  redis.call('XADD', events, 'MAXLEN', '~', max_events, string.format('%d-0', seq), 'event', body)
  redis.call('HSET', meta, 'seq', seq)
  if seq == 1 then
    redis.call('EXPIRE', events, ttl_s)
  end
  return {'ok', epoch, seq}
end

if verb == 'raise' then
  local answer, fence = ARGV[4], tonumber(ARGV[5])
  local stored = tonumber(redis.call('HGET', fences, answer) or -1)
  if stored > fence then
    return {'fence', stored}
  end
  redis.call('HSET', fences, answer, fence)
  redis.call('EXPIRE', fences, ttl_s)
  return {'ok', epoch, seq}
end

-- read: `limit` events after `after`. With `known` empty the reader takes whatever is there after that number.
local known, after, limit = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local oldest = redis.call('XRANGE', events, '-', '+', 'COUNT', 1)[1]
local first = oldest and tonumber(string.match(oldest[1], '^(%d+)')) or seq + 1
if known ~= '' and (known ~= epoch or after > seq or after < first - 1) then
  return {'lost', epoch, seq, first}
end
local entries = {}
if limit > 0 then
  entries = redis.call('XRANGE', events, string.format('%d-0', after + 1), '+', 'COUNT', limit)
end
return {'ok', epoch, seq, first, entries}
