redis.call('PERSIST', KEYS[1])
local refused = newer() or foreign(app)
if refused then return refused end
local fence = number('epoch')
if fence > epoch then return {'fenced', int(fence)} end
local now = milliseconds()
adopt(now, app)
redis.call('HSET', KEYS[1], 'epoch', int(epoch))
local seen = field('run_id')
if run_id ~= '' and number('committed_epoch') > 0 and seen ~= run_id then
  if seen ~= '' and mortal then doubt(now - away - LOST_WRITES, now) end
  redis.call('HSET', KEYS[1], 'run_id', run_id)
end
restate(now, output)
return view(now)
