import Crypto
import RedisClient

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
  package static let layout = 1

  /// Every script, for `SCRIPT LOAD` and for tests.
  package static let all: [Script] = [
    acquire, renew, release, look, takeOver, begin, resolve, commit, republish, mark, heartbeat,
    drain,
  ]

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
    -- Another value each time: who settles the earlier request does not settle this one.
    local function sweep_later(now, span)
      redis.call('HSET', KEYS[1], 'sweep', int(math.max(number('sweep') + 1, now + span)))
    end
    -- A repetition, whose answer was lost, asks for nothing more. Several replicas may repeat at
    -- once: the last eight are remembered.
    local function soil(now, version, id)
      local ids = field('marked')
      if string.find(ids .. ' ', ' ' .. id .. ' ', 1, true) then return false end
      ids = ' ' .. id .. ids
      redis.call('HSET', KEYS[1], 'dirty', version .. '@' .. int(now),
        'marked', string.match(ids, string.rep(' [^ ]+', 8)) or ids)
      return true
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
    local function adopt(app, layout)
      local recorded = field('app')
      if recorded ~= '' and recorded ~= app then
        local epoch = field('epoch')
        redis.call('DEL', KEYS[1])
        if epoch ~= '' then redis.call('HSET', KEYS[1], 'epoch', epoch) end
      end
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
        'parent_epoch', 'parent_seq', 'intent_epoch', 'intent_seq', 'intent_at',
        'intent_deadline', 'dirty', 'sweep', 'run_id', 'expires_at', 'lifetime', 'fetched_by',
        'sha256')
      local reply = {'account', int(now)}
      for i = 1, 16 do reply[i + 2] = h[i] or '' end
      reply[19] = read(token)
      reply[20] = redis.call('PTTL', token)
      reply[21] = read(expiry)
      reply[22] = redis.call('PTTL', expiry)
      return reply
    end
    local function write(outputs, expires_at, left)
      for i = 2, #KEYS do
        local format, value = outputs(i)
        if format == 'expiry' then
          value = int(math.floor((expires_at - tonumber(value)) / 1000))
        end
        redis.call('SET', KEYS[i], value, 'PX', int(left))
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

  /// KEYS state, token, expiry; ARGV app, layout, epoch.
  ///
  /// Raises the fence; replies a view, `fenced epoch`, `foreign PTTL` or `newer v`.
  package static let takeOver = onRecord(
    "takeover",
    """
    redis.call('PERSIST', KEYS[1])
    local refused = newer(ARGV[2]) or foreign(ARGV[1], KEYS[2])
    if refused then return refused end
    local fence = number('epoch')
    if fence > tonumber(ARGV[3]) then return {'fenced', int(fence)} end
    adopt(ARGV[1], ARGV[2])
    redis.call('HSET', KEYS[1], 'epoch', ARGV[3])
    return view(milliseconds(), KEYS[2], KEYS[3])
    """)

  /// KEYS state, token; ARGV app, layout, epoch, seq, span, history?, suspicious?, sweep.
  ///
  /// Replies `began dirty committed_epoch committed_seq sweep fetches_today now`, `fenced epoch`,
  /// `stale epoch seq`, `foreign PTTL` or `newer v`. Repeating it renews the same intent.
  package static let begin = onRecord(
    "begin",
    """
    redis.call('PERSIST', KEYS[1])
    local refused = newer(ARGV[2]) or foreign(ARGV[1], KEYS[2])
    if refused then return refused end
    local epoch, seq = tonumber(ARGV[3]), tonumber(ARGV[4])
    local fence = number('epoch')
    if fence > epoch then return {'fenced', int(fence)} end
    adopt(ARGV[1], ARGV[2])
    local committed_epoch, committed_seq = committed()
    if not above(epoch, seq, committed_epoch, committed_seq) then
      return {'stale', int(committed_epoch), int(committed_seq)}
    end
    local now = milliseconds()
    local span = tonumber(ARGV[8])
    if number('intent_epoch') > 0 and not is_commit('intent', epoch, seq) then
      sweep_later(number('intent_at'), span)
    end
    if (committed_epoch == 0 and ARGV[6] == '1') or ARGV[7] == '1' then sweep_later(now, span) end
    -- Days end at midnight in China, where WeChat counts.
    local day = math.floor((now + 28800000) / 86400000)
    if number('day') ~= day then redis.call('HSET', KEYS[1], 'day', int(day), 'fetches', 0) end
    if not is_commit('intent', epoch, seq) then redis.call('HINCRBY', KEYS[1], 'fetches', 1) end
    redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'intent_epoch', ARGV[3], 'intent_seq', ARGV[4],
      'intent_at', int(now), 'intent_deadline', int(now + tonumber(ARGV[5])))
    return {'began', field('dirty'), int(committed_epoch), int(committed_seq), field('sweep'),
      number('fetches'), int(now)}
    """)

  /// KEYS state; ARGV epoch, seq.
  ///
  /// Replies `resolved`; takes back only this intent.
  package static let resolve = onRecord(
    "resolve",
    """
    redis.call('PERSIST', KEYS[1])
    if is_commit('intent', tonumber(ARGV[1]), tonumber(ARGV[2])) then
      redis.call('HDEL', KEYS[1], 'intent_epoch', 'intent_seq', 'intent_at', 'intent_deadline')
    end
    return {'resolved'}
    """)

  /// KEYS state, outputs…; ARGV app, layout, fence, epoch, seq, lifetime, age, dirty, parent_epoch,
  /// parent_seq, settled sweep, recommit?, run_id, instance, sha256, sweep, channel, account, then
  /// format and value of each output.
  ///
  /// Replies `committed`, `superseded epoch`, `deposed epoch dirty`, `stale epoch seq`,
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
    local function mark()
      local version = ARGV[4] .. '.' .. ARGV[5]
      soil(now, version, version)
    end
    if fence > tonumber(ARGV[3]) then
      if again or is_commit('parent', epoch, seq) then return {'superseded', int(fence)} end
      mark()
      return {'deposed', int(fence), field('dirty')}
    end
    if above(committed_epoch, committed_seq, epoch, seq) then
      if committed_epoch ~= epoch then mark() end
      return {'stale', int(committed_epoch), int(committed_seq)}
    end
    local own = is_commit('intent', epoch, seq)
    local lifetime = tonumber(ARGV[6])
    local left = lifetime - tonumber(ARGV[7])
    -- The age is as of the sending. A server that stood still carries out what it finds in its
    -- buffers: without its own time that would be a whole new life for a token that is long dead.
    if own then
      left = math.min(left, number('intent_at') + lifetime - now)
    elseif again then
      left = math.min(left, number('expires_at') - now)
    end
    if left <= 0 then return {'stale', int(committed_epoch), int(committed_seq)} end
    adopt(ARGV[1], ARGV[2])
    local expires_at = now + left
    write(function(i) return ARGV[15 + 2 * i], ARGV[16 + 2 * i] end, expires_at, left)
    local sweep = tonumber(ARGV[16])
    if not again then
      redis.call('HSET', KEYS[1], 'parent_epoch', ARGV[9], 'parent_seq', ARGV[10])
    end
    redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'committed_epoch', ARGV[4],
      'committed_seq', ARGV[5], 'expires_at', int(expires_at), 'lifetime', ARGV[6],
      'run_id', ARGV[13], 'sha256', ARGV[15])
    if ARGV[12] == '1' then
      sweep_later(now, sweep)
    else
      redis.call('HSET', KEYS[1], 'fetched_by', ARGV[14], 'fetched_at',
        int(expires_at - lifetime))
      if own then
        redis.call('HDEL', KEYS[1], 'intent_epoch', 'intent_seq', 'intent_at', 'intent_deadline')
      end
      if not again and own then
        -- A mark since BEGIN may have set a later one, which this fetch does not settle.
        if ARGV[11] ~= '' and field('sweep') == ARGV[11] then
          redis.call('HDEL', KEYS[1], 'sweep')
        end
        if ARGV[8] ~= '' and field('dirty') == ARGV[8] then
          redis.call('HDEL', KEYS[1], 'dirty')
        end
      elseif not again then
        sweep_later(now, sweep)
      end
    end
    announce(ARGV[17], ARGV[18], redis.call('GET', KEYS[3]))
    return {'committed'}
    """)

  /// KEYS state, outputs…; ARGV app, layout, fence, epoch, seq, lifetime, remaining, TTL tolerance,
  /// clock tolerance, sha256, sweep, channel, account, then format and value of each output.
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
    local now = milliseconds()
    local left = tonumber(ARGV[7])
    if recorded then
      local by_record = number('expires_at') - now
      if by_record <= left + tonumber(ARGV[9]) then left = by_record end
    end
    if left <= 0 then return {'republished', 0} end
    local expires_at = now + left
    if recorded and left == number('expires_at') - now then expires_at = number('expires_at') end
    local function outputs(i) return ARGV[10 + 2 * i], ARGV[11 + 2 * i] end
    local sound = recorded
    for i = 2, #KEYS do
      local format, value = outputs(i)
      if format == 'expiry' then
        value = int(math.floor((expires_at - tonumber(value)) / 1000))
      end
      if read(KEYS[i]) ~= value
        or math.abs(redis.call('PTTL', KEYS[i]) - left) > tonumber(ARGV[8]) then
        sound = false
      end
    end
    if sound then return {'republished', 0} end
    adopt(ARGV[1], ARGV[2])
    write(outputs, expires_at, left)
    redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'expires_at', int(expires_at))
    if not recorded then
      redis.call('HSET', KEYS[1], 'committed_epoch', ARGV[4], 'committed_seq', ARGV[5],
        'lifetime', ARGV[6], 'sha256', ARGV[10])
      sweep_later(now, tonumber(ARGV[11]))
    end
    announce(ARGV[12], ARGV[13], redis.call('GET', KEYS[3]))
    return {'republished', 1}
    """)

  /// KEYS state; ARGV epoch, seq, unknown?, sweep, debt.
  ///
  /// Replies `marked dirty`, or `committed` when that fetch was. Repeating it with the same debt
  /// changes nothing.
  package static let mark = onRecord(
    "mark",
    """
    redis.call('PERSIST', KEYS[1])
    local epoch, seq = tonumber(ARGV[1]), tonumber(ARGV[2])
    if is_commit('committed', epoch, seq) or is_commit('parent', epoch, seq) then
      return {'committed'}
    end
    local now = milliseconds()
    if soil(now, ARGV[1] .. '.' .. ARGV[2], ARGV[5]) and ARGV[3] == '1' then
      sweep_later(now, tonumber(ARGV[4]))
    end
    return {'marked', field('dirty')}
    """)

  /// KEYS replicas; ARGV instance, leader?, abdicates?, memory, life.
  ///
  /// Replies `replicas now` and, of each other one, its name, when it was seen, whether it leads,
  /// when it gave that up, and its life. Entries older than the memory are removed.
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
      return {seen = value.seen, leader = value.leader == true, life = life,
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
              e.life}) do
              reply[#reply + 1] = v
            end
          end
        end
      end
      if not is_live and not is_mine then redis.call('HDEL', KEYS[1], all[i]) end
    end
    local abdicated = ARGV[3] == '1' and now or before and before.abdicated or 0
    local written = text({seen = now, leader = ARGV[2] == '1', abdicated = abdicated,
      life = ARGV[5]})
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
