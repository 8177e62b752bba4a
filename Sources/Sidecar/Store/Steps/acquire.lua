redis.call('PERSIST', KEYS[2])
local holder = redis.call('GET', KEYS[1])
local epoch = tonumber(redis.call('HGET', KEYS[2], 'epoch') or '') or 0
if holder and holder ~= term then
  local left = redis.call('PTTL', KEYS[1])
  -- More than its holder asked for: a clock was set back, or a foreign hand was at work.
  local asked = tonumber(redis.call('HGET', KEYS[2], 'lease') or '')
  if asked and redis.call('HGET', KEYS[2], 'term') == holder
    and (left < 0 or left > asked) then
    left = asked
    redis.call('PEXPIRE', KEYS[1], int(left))
  end
  local other = redis.call('HGET', KEYS[2], 'app')
  if other and other ~= app then return {'foreign', int(left)} end
  return {'held', holder, int(left)}
end
redis.call('SET', KEYS[1], term, 'PX', int(lease))
if holder and redis.call('HGET', KEYS[2], 'term') == term then
  return {'acquired', int(epoch)}
end
epoch = math.max(epoch + 1, floor + 1, milliseconds())
redis.call('HSET', KEYS[2], 'epoch', int(epoch), 'term', term, 'app', app,
  'lease', int(lease))
redis.pcall('PUBLISH', channel, '{"event":"leader","instance":"' .. instance .. '"}')
return {'acquired', int(epoch)}
