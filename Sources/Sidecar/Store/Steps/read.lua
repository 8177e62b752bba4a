-- What the key holds, whatever that is, and this server's time.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' then held = string.sub(held, 1, 4096) else held = '' end
return {'held', int(milliseconds()), redis.call('PTTL', KEYS[1]), held}
