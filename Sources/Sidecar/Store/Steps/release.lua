redis.call('PERSIST', KEYS[2])
if redis.call('GET', KEYS[1]) == term then
  redis.call('DEL', KEYS[1])
  redis.pcall('PUBLISH', channel, '{"event":"leader","instance":null}')
end
return {'released'}
