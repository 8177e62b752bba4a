import FoundationEssentials
package import Logging
import NIOPosix
package import RedisClient
package import TokenCore

/// What Redis alone tells of a deployment, while no daemon can be asked: reads, and no token.
package struct RedisSight: Sendable {
  /// One account's keys.
  package struct Account: Hashable, Sendable {
    package let name: CredentialID
    /// What is left of the key's life; nil when there is none, or it has no end.
    package let timeLeft: Duration?
    package let exists: Bool
    /// The Unix second in `WCH_expires_in`.
    package let clientExpiry: Int64?
    package let fetchedBy: String?
    /// The layout of the record; nil without one.
    package let layout: Int?
    /// Whether the record is another AppID's than the settings'; nil when they name none.
    package let isForeign: Bool?
  }

  /// A replica as it said last.
  package struct Replica: Hashable, Sendable {
    package let instance: String
    package let isLeader: Bool
    package let age: Duration
    package let report: HealthReport?
  }

  /// The lock's holder; nil when nobody has it.
  package let leader: String?
  /// What is left of the lease; nil when it has no end.
  package let leaseLeft: Duration?
  package let accounts: [Account]
  package let replicas: [Replica]
  /// Redis's clock.
  package let now: Timestamp

  /// What the replicas said lately, the leader first; of each trouble once.
  package var conditions: [Condition] {
    var seen: Set<Condition.Identity> = []
    let fresh = replicas.filter { $0.age < Assessment.silence }
      .sorted { $0.isLeader != $1.isLeader ? $0.isLeader : $0.age < $1.age }
    return fresh.flatMap { replica in
      (replica.report?.conditions ?? []).map { condition in
        var condition = condition
        condition.observer = replica.instance
        return condition
      }
    }.filter { seen.insert($0.identity).inserted }.sorted(by: Condition.isTold)
  }

  /// All of it, connection included, within this.
  private static let limit: Duration = .seconds(2)
  /// Accounts that the settings do not name are found by their records; one look sees so many keys.
  private static let scanned = "1000"
  /// … and no more looks than this are taken.
  private static let mostScans = 64

  /// Looks once.
  ///
  /// - Parameter account: the only one that is looked at; nil for all.
  /// - Throws: `RedisError` when Redis does not answer, or refuses the reading.
  package static func look(
    _ settings: RedisSettings, _ redis: RedisConfiguration, only account: AccountName? = nil,
    logger: Logger
  ) async throws(RedisError) -> RedisSight {
    let client = RedisClient(
      configuration: redis, eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
      home: KeyLayout(prefix: settings.keyPrefix).leader, logger: logger)
    let result: Result<RedisSight, RedisError> = await withTaskGroup { tasks in
      tasks.addTask { await client.run() }
      let result: Result<RedisSight, RedisError>
      do throws(RedisError) {
        result = .success(try await look(client, redis.cluster, settings, only: account))
      } catch {
        result = .failure(error)
      }
      tasks.cancelAll()
      return result
    }
    return try result.get()
  }

  private static func look(
    _ client: RedisClient, _ cluster: ClusterView?, _ settings: RedisSettings,
    only account: AccountName?
  ) async throws(RedisError) -> RedisSight {
    let deadline = ContinuousClock.now + limit
    let layout = KeyLayout(prefix: settings.keyPrefix)
    let first = try await client.execute(
      each: [
        (RedisCommand("TIME"), layout.leader), (RedisCommand("GET", layout.leader), layout.leader),
        (RedisCommand("PTTL", layout.leader), layout.leader),
        (RedisCommand("HGETALL", layout.replicas), layout.replicas),
      ], deadline: deadline, waitForConnection: true)
    let time = (first[0].elements ?? []).compactMap(\.number)
    let now =
      time.count == 2
      ? Timestamp(milliseconds: time[0] * 1000 + time[1] / 1000) : Timestamp.now
    let names = try await accounts(client, cluster, settings, layout, deadline).filter {
      account == nil || $0.account == account
    }
    let replies = try await client.execute(
      each: names.flatMap { name in
        let (token, expiry) = (layout.key(.credential, name), layout.key(.expiry, name))
        let state = layout.state(name)
        return [
          (RedisCommand("PTTL", token), token), (RedisCommand("GET", expiry), expiry),
          (RedisCommand("HMGET", state, "v", "app", "fetched_by"), state),
        ]
      }, deadline: deadline)
    var accounts: [Account] = []
    for (place, name) in names.enumerated() {
      let (left, expiry) = (replies[place * 3].number ?? -2, replies[place * 3 + 1])
      let record = (replies[place * 3 + 2].elements ?? []).map(\.text)
      let app = record.count > 1 ? record[1] : nil
      accounts.append(
        Account(
          name: name, timeLeft: left >= 0 ? .milliseconds(left) : nil, exists: left != -2,
          clientExpiry: expiry.text.flatMap { Int64($0) },
          fetchedBy: record.count > 2 ? record[2] : nil,
          layout: record.first.flatMap { $0 }.flatMap { Int($0) },
          isForeign: settings.accounts[name].flatMap { appID in
            app.map { $0 != TokenStore.digest(appID) }
          }))
    }
    let leader = first[1].text.map { String($0.prefix { $0 != ":" }.prefix(128)) }
    let lease = first[2].number ?? -2
    return RedisSight(
      leader: leader, leaseLeft: lease >= 0 ? .milliseconds(lease) : nil, accounts: accounts,
      replicas: replicas(first[3], at: now), now: now)
  }

  /// The accounts of the settings, or those that have a record.
  private static func accounts(
    _ client: RedisClient, _ cluster: ClusterView?, _ settings: RedisSettings,
    _ layout: KeyLayout, _ deadline: ContinuousClock.Instant
  ) async throws(RedisError) -> [CredentialID] {
    if !settings.accounts.isEmpty { return settings.accounts.keys.sorted() }
    var names: Set<CredentialID> = [.unnamed]
    // Each node of a cluster knows its own keys only.
    let nodes: [RedisEndpoint.Address?] = cluster?.map?.primaries ?? [nil]
    for node in nodes where names.count <= SettingsSources.accountLimit {
      names.formUnion(try await accounts(client, at: node, layout, deadline))
    }
    return names.sorted()
  }

  private static func accounts(
    _ client: RedisClient, at node: RedisEndpoint.Address?, _ layout: KeyLayout,
    _ deadline: ContinuousClock.Instant
  ) async throws(RedisError) -> Set<CredentialID> {
    var names: Set<CredentialID> = []
    var cursor = "0"
    let start = "\(layout.prefix)state:{"
    for _ in 0..<mostScans {
      let scan = RedisCommand(
        "SCAN", cursor, "MATCH", "\(KeyPattern(start))*", "COUNT", scanned)
      let reply =
        if let node {
          try await client.execute(scan, at: node, deadline: deadline)
        } else {
          try await client.execute(scan, deadline: deadline)
        }
      // A user with a replica's rights may not ask this: the unnamed account is all there is then.
      guard let elements = reply.elements, elements.count == 2, let next = elements[0].text else {
        break
      }
      for key in (elements[1].elements ?? []).compactMap(\.text) {
        if let name = credential(ofRecord: key, after: start, layout) { names.insert(name) }
      }
      cursor = next
      if cursor == "0" || names.count > SettingsSources.accountLimit { break }
    }
    return names
  }

  /// Whose record that key is; nil of one that is none.
  private static func credential(
    ofRecord key: String, after start: String, _ layout: KeyLayout
  ) -> CredentialID? {
    guard key.hasPrefix(start) else { return nil }
    let account = AccountName(String(key.dropFirst(start.count).prefix { $0 != "}" }))
    return [account, .unnamed].compactMap(\.self).lazy.flatMap { name in
      CredentialID.Kind.allCases.map { CredentialID(name, $0) }
    }.first { layout.state($0) == key }
  }

  /// What replicas said; entries in another form than ours are left out.
  private static func replicas(_ reply: RedisReply, at now: Timestamp) -> [Replica] {
    struct Entry: Decodable {
      var seen: Double
      var leader: Bool?
      var said: String?
    }
    let texts = (reply.elements ?? []).map { $0.text ?? "" }
    var found: [Replica] = []
    for place in stride(from: 0, to: texts.count - 1, by: 2) {
      guard InstanceID(texts[place]) != nil,
        let entry = try? JSONDecoder().decode(Entry.self, from: Data(texts[place + 1].utf8)),
        entry.seen.isFinite, entry.seen.magnitude < 1e15
      else { continue }
      found.append(
        Replica(
          instance: texts[place], isLeader: entry.leader ?? false,
          age: .milliseconds(max(0, now.milliseconds - Int64(entry.seen))),
          report: entry.said.flatMap { HealthReport(encoded: $0) }))
    }
    return found.sorted {
      $0.isLeader != $1.isLeader ? $0.isLeader : $0.instance < $1.instance
    }
  }
}
