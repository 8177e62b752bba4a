redis.call('PERSIST', KEYS[1])
local refused = newer() or foreign(app)
if refused then return refused end
local fence = number('epoch')
if fence > epoch then return {'fenced', int(fence)} end
local now = milliseconds()
adopt(now, app)
local committed_epoch, committed_seq = committed()
if not above(epoch, seq, committed_epoch, committed_seq) then
  return {'stale', int(committed_epoch), int(committed_seq)}
end
local again = is_commit('intent', epoch, seq)
if number('intent_epoch') > 0 and not again then
  if field('intent_kills') ~= '0' then doubt(number('intent_at'), number('intent_at')) end
  drop_intent()
end
if committed_epoch == 0 and history and mortal then doubt(now, now) end
-- Days end at midnight in China, where WeChat counts.
local day = math.floor((now + 28800000) / 86400000)
if number('day') ~= day then redis.call('HSET', KEYS[1], 'day', int(day), 'fetches', 0) end
redis.call('HSET', KEYS[1], 'epoch', int(epoch))
if not again then
  redis.call('HINCRBY', KEYS[1], 'fetches', 1)
  redis.call('HSET', KEYS[1], 'intent_epoch', int(epoch), 'intent_seq', int(seq),
    'intent_at', int(now), 'intent_deadline', int(now + span),
    'intent_kills', kills and 1 or 0)
  restate(now, output)
end
return {'began', int(committed_epoch), int(committed_seq), number('fetches'),
  field('intent_at'), int(now)}
