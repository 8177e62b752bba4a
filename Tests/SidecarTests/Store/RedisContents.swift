import RedisClient
import Sidecar
import Simulation
import TestSupport
import TokenCore

/// Every key of a Redis with what it holds and how long it lives, for comparisons.
struct RedisContents: Hashable {
  struct Key: Hashable {
    var value: Value
    /// What `PTTL` tells: milliseconds, or -1 for a key that stays.
    var remaining: Int64
  }

  enum Value: Hashable {
    case string(String)
    case hash([String: String])
    case list([String])
  }

  var keys: [String: Key] = [:]

  /// The fields of a hash; empty when the key is missing or of another type.
  subscript(hash key: String) -> [String: String] {
    get {
      guard case .hash(let fields)? = keys[key]?.value else { return [:] }
      return fields
    }
    set {
      let remaining = keys[key]?.remaining ?? -1
      keys[key] = newValue.isEmpty ? nil : Key(value: .hash(newValue), remaining: remaining)
    }
  }
}

extension RedisContents {
  /// One script, so that all is of one moment; it writes nothing.
  private static let script = """
    local reply = {}
    for _, key in ipairs(redis.call('KEYS', '*')) do
      local type, value = redis.call('TYPE', key).ok, {}
      if type == 'string' then
        value = {redis.call('GET', key)}
      elseif type == 'hash' then
        value = redis.call('HGETALL', key)
      elseif type == 'list' then
        value = redis.call('LRANGE', key, 0, -1)
      end
      reply[#reply + 1] = {key, type, redis.call('PTTL', key), value}
    end
    return reply
    """

  /// What that server holds.
  static func of(_ server: RedisServer) async throws -> RedisContents {
    try RedisContents(await server.command("EVAL", script, "0"))
  }

  /// What the server of that client holds.
  static func of(_ client: RedisClient) async throws -> RedisContents {
    try RedisContents(
      await client.execute(RedisCommand("EVAL", script, "0"), deadline: .now + patience))
  }

  private struct Unreadable: Error { let reply: RedisReply }

  private init(_ reply: RedisReply) throws {
    for row in reply.elements ?? [] {
      guard let row = row.elements, row.count == 4, let name = row[0].text,
        let remaining = row[2].number, let texts = row[3].elements?.compactMap(\.text)
      else { throw Unreadable(reply: reply) }
      let value: Value
      switch row[1].text {
      case "string" where texts.count == 1: value = .string(texts[0])
      case "hash" where texts.count.isMultiple(of: 2):
        let pairs = stride(from: 0, to: texts.count, by: 2).map { (texts[$0], texts[$0 + 1]) }
        value = .hash(Dictionary(uniqueKeysWithValues: pairs))
      case "list": value = .list(texts)
      default: throw Unreadable(reply: reply)
      }
      keys[name] = Key(value: value, remaining: remaining)
    }
    guard reply.elements != nil else { throw Unreadable(reply: reply) }
  }
}

// MARK: The model

