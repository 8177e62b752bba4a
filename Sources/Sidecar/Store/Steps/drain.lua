local items = redis.call('LRANGE', KEYS[1], 0, most - 1)
redis.call('LTRIM', KEYS[1], most, -1)
local reply, long = {0}, 0
for _, item in ipairs(items) do
  if #item <= longest then reply[#reply + 1] = item else long = long + 1 end
end
reply[1] = long
return reply
