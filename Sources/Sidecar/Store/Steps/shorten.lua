redis.call('PERSIST', KEYS[1])
if epoch then
  local last = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '') or 0
  local step = tonumber(redis.call('HGET', KEYS[1], 'step') or '') or 0
  if last > epoch or (last == epoch and step > number) then return {'outranked', int(last)} end
  redis.call('HSET', KEYS[1], 'epoch', int(epoch), 'step', int(number))
end
local held = redis.call('PTTL', KEYS[2])
if held == -2 then return {'shortened'} end
local function placed(value) redis.call('HSET', KEYS[1], 'sha1', redis.sha1hex(value)) end
if left <= 0 then
  -- What its software has written since our token ended is not ours to take away.
  local value = redis.pcall('GET', KEYS[2])
  if type(value) == 'string'
    and redis.call('HGET', KEYS[1], 'sha1') == redis.sha1hex(value) then
    redis.call('DEL', KEYS[2])
  end
elseif held == -1 or held > left then
  if text == '' then
    redis.call('PEXPIRE', KEYS[2], int(left))
  else
    redis.call('SET', KEYS[2], text, 'PX', int(left))
    placed(text)
  end
end
return {'shortened'}