extension RedisContents {
  /// What a Redis holds that holds what the model does, as far as the model has it.
  ///
  /// - Parameter others: the keys of the outputs after each account's own two.
  init(
    of data: ModelRedis.Data, at now: RedisTime, _ layout: KeyLayout, others: [String] = []
  ) {
    func left(_ expiresAt: RedisTime?) -> Int64 {
      expiresAt.map { ($0 - now).wholeMilliseconds } ?? -1
    }
    if let lock = data.lock {
      keys[layout.leader] = Key(value: .string(lock.holder), remaining: left(lock.expiresAt))
    }
    if let record = data.epoch {
      self[hash: layout.epoch] = [
        "epoch": "\(record.epoch)", "term": record.term,
        "lease": "\(record.lease.wholeMilliseconds)",
      ]
    }
    let entries = Dictionary(grouping: data.replicas, by: \.instance.rawValue)
    self[hash: layout.replicas] = entries.mapValues { namesakes in
      let texts = namesakes.map { replica in
        let abdicated = replica.abdicatedAt ?? RedisTime(milliseconds: 0)
        return "{\"seen\":\(replica.seenAt),\"leader\":\(replica.isLeader)"
          + ",\"abdicated\":\(abdicated)"
          + ",\"life\":\"\(replica.life.map { String($0, radix: 16) } ?? "")\""
      }
      let others = texts.dropFirst().map { $0 + "}" }.joined(separator: ",")
      return texts[0] + (others.isEmpty ? "}" : ",\"others\":[\(others)]}")
    }
    for account in data.accounts {
      let own = [
        (layout.accessToken(account.name.account), account.token),
        (layout.expiresIn(account.name.account), account.expiry),
      ]
      for (name, key) in own + zip(others, account.others) {
        guard let key else { continue }
        // Of another type is what the test puts there.
        let value = key.text.map { Value.string($0) } ?? .list(["x"])
        keys[name] = Key(value: value, remaining: left(key.expiresAt))
      }
      for (place, rank) in account.fences {
        let key = others[place - 2]
        self[hash: "\(layout.prefix)fence:{\(key)}"] = [
          "epoch": "\(rank.epoch)", "step": "\(rank.number)",
        ]
      }
      self[hash: layout.state(account.name)] = RedisContents.fields(of: account.state)
    }
  }

  private static func fields(of state: ModelRedis.State) -> [String: String] {
    var fields: [String: String] = [:]
    func set(_ name: String, _ value: (some CustomStringConvertible)?) {
      fields[name] = value?.description
    }
    func setBoth(_ name: String, _ version: Version?) {
      set(name + "_epoch", version?.epoch)
      set(name + "_seq", version?.sequence)
    }
    set("epoch", state.fence > .none ? state.fence : nil)
    setBoth("committed", state.committed)
    setBoth("parent", state.parent)
    setBoth("intent", state.intent?.version)
    set("intent_at", state.intent?.at)
    set("intent_kills", state.intent.map { $0.kills ? 1 : 0 })
    set("doubt_first", state.doubt?.first)
    set("doubt_last", state.doubt?.last)
    set("run_id", state.runID)
    set("fetched_by", state.fetchedBy)
    set("fetched_at", state.fetchedAt)
    set("expires_at", state.expiresAt)
    set("lifetime", state.lifetime?.wholeMilliseconds)
    set("sha256", state.digest.map { TokenStore.digest($0) })
    set("day", state.day > 0 ? state.day : nil)
    set("fetches", state.day > 0 ? state.fetchesToday : nil)
    return fields
  }

  /// Less what the model has not: guards, the list of reports, and other spellings of nothing.
  func modelled(_ layout: KeyLayout) -> RedisContents {
    var rest = self
    rest.keys[layout.refreshRequests] = nil
    for case (let name, .hash(var fields)) in keys.map({ ($0, $1.value) }) {
      for field in ["v", "app", "intent_deadline", "sha1"] { fields[field] = nil }
      if fields["parent_epoch"] == "0" {
        fields["parent_epoch"] = nil
        fields["parent_seq"] = nil
      }
      rest[hash: name] = fields.filter { !$1.isEmpty }
    }
    return rest
  }
}

// MARK: Differences

extension RedisContents {
  /// What is otherwise than it was: values by `key`, or `key field`, and `none` for what is gone.
  func changes(since before: RedisContents) -> [String: String] {
    let (old, new) = (before.lines, lines)
    var changes: [String: String] = [:]
    for name in Set(old.keys).union(new.keys) where old[name] != new[name] {
      changes[name] = new[name] ?? "none"
    }
    return changes
  }

  private var lines: [String: String] {
    var lines: [String: String] = [:]
    for (name, key) in keys {
      switch key.value {
      case .string(let text): lines[name] = "\(text) for \(key.remaining)"
      case .list(let items): lines[name] = "\(items) for \(key.remaining)"
      case .hash(let fields):
        if key.remaining != -1 { lines[name] = "for \(key.remaining)" }
        for (field, value) in fields { lines[name + " " + field] = value }
      }
    }
    return lines
  }
}
