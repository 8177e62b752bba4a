redis.call('PERSIST', KEYS[1])
local now = milliseconds()
local oldest = now - memory
local function entry(value)
  if type(value) ~= 'table' or type(value.seen) ~= 'number' then return nil end
  local born, words = value.life, value.said
  if type(born) ~= 'string' or #born > 16 or string.find(born, '%X') then born = '' end
  if type(words) ~= 'string' or #words > 16384 then words = '' end
  return {seen = value.seen, leader = value.leader == true, life = born, said = words,
    abdicated = type(value.abdicated) == 'number' and value.abdicated or 0}
end
local function entries(json)
  local ok, value = pcall(cjson.decode, json)
  if not ok or type(value) ~= 'table' then return {} end
  local found = {entry(value)}
  if type(value.others) == 'table' then
    for _, other in ipairs(value.others) do found[#found + 1] = entry(other) end
  end
  return found
end
local function text(e)
  return '{"seen":' .. int(e.seen) .. ',"leader":' .. (e.leader and 'true' or 'false')
    .. ',"abdicated":' .. int(e.abdicated) .. ',"life":"' .. e.life .. '"'
    .. (e.said ~= '' and ',"said":' .. cjson.encode(e.said) or '')
end
local all = redis.call('HGETALL', KEYS[1])
local reply = {'replicas', int(now)}
local before, others = nil, {}
for i = 1, #all, 2 do
  local is_mine, is_live = all[i] == instance, false
  for _, e in ipairs(entries(all[i + 1])) do
    -- Who is new takes over what its predecessor said.
    if is_mine and (not before or e.life == life) then before = e end
    if e.seen >= oldest and not (is_mine and e.life == life) then
      is_live = true
      if is_mine and #others < 7 then others[#others + 1] = text(e) .. '}' end
      if #reply < 1000 then
        for _, v in ipairs({all[i], int(e.seen), e.leader and 1 or 0, int(e.abdicated),
          e.life, e.said}) do
          reply[#reply + 1] = v
        end
      end
    end
  end
  if not is_live and not is_mine then redis.call('HDEL', KEYS[1], all[i]) end
end
local abdicated = abdicates and now or before and before.abdicated or 0
local written = text({seen = now, leader = leads, abdicated = abdicated,
  life = life, said = said})
if #others > 0 then written = written .. ',"others":[' .. table.concat(others, ',') .. ']' end
redis.call('HSET', KEYS[1], instance, written .. '}')
return reply
