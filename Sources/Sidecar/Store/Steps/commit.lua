redis.call('PERSIST', KEYS[1])
local refused = newer() or foreign(app)
if refused then return refused end
local now, held = milliseconds(), number('epoch')
local committed_epoch, committed_seq = committed()
local again = committed_epoch == epoch and committed_seq == seq
local own = is_commit('intent', epoch, seq)
local begun = own and number('intent_at') or begun_at
local function outside()
  if not kills then return end
  doubt(math.min(begun or now - age, now - age), now)
  restate(now, function(i)
    local kind, value = output(i)
    return kind == 'expiry' and kind or 'kept', value
  end)
end
if held > fence then
  if again or is_commit('parent', epoch, seq) then return {'superseded', int(held)} end
  outside()
  return {'deposed', int(held)}
end
if above(committed_epoch, committed_seq, epoch, seq) then
  if committed_epoch ~= epoch then outside() end
  return {'stale', int(committed_epoch), int(committed_seq)}
end
-- The age is as of the sending. A server that stood still carries out what it finds in its
-- buffers: without its own time that would be a whole new life for a token that is long dead.
local left = lifetime - age
if again then
  left = math.min(left, number('expires_at') - now)
elseif begun then
  left = math.min(left, begun + lifetime - now)
end
-- An answer that repeats states a whole life each time: it counts from when it was first seen.
local repeated = least and committed_epoch > 0 and field('sha256') == sha256
if repeated then left = math.min(left, number('fetched_at') + number('lifetime') - now) end
if least then left = math.max(left, least - age) end
if left <= 0 then return {'stale', int(committed_epoch), int(committed_seq)} end
adopt(now, app)
if not again then
  redis.call('HSET', KEYS[1], 'parent_epoch', int(parent_epoch), 'parent_seq', int(parent_seq))
  if not repeated then
    redis.call('HSET', KEYS[1], 'fetched_at', int(begun or now - age), 'lifetime', int(lifetime))
  end
  if not recommit then redis.call('HSET', KEYS[1], 'fetched_by', instance) end
end
redis.call('HSET', KEYS[1], 'epoch', int(fence), 'committed_epoch', int(epoch),
  'committed_seq', int(seq), 'expires_at', int(now + left),
  'sha256', sha256)
-- The server that it was taken over on: another one is TAKEOVER's to tell, with a doubt.
if field('run_id') == '' then redis.call('HSET', KEYS[1], 'run_id', server(run_id)) end
if own then drop_intent() end
local last = tonumber(field('doubt_last'))
if recommit or (not own and not again) then
  if kills then doubt(math.min(begun or now - age, now - age), now) end
elseif last and not again then
  -- What may still be processed cannot have been processed before this token was made.
  if begun > last + STRAGGLING then
    redis.call('HDEL', KEYS[1], 'doubt_first', 'doubt_last')
  else
    redis.call('HSET', KEYS[1], 'doubt_first', int(begun), 'doubt_last',
      int(math.min(last, now)))
  end
end
write(now, output)
announce(channel, account, client_margin)
local certain = field('doubt_first') .. field('intent_at') == ''
return {'committed', certain and 1 or 0}
