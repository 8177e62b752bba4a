redis.call('PERSIST', KEYS[2])
if redis.call('GET', KEYS[1]) ~= term then return {'lost'} end
redis.call('PEXPIRE', KEYS[1], int(lease))
return {'renewed'}
