-- Redis puts these files together as `Step.swift` says: constants, what steps have in common, the
-- arguments by the names that the Swift file beside each gives them, and the step itself.
std = { read_globals = { "redis", "cjson", "KEYS", "ARGV", "math", "string", "table", "type",
  "tonumber", "pcall", "ipairs", "pairs" } }
max_line_length = 100

local function names(file, pattern)
  local found = {}
  local source = assert(io.open(file), file .. " is looked for in this folder: run luacheck in it")
  for name in source:read("*a"):gmatch(pattern) do found[#found + 1] = name end
  source:close()
  assert(#found > 0 or file == "Read.swift", file .. " names nothing")
  return found
end

local shared = names("time.lua", "local function ([%w_]+)")
-- `RecordField.swift` writes the functions and constants of the second line.
for _, name in ipairs({ "CERTAIN", "STRAGGLING", "LOST_WRITES", "LAYOUT", "output",
  "peek", "life", "put", "shorten", "drop", "fields", "DOUBT_FIRST", "DOUBT_LAST", "RUN_ID", "tells_life" }) do
  shared[#shared + 1] = name
end
files["time.lua"] = { ignore = { "211" } }
files["record.lua"] = { read_globals = shared, ignore = { "211" } }
local recorded = names("record.lua", "\nlocal function ([%w_]+)")

local steps = { acquire = "Acquire", renew = "Renew", release = "Release", look = "Look",
  takeover = "TakeOver", begin = "Begin", resolve = "Resolve", commit = "Commit",
  republish = "Republish", mark = "Mark", heartbeat = "Heartbeat", drain = "Drain",
  read = "Read", shorten = "Shorten", place = "Place" }
for script, swift in pairs(steps) do
  local known = names(swift .. ".swift", '%.%l+%(%s*"([%l%d_]+)"')
  for _, list in ipairs({ shared, recorded }) do
    for _, name in ipairs(list) do known[#known + 1] = name end
  end
  -- `life` is an argument of one step, and a function of the others.
  files[script .. ".lua"] = { read_globals = known }
end
