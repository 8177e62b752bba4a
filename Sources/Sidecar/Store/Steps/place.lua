redis.call('PERSIST', KEYS[1])
local last = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '') or 0
local step = tonumber(redis.call('HGET', KEYS[1], 'step') or '') or 0
if last > epoch or (last == epoch and step > number) then return {'outranked', int(last)} end
redis.call('HSET', KEYS[1], 'epoch', int(epoch), 'step', int(number))
local now = milliseconds()
if now > not_after then return {'placed', 0} end
local left, value = ending - now, redis.pcall('GET', KEYS[2])
if left <= 0 then
  -- What its software has written since our token ended is not ours to take away.
  local is_ours = type(value) == 'string'
    and redis.call('HGET', KEYS[1], 'sha1') == redis.sha1hex(value)
  return {'placed', is_ours and redis.call('DEL', KEYS[2]) or 0}
end
redis.call('HSET', KEYS[1], 'sha1', redis.sha1hex(text))
if value == text
  and math.abs(redis.call('PTTL', KEYS[2]) - left) <= ttl_tolerance then
  return {'placed', 0}
end
redis.call('SET', KEYS[2], text, 'PX', int(left))
return {'placed', 1}
