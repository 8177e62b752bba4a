redis.call('PERSIST', KEYS[1])
local refused = newer() or foreign(app)
if refused then return refused end
local fence = number('epoch')
if fence > epoch then return {'fenced', int(fence)} end
local now = milliseconds()
adopt(now, app)
redis.call('HSET', KEYS[1], 'epoch', int(epoch))
local here = server(run_id)
local seen = field('run_id')
if here ~= '' and number('committed_epoch') > 0 and seen ~= here then
  if seen ~= '' and mortal then doubt(now - away - LOST_WRITES, now) end
  redis.call('HSET', KEYS[1], 'run_id', here)
end
restate(now, output)
return view(now, run_id == '*' and here or '')
