redis.call('PERSIST', KEYS[1])
local recorded = field('app')
if recorded ~= '' and recorded ~= app then return {'inorder'} end
if is_commit('committed', epoch, seq) or is_commit('parent', epoch, seq) then
  return {'inorder'}
end
-- Whoever has a token of that epoch takes none of a lower one.
if epoch > number('epoch') then redis.call('HSET', KEYS[1], 'epoch', int(epoch)) end
local now = milliseconds()
local first = math.min(now - age, begun_at or now)
local last = now - (known_for or 0)
if number('committed_epoch') == 0 then
  doubt(now, now)
  restate(now, output)
  return {'marked'}
end
-- Nothing was begun later than now, though a clock that was set back would have it so.
if math.min(number('fetched_at'), now) > last + STRAGGLING then return {'settled'} end
doubt(first, last)
restate(now, output)
return {'marked'}
