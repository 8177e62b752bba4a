-- What a key holds, whatever that is.
local function get(i)
  local value = peek(i)
  -- No token is longer than this; what else somebody left there is not to fill the line.
  if type(value) == 'string' then return string.sub(value, 1, 4096) end
  return false
end
local function field(name) return redis.call('HGET', KEYS[1], name) or '' end
local function number(name) return tonumber(field(name)) or 0 end
local function above(epoch1, seq1, epoch2, seq2)
  return epoch1 > epoch2 or (epoch1 == epoch2 and seq1 > seq2)
end
local function committed() return number('committed_epoch'), number('committed_seq') end
local function is_commit(what, epoch, seq)
  return epoch > 0 and number(what .. '_epoch') == epoch and number(what .. '_seq') == seq
end
-- What may have killed the token was begun at `first` at the earliest, and was over at `last`:
-- not later than now, though a clock that was set back would have it so. By `first`, which
-- stays as it was, whoever knew it before still knows its age.
local function doubt(first, last)
  local now = milliseconds()
  local from, to = tonumber(field('doubt_first')), tonumber(field('doubt_last'))
  redis.call('HSET', KEYS[1], 'doubt_first', int(math.min(from or first, first)),
    'doubt_last', int(math.min(math.max(to or last, last), now)))
end
local function drop_intent()
  redis.call('HDEL', KEYS[1], 'intent_epoch', 'intent_seq', 'intent_at', 'intent_deadline',
    'intent_kills')
end
-- No token lives longer than until then that what stands here may have killed.
local function bounded(ending)
  local from = tonumber(field('doubt_first'))
  if from then ending = math.min(ending, from + CERTAIN) end
  local begun = tonumber(field('intent_at'))
  if begun and field('intent_kills') ~= '0' then
    ending = math.min(ending, begun + CERTAIN)
  end
  return ending
end
-- Until when the committed token certainly lives; 0 when nothing is committed.
local function stated_end()
  if number('committed_epoch') == 0 then return 0 end
  return bounded(number('expires_at'))
end
local function client_expiry(ending, margin)
  local lifetime = number('lifetime')
  margin = tonumber(margin)
  if lifetime > 0 then margin = math.min(margin, math.floor(lifetime / 4)) end
  return int(math.floor((ending - margin) / 1000))
end
-- The keys end when the record says: what holds a token keeps it, what is gone stays so.
local function restate(now, output)
  local ending, held = stated_end(), life(2)
  if held == -2 then return end
  if ending == 0 then
    -- The record is gone and the keys are not: whose token they hold nobody knows, but it is
    -- none that lives longer.
    ending = bounded(math.huge)
    if ending == math.huge or (held >= 0 and ending - now >= held) then return end
  end
  local left = ending - now
  -- What else a newer layout knows may have made it short.
  if number('v') > LAYOUT and held >= 0 and left > held then return end
  for i = 2, #KEYS do
    local kind, value = output(i)
    if left <= 0 then
      drop(i)
    elseif kind == 'expiry' then
      put(i, client_expiry(ending, value), left)
    else
      shorten(i, left)
    end
  end
end
local function newer()
  local v = number('v')
  if v > LAYOUT then return {'newer', int(v)} end
end
-- Another AppID's record is left alone while its token lives, and forgotten afterwards.
local function foreign(app)
  local recorded = field('app')
  if recorded == '' or recorded == app then return nil end
  local left = life(2)
  if left ~= -2 then return {'foreign', int(left)} end
end
local function old_traces() return field('dirty') .. field('sweep') end
local function adopt(now, app)
  local recorded = field('app')
  if recorded ~= '' and recorded ~= app then
    local epoch = field('epoch')
    redis.call('DEL', KEYS[1])
    if epoch ~= '' then redis.call('HSET', KEYS[1], 'epoch', epoch) end
  end
  -- Version 1 has traces of other kinds, and leaves them in a record of version 2, too;
  -- whatever they were, they are a doubt of now.
  if number('v') == 1 then
    if field('intent_at') ~= '' then doubt(now, now) end
    drop_intent()
  end
  if old_traces() ~= '' then doubt(now, now) end
  redis.call('HDEL', KEYS[1], 'dirty', 'sweep', 'marked')
  redis.call('HSET', KEYS[1], 'v', LAYOUT, 'app', app)
end
-- The server that carries this out, where its caller cannot know which of several that is.
local function server(told)
  if told ~= '*' then return told end
  local told_here = redis.pcall('INFO', 'server')
  if type(told_here) ~= 'string' then return '' end
  return string.match(told_here, 'run_id:(%x+)') or ''
end
local function view(now, here)
  local h = fields()
  -- A trace of version 1 is made a doubt by TAKEOVER, which a run id that is not there asks
  -- for. Until then it is one since it was left, as far as it says when, so that it grows old.
  if old_traces() ~= '' then
    local left = tonumber(string.match(field('dirty'), '@(%d+)$') or '') or now
    h[DOUBT_FIRST] = int(math.min(left, tonumber(h[DOUBT_FIRST] or '') or now))
    h[DOUBT_LAST], h[RUN_ID] = int(now), ''
  end
  local reply = {'account', int(now), here}
  for i = 1, #h do reply[i + 3] = h[i] or '' end
  for i = 2, #KEYS do
    reply[#reply + 1] = get(i)
    reply[#reply + 1] = life(i)
  end
  return reply
end
-- Writes every key to the record's stated end; what has no life left is not published.
local function write(now, output)
  local ending = stated_end()
  local left = ending - now
  for i = 2, #KEYS do
    local kind, value = output(i)
    if left <= 0 then
      drop(i)
    else
      if kind == 'expiry' then value = client_expiry(ending, value) end
      put(i, value, left)
    end
  end
end
-- No channel: whoever asked announces it, once what lies in other slots is written, too.
local function announce(channel, account, client_margin)
  if channel == '' then return end
  local expires_at = client_expiry(stated_end(), client_margin)
  redis.pcall('PUBLISH', channel, '{"event":"token","account":"' .. account
    .. '","expires_at":' .. expires_at .. '}')
end
-- What the record states, for whoever writes the outputs that lie in other slots.
local function stated_life()
  local ending = stated_end()
  if ending == 0 then ending = bounded(math.huge) end
  return {'life', int(milliseconds()), field('committed_epoch'), field('committed_seq'),
    ending == math.huge and '' or int(ending), field('lifetime')}
end
