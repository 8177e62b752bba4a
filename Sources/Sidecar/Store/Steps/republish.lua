redis.call('PERSIST', KEYS[1])
local refused = newer() or foreign(app)
if refused then return refused end
local held = number('epoch')
if held > fence then return {'fenced', int(held)} end
local committed_epoch, committed_seq = committed()
local recorded = committed_epoch > 0
if recorded and not (committed_epoch == epoch and committed_seq == seq) then
  return {'republished', 0}
end
local now = milliseconds()
-- Redis's clock goes on while a command waits in a buffer, and while its sender stands still.
local left = math.min(certain, (until_time or now + certain) - now)
if recorded then
  left = stated_end() - now
  -- The record's moments are of a clock that can be set back.
  if left > certain + clock_tolerance then
    left = certain
    redis.call('HSET', KEYS[1], 'expires_at', int(now + left))
  end
  local sound = true
  for i = 2, #KEYS do
    local kind, value = output(i)
    if kind == 'expiry' then value = client_expiry(now + left, value) end
    if get(i) ~= value
      or math.abs(life(i) - left) > ttl_tolerance then
      sound = false
    end
  end
  if sound then return {'republished', 0} end
end
if left <= 0 then
  -- What is over is there no longer, whatever had made it last; but what other software has
  -- written since is not ours to take away.
  local overdue = 0
  for i = 2, recorded and #KEYS or 0 do
    local kind, value = output(i)
    if i == 2 or kind == 'expiry' or get(i) == value then overdue = math.max(overdue, drop(i)) end
  end
  return {'republished', overdue}
end
adopt(now, app)
redis.call('HSET', KEYS[1], 'epoch', int(fence))
if not recorded then
  redis.call('HSET', KEYS[1], 'committed_epoch', int(epoch), 'committed_seq', int(seq),
    'lifetime', int(lifetime), 'sha256', sha256, 'expires_at', int(now + left),
    'fetched_at', int(begun_at or now + left - lifetime))
  if mortal then doubt(now, now) end
end
write(now, output)
announce(channel, account, client_margin)
return {'republished', 1}
