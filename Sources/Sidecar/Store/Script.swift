import Crypto
import RedisClient
import TokenCore

/// A step of the protocol as Redis carries it out: whole, or not at all.
///
/// Every script is safe to repeat. Its first write is a `PERSIST` of a key that has no TTL: Redis
/// takes it when it is out of memory, and then lets the rest of the script through, and a
/// read-only replica refuses it instead of answering from stale data (both measured on 7.0.15).
package struct Script: Hashable, Sendable {
  package let name: String
  package let source: String
  /// What `EVALSHA` calls the script by.
  package let digest: String

  private init(_ name: String, _ source: String) {
    self.name = name
    self.source = source
    digest = hexadecimal(Insecure.SHA1.hash(data: Array(source.utf8)))
  }

  /// The layout of the state that these scripts write and understand.
  package static let layout = 2

  /// Every script, for `SCRIPT LOAD` and for tests.
  package static let all: [Script] = [
    acquire, renew, release, look, takeOver, begin, resolve, commit, republish, mark, heartbeat,
    drain,
  ]

  private static let certain = Timing.certain.wholeMilliseconds
  private static let straggling = Timing.straggling.wholeMilliseconds
  private static let lostWrites = Timing.lostWrites.wholeMilliseconds

  /// Redis's time in milliseconds; the arithmetic stays below 2^53, so doubles are exact.
  private static let time = """
    local function milliseconds()
      local t = redis.call('TIME')
      return t[1] * 1000 + math.floor(t[2] / 1000)
    end
    local function int(n) return string.format('%.0f', n) end
    """

  /// The record of an account, and the guards against other programs' records.
  private static let record = """
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
      if from then ending = math.min(ending, from + \(certain)) end
      local begun = tonumber(field('intent_at'))
      if begun and field('intent_kills') ~= '0' then
        ending = math.min(ending, begun + \(certain))
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
    local function restate(now, format)
      local ending, held = stated_end(), redis.call('PTTL', KEYS[2])
      if held == -2 then return end
      if ending == 0 then
        -- The record is gone and the keys are not: whose token they hold nobody knows, but it is
        -- none that lives longer.
        ending = bounded(math.huge)
        if ending == math.huge or (held >= 0 and ending - now >= held) then return end
      end
      local left = ending - now
      -- What else a newer layout knows may have made it short.
      if number('v') > \(layout) and held >= 0 and left > held then return end
      for i = 2, #KEYS do
        local kind, value = format(i)
        if left <= 0 then
          redis.call('DEL', KEYS[i])
        elseif kind == 'expiry' then
          redis.call('SET', KEYS[i], client_expiry(ending, value), 'PX', int(left))
        else
          redis.call('PEXPIRE', KEYS[i], int(left))
        end
      end
    end
    local function newer(layout)
      local v = number('v')
      if v > tonumber(layout) then return {'newer', int(v)} end
    end
    -- Another AppID's record is left alone while its token lives, and forgotten afterwards.
    local function foreign(app, token)
      local recorded = field('app')
      if recorded == '' or recorded == app then return nil end
      local left = redis.call('PTTL', token)
      if left ~= -2 then return {'foreign', int(left)} end
    end
    local function old_traces() return field('dirty') .. field('sweep') end
    local function adopt(now, app, layout)
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
      redis.call('HSET', KEYS[1], 'v', layout, 'app', app)
    end
    local function read(key)
      local v = redis.pcall('GET', key)
      -- No token is longer than this; what else somebody left there is not to fill the line.
      if type(v) == 'string' then return string.sub(v, 1, 4096) end
      return false
    end
    local function view(now, token, expiry)
      local h = redis.call('HMGET', KEYS[1], 'epoch', 'committed_epoch', 'committed_seq',
        'intent_epoch', 'intent_seq', 'intent_at', 'intent_kills', 'doubt_first', 'doubt_last',
        'run_id', 'fetched_at', 'expires_at', 'lifetime', 'fetched_by', 'sha256')
      -- A trace of version 1 is made a doubt by TAKEOVER, which a run id that is not there asks
      -- for. Until then it is one since it was left, as far as it says when, so that it grows old.
      if old_traces() ~= '' then
        local left = tonumber(string.match(field('dirty'), '@(%d+)$') or '') or now
        h[8] = int(math.min(left, tonumber(h[8] or '') or now))
        h[9], h[10] = int(now), ''
      end
      local reply = {'account', int(now)}
      for i = 1, 15 do reply[i + 2] = h[i] or '' end
      reply[18] = read(token)
      reply[19] = redis.call('PTTL', token)
      reply[20] = read(expiry)
      reply[21] = redis.call('PTTL', expiry)
      return reply
    end
    -- Writes every key to the record's stated end; what has no life left is not published.
    local function write(now, format)
      local ending = stated_end()
      local left = ending - now
      for i = 2, #KEYS do
        local kind, value = format(i)
        if left <= 0 then
          redis.call('DEL', KEYS[i])
        else
          if kind == 'expiry' then value = client_expiry(ending, value) end
          redis.call('SET', KEYS[i], value, 'PX', int(left))
        end
      end
    end
    local function announce(channel, account, expires_at)
      redis.pcall('PUBLISH', channel, '{"event":"token","account":"' .. account
        .. '","expires_at":' .. expires_at .. '}')
    end
    """

  /// KEYS reports; ARGV most, longest.
  ///
  /// Replies the items that are not too long, after how many were; takes them from the list,
  /// however long that is.
  package static let drain = Script(
    "drain",
    """
    local items = redis.call('LRANGE', KEYS[1], 0, ARGV[1] - 1)
    redis.call('LTRIM', KEYS[1], ARGV[1], -1)
    local reply, long = {0}, 0
    for _, item in ipairs(items) do
      if #item <= tonumber(ARGV[2]) then reply[#reply + 1] = item else long = long + 1 end
    end
    reply[1] = long
    return reply
    """)

  private static func onLock(_ name: String, _ body: String) -> Script {
    Script(name, time + "\n" + body)
  }

  private static func onRecord(_ name: String, _ body: String) -> Script {
    Script(name, time + "\n" + record + "\n" + body)
  }

  /// KEYS lock, epoch; ARGV term, lease, floor, app, channel, instance.
  ///
  /// Replies `acquired epoch`, `held holder PTTL` or `foreign PTTL`. Repeating it with the same
  /// term extends the lock and returns the same epoch. A lock that has more than its lease left is
  /// shortened to that.
  package static let acquire = onLock(
    "acquire",
    """
    redis.call('PERSIST', KEYS[2])
    local holder = redis.call('GET', KEYS[1])
    local epoch = tonumber(redis.call('HGET', KEYS[2], 'epoch') or '') or 0
    if holder and holder ~= ARGV[1] then
      local left = redis.call('PTTL', KEYS[1])
      -- More than its holder asked for: a clock was set back, or a foreign hand was at work.
      local lease = tonumber(redis.call('HGET', KEYS[2], 'lease') or '')
      if lease and redis.call('HGET', KEYS[2], 'term') == holder
        and (left < 0 or left > lease) then
        left = lease
        redis.call('PEXPIRE', KEYS[1], int(left))
      end
      local app = redis.call('HGET', KEYS[2], 'app')
      if app and app ~= ARGV[4] then return {'foreign', int(left)} end
      return {'held', holder, int(left)}
    end
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    if holder and redis.call('HGET', KEYS[2], 'term') == ARGV[1] then
      return {'acquired', int(epoch)}
    end
    epoch = math.max(epoch + 1, tonumber(ARGV[3]) + 1, milliseconds())
    redis.call('HSET', KEYS[2], 'epoch', int(epoch), 'term', ARGV[1], 'app', ARGV[4],
      'lease', ARGV[2])
    redis.pcall('PUBLISH', ARGV[5], '{"event":"leader","instance":"' .. ARGV[6] .. '"}')
    return {'acquired', int(epoch)}
    """)

  /// KEYS lock, epoch; ARGV term, lease.
  ///
  /// Replies `renewed` or `lost`.
  package static let renew = onLock(
    "renew",
    """
    redis.call('PERSIST', KEYS[2])
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost'} end
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return {'renewed'}
    """)

  /// KEYS lock, epoch; ARGV term, channel.
  ///
  /// Replies `released`; deletes only our own lock.
  package static let release = onLock(
    "release",
    """
    redis.call('PERSIST', KEYS[2])
    if redis.call('GET', KEYS[1]) == ARGV[1] then
      redis.call('DEL', KEYS[1])
      redis.pcall('PUBLISH', ARGV[2], '{"event":"leader","instance":null}')
    end
    return {'released'}
    """)

  /// KEYS state, token, expiry; ARGV app, layout.
  ///
  /// Replies a view, `foreign PTTL` or `newer v`; writes nothing.
  package static let look = onRecord(
    "look",
    """
    local recorded = field('app')
    if recorded ~= '' and recorded ~= ARGV[1] then
      return {'foreign', int(redis.call('PTTL', KEYS[2]))}
    end
    return newer(ARGV[2]) or view(milliseconds(), KEYS[2], KEYS[3])
    """)

  /// KEYS state, outputs…; ARGV app, layout, epoch, run id, away, then format and value of each
  /// output.
  ///
  /// Raises the fence; replies a view, `fenced epoch`, `foreign PTTL` or `newer v`. A server other
  /// than the record's may have lost what was written last: that is a doubt.
  package static let takeOver = onRecord(
    "takeover",
    """
    redis.call('PERSIST', KEYS[1])
    local refused = newer(ARGV[2]) or foreign(ARGV[1], KEYS[2])
    if refused then return refused end
    local fence = number('epoch')
    if fence > tonumber(ARGV[3]) then return {'fenced', int(fence)} end
    local now = milliseconds()
    adopt(now, ARGV[1], ARGV[2])
    redis.call('HSET', KEYS[1], 'epoch', ARGV[3])
    local seen = field('run_id')
    if ARGV[4] ~= '' and number('committed_epoch') > 0 and seen ~= ARGV[4] then
      if seen ~= '' then doubt(now - tonumber(ARGV[5]) - \(lostWrites), now) end
      redis.call('HSET', KEYS[1], 'run_id', ARGV[4])
    end
    restate(now, function(i) return ARGV[2 + 2 * i], ARGV[3 + 2 * i] end)
    return view(now, KEYS[2], KEYS[3])
    """)

  /// KEYS state, outputs…; ARGV app, layout, epoch, seq, span, kills?, history?, then format and
  /// value of each output.
  ///
  /// Replies `began committed_epoch committed_seq fetches_today at now`, `fenced epoch`,
  /// `stale epoch seq`, `foreign PTTL` or `newer v`. Repeating it keeps the first moment.
  package static let begin = onRecord(
    "begin",
    """
    redis.call('PERSIST', KEYS[1])
    local refused = newer(ARGV[2]) or foreign(ARGV[1], KEYS[2])
    if refused then return refused end
    local epoch, seq = tonumber(ARGV[3]), tonumber(ARGV[4])
    local fence = number('epoch')
    if fence > epoch then return {'fenced', int(fence)} end
    local now = milliseconds()
    adopt(now, ARGV[1], ARGV[2])
    local committed_epoch, committed_seq = committed()
    if not above(epoch, seq, committed_epoch, committed_seq) then
      return {'stale', int(committed_epoch), int(committed_seq)}
    end
    local again = is_commit('intent', epoch, seq)
    if number('intent_epoch') > 0 and not again then
      if field('intent_kills') ~= '0' then doubt(number('intent_at'), number('intent_at')) end
      drop_intent()
    end
    if committed_epoch == 0 and ARGV[7] == '1' then doubt(now, now) end
    -- Days end at midnight in China, where WeChat counts.
    local day = math.floor((now + 28800000) / 86400000)
    if number('day') ~= day then redis.call('HSET', KEYS[1], 'day', int(day), 'fetches', 0) end
    redis.call('HSET', KEYS[1], 'epoch', ARGV[3])
    if not again then
      redis.call('HINCRBY', KEYS[1], 'fetches', 1)
      redis.call('HSET', KEYS[1], 'intent_epoch', ARGV[3], 'intent_seq', ARGV[4],
        'intent_at', int(now), 'intent_deadline', int(now + tonumber(ARGV[5])),
        'intent_kills', ARGV[6])
      restate(now, function(i) return ARGV[4 + 2 * i], ARGV[5 + 2 * i] end)
    end
    return {'began', int(committed_epoch), int(committed_seq), number('fetches'),
      field('intent_at'), int(now)}
    """)

  /// KEYS state, outputs…; ARGV epoch, seq, then format and value of each output.
  ///
  /// Replies `resolved`; takes back only this intent, and the life that it had cut short.
  package static let resolve = onRecord(
    "resolve",
    """
    redis.call('PERSIST', KEYS[1])
    if is_commit('intent', tonumber(ARGV[1]), tonumber(ARGV[2])) then
      drop_intent()
      restate(milliseconds(), function(i) return ARGV[2 * i - 1], ARGV[2 * i] end)
    end
    return {'resolved'}
    """)

  /// KEYS state, outputs…; ARGV app, layout, fence, epoch, seq, lifetime, age, begun at,
  /// parent_epoch, parent_seq, kills?, recommit?, run_id, instance, sha256, channel, account, then
  /// format and value of each output.
  ///
  /// Replies `committed certain?`, `superseded epoch`, `deposed epoch`, `stale epoch seq`,
  /// `foreign PTTL` or `newer v`. Repeating it writes the same again.
  package static let commit = onRecord(
    "commit",
    """
    redis.call('PERSIST', KEYS[1])
    local refused = newer(ARGV[2]) or foreign(ARGV[1], KEYS[2])
    if refused then return refused end
    local now, fence = milliseconds(), number('epoch')
    local epoch, seq = tonumber(ARGV[4]), tonumber(ARGV[5])
    local committed_epoch, committed_seq = committed()
    local again = committed_epoch == epoch and committed_seq == seq
    local own = is_commit('intent', epoch, seq)
    local lifetime, age = tonumber(ARGV[6]), tonumber(ARGV[7])
    local begun = own and number('intent_at') or tonumber(ARGV[8])
    local kills = ARGV[11] == '1'
    local function format(i) return ARGV[14 + 2 * i], ARGV[15 + 2 * i] end
    local function outside()
      if not kills then return end
      doubt(math.min(begun or now - age, now - age), now)
      restate(now, function(i)
        local kind, value = format(i)
        return kind == 'expiry' and kind or 'kept', value
      end)
    end
    if fence > tonumber(ARGV[3]) then
      if again or is_commit('parent', epoch, seq) then return {'superseded', int(fence)} end
      outside()
      return {'deposed', int(fence)}
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
    if left <= 0 then return {'stale', int(committed_epoch), int(committed_seq)} end
    adopt(now, ARGV[1], ARGV[2])
    if not again then
      redis.call('HSET', KEYS[1], 'parent_epoch', ARGV[9], 'parent_seq', ARGV[10],
        'fetched_at', int(begun or now - age))
      if ARGV[12] ~= '1' then redis.call('HSET', KEYS[1], 'fetched_by', ARGV[14]) end
    end
    redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'committed_epoch', ARGV[4],
      'committed_seq', ARGV[5], 'expires_at', int(now + left), 'lifetime', ARGV[6],
      'run_id', ARGV[13], 'sha256', ARGV[15])
    if own then drop_intent() end
    local last = tonumber(field('doubt_last'))
    if ARGV[12] == '1' or (not own and not again) then
      if kills then doubt(math.min(begun or now - age, now - age), now) end
    elseif last and not again then
      -- What may still be processed cannot have been processed before this token was made.
      if begun > last + \(straggling) then
        redis.call('HDEL', KEYS[1], 'doubt_first', 'doubt_last')
      else
        redis.call('HSET', KEYS[1], 'doubt_first', int(begun), 'doubt_last',
          int(math.min(last, now)))
      end
    end
    write(now, format)
    announce(ARGV[16], ARGV[17], client_expiry(stated_end(), ARGV[21]))
    local certain = field('doubt_first') .. field('intent_at') == ''
    return {'committed', certain and 1 or 0}
    """)

  /// KEYS state, outputs…; ARGV app, layout, fence, epoch, seq, lifetime, certain, TTL tolerance,
  /// clock tolerance, sha256, begun at, certain until, channel, account, then format and value of
  /// each output.
  ///
  /// Replies `republished wrote?`, `fenced epoch`, `foreign PTTL` or `newer v`. Repeating it finds
  /// nothing left to do.
  package static let republish = onRecord(
    "republish",
    """
    redis.call('PERSIST', KEYS[1])
    local refused = newer(ARGV[2]) or foreign(ARGV[1], KEYS[2])
    if refused then return refused end
    local fence = number('epoch')
    if fence > tonumber(ARGV[3]) then return {'fenced', int(fence)} end
    local epoch, seq = tonumber(ARGV[4]), tonumber(ARGV[5])
    local committed_epoch, committed_seq = committed()
    local recorded = committed_epoch > 0
    if recorded and not (committed_epoch == epoch and committed_seq == seq) then
      return {'republished', 0}
    end
    local now, certain = milliseconds(), tonumber(ARGV[7])
    local function format(i) return ARGV[11 + 2 * i], ARGV[12 + 2 * i] end
    -- Redis's clock goes on while a command waits in a buffer, and while its sender stands still.
    local left = math.min(certain, (tonumber(ARGV[12]) or now + certain) - now)
    if recorded then
      left = stated_end() - now
      -- The record's moments are of a clock that can be set back.
      if left > certain + tonumber(ARGV[9]) then
        left = certain
        redis.call('HSET', KEYS[1], 'expires_at', int(now + left))
      end
      local sound = true
      for i = 2, #KEYS do
        local kind, value = format(i)
        if kind == 'expiry' then value = client_expiry(now + left, value) end
        if read(KEYS[i]) ~= value
          or math.abs(redis.call('PTTL', KEYS[i]) - left) > tonumber(ARGV[8]) then
          sound = false
        end
      end
      if sound then return {'republished', 0} end
    end
    if left <= 0 then
      -- What is over is there no longer, whatever had made it last.
      local overdue = recorded and redis.call('PTTL', KEYS[2]) ~= -2
      if overdue then restate(now, format) end
      return {'republished', overdue and 1 or 0}
    end
    adopt(now, ARGV[1], ARGV[2])
    redis.call('HSET', KEYS[1], 'epoch', ARGV[3])
    if not recorded then
      redis.call('HSET', KEYS[1], 'committed_epoch', ARGV[4], 'committed_seq', ARGV[5],
        'lifetime', ARGV[6], 'sha256', ARGV[10], 'expires_at', int(now + left),
        'fetched_at', ARGV[11] ~= '' and ARGV[11] or int(now + left - tonumber(ARGV[6])))
      doubt(now, now)
    end
    write(now, format)
    announce(ARGV[13], ARGV[14], client_expiry(stated_end(), ARGV[18]))
    return {'republished', 1}
    """)

  /// KEYS state, outputs…; ARGV app, epoch, seq, age, begun at, known for, then format and value
  /// of each output.
  ///
  /// Replies `marked`; `inorder` when that fetch was committed in its turn; `settled` when what
  /// Redis has was fetched after all of it was over. Repeating it changes nothing but the moment at
  /// which an outcome was not yet known.
  package static let mark = onRecord(
    "mark",
    """
    redis.call('PERSIST', KEYS[1])
    local recorded = field('app')
    if recorded ~= '' and recorded ~= ARGV[1] then return {'inorder'} end
    local epoch, seq = tonumber(ARGV[2]), tonumber(ARGV[3])
    if is_commit('committed', epoch, seq) or is_commit('parent', epoch, seq) then
      return {'inorder'}
    end
    -- Whoever has a token of that epoch takes none of a lower one.
    if epoch > number('epoch') then redis.call('HSET', KEYS[1], 'epoch', ARGV[2]) end
    local now = milliseconds()
    local first = math.min(now - tonumber(ARGV[4]), tonumber(ARGV[5]) or now)
    local last = now - (tonumber(ARGV[6]) or 0)
    if number('committed_epoch') == 0 then
      doubt(now, now)
      restate(now, function(i) return ARGV[3 + 2 * i], ARGV[4 + 2 * i] end)
      return {'marked'}
    end
    if number('fetched_at') > last + \(straggling) then return {'settled'} end
    doubt(first, last)
    restate(now, function(i) return ARGV[3 + 2 * i], ARGV[4 + 2 * i] end)
    return {'marked'}
    """)

  /// KEYS replicas; ARGV instance, leader?, abdicates?, memory, life, said.
  ///
  /// Replies `replicas now` and, of each other one, its name, when it was seen, whether it leads,
  /// when it gave that up, its life, and what it says to people. Entries older than the memory are
  /// removed. What is longer than 16 KiB is not repeated, whoever wrote it.
  ///
  /// A field is a name; what others of that name said last, at most seven of them, stands in
  /// `others`. A version that knows no lives overwrites these, and they are back with their next
  /// heartbeat.
  package static let heartbeat = onLock(
    "heartbeat",
    """
    redis.call('PERSIST', KEYS[1])
    local now = milliseconds()
    local oldest = now - tonumber(ARGV[4])
    local function entry(value)
      if type(value) ~= 'table' or type(value.seen) ~= 'number' then return nil end
      local life = value.life
      if type(life) ~= 'string' or #life > 16 or string.find(life, '%X') then life = '' end
      local said = value.said
      if type(said) ~= 'string' or #said > 16384 then said = '' end
      return {seen = value.seen, leader = value.leader == true, life = life, said = said,
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
      local is_mine, is_live = all[i] == ARGV[1], false
      for _, e in ipairs(entries(all[i + 1])) do
        -- Who is new takes over what its predecessor said.
        if is_mine and (not before or e.life == ARGV[5]) then before = e end
        if e.seen >= oldest and not (is_mine and e.life == ARGV[5]) then
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
    local abdicated = ARGV[3] == '1' and now or before and before.abdicated or 0
    local written = text({seen = now, leader = ARGV[2] == '1', abdicated = abdicated,
      life = ARGV[5], said = ARGV[6]})
    if #others > 0 then written = written .. ',"others":[' .. table.concat(others, ',') .. ']' end
    redis.call('HSET', KEYS[1], ARGV[1], written .. '}')
    return reply
    """)
}

/// Lower-case hexadecimal digits of bytes.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
  let digits = Array("0123456789abcdef".utf8)
  var text: [UInt8] = []
  for byte in bytes {
    text.append(digits[Int(byte >> 4)])
    text.append(digits[Int(byte & 15)])
  }
  return String(decoding: text, as: UTF8.self)
}
