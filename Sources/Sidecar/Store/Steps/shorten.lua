redis.call('PERSIST', KEYS[1])
if epoch then
  local last = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '') or 0
  local step = tonumber(redis.call('HGET', KEYS[1], 'step') or '') or 0
  if last > epoch or (last == epoch and step > number) then return {'outranked', int(last)} end
  redis.call('HSET', KEYS[1], 'epoch', int(epoch), 'step', int(number))
end
local held = redis.call('PTTL', KEYS[2])
if held == -2 then return {'shortened'} end
if left <= 0 then
  redis.call('DEL', KEYS[2])
elseif held == -1 or held > left then
  if text == '' then
    redis.call('PEXPIRE', KEYS[2], int(left))
  else
    redis.call('SET', KEYS[2], text, 'PX', int(left))
  end
end
return {'shortened'}
