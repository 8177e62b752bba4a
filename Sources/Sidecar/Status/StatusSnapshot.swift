import RedisClient
package import TokenCore

/// Everything that the status page and `/v1/status` tell: no secret, no token.
package struct StatusSnapshot: Hashable, Sendable {
  /// What the replica is at the moment.
  package enum Role: String, Hashable, Sendable, CaseIterable {
    /// Has the lock.
    case leader
    /// Sees another leader.
    case follower
    /// Sees none, and tries.
    case candidate
    /// Cannot know: Redis does not answer.
    case isolated
    /// Gives the lock back and ends.
    case stopping
  }

  /// One of the connections to Redis.
  package struct Connection: Hashable, Sendable {
    package var link: RedisLink
    package var isConnected: Bool
    /// Since when it is connected, or is not; nil while this replica wants none.
    package var since: Timestamp?
    package var lastError: String?
    /// How often it was made anew.
    package var reconnects: Int64

    package init(
      link: RedisLink, isConnected: Bool, since: Timestamp? = nil, lastError: String? = nil,
      reconnects: Int64 = 0
    ) {
      self.link = link
      self.isConnected = isConnected
      self.since = since
      self.lastError = lastError
      self.reconnects = reconnects
    }
  }

  /// The connection to Redis.
  package struct Redis: Hashable, Sendable {
    package var isConnected: Bool
    /// Redis's `run_id`; nil when it is unknown (proxies refuse `INFO`).
    package var runID: String?
    /// What went wrong last, without the URL's password.
    package var lastError: String?
    /// Each of this replica's connections.
    package var connections: [Connection]
    /// Where Redis is, without user and password; for the page.
    package var endpoint: String?
    /// What the sentinels say; nil without any.
    package var sentinels: SentinelState?
    /// What the cluster says of our slots; nil without one.
    package var cluster: ClusterState?

    package init(
      isConnected: Bool, runID: String? = nil, lastError: String? = nil,
      connections: [Connection] = [], endpoint: String? = nil, sentinels: SentinelState? = nil,
      cluster: ClusterState? = nil
    ) {
      self.isConnected = isConnected
      self.runID = runID
      self.lastError = lastError
      self.connections = connections
      self.endpoint = endpoint
      self.sentinels = sentinels
      self.cluster = cluster
    }
  }

  /// What the last call told about WeChat.
  package struct WeChat: Hashable, Sendable {
    /// How far WeChat's clock is ahead of this machine's; nil on a replica that has not asked.
    package var clockSkewSeconds: Int64?
    /// Where WeChat is asked, in this order; for the page.
    package var hosts: [String] = []

    package init(clockSkewSeconds: Int64? = nil, hosts: [String] = []) {
      self.clockSkewSeconds = clockSkewSeconds
      self.hosts = hosts
    }
  }

  /// Why the last fetch that failed did.
  package struct Failure: Hashable, Sendable {
    /// WeChat's `errcode`, when there was an answer with one.
    package var code: Int?
    package var reason: String
    /// WeChat's request id.
    package var requestID: String?
    package var at: Timestamp

    package init(code: Int?, reason: String, requestID: String?, at: Timestamp) {
      self.code = code
      self.reason = reason
      self.requestID = requestID
      self.at = at
    }
  }

  /// The life of a token, for people: by this machine's clock.
  package struct Life: Hashable, Sendable {
    /// When WeChat made it.
    package var bornAt: Timestamp
    /// When the leader replaces it, if nothing asks for that earlier.
    package var refreshAt: Timestamp
    /// When clients stop trusting it.
    package var trustedUntil: Timestamp
    /// When the key in Redis ends.
    package var endsAt: Timestamp
    /// When it was last seen in Redis.
    package var seenAt: Timestamp

    package init(
      bornAt: Timestamp, refreshAt: Timestamp, trustedUntil: Timestamp, endsAt: Timestamp,
      seenAt: Timestamp
    ) {
      self.bornAt = bornAt
      self.refreshAt = refreshAt
      self.trustedUntil = trustedUntil
      self.endsAt = endsAt
      self.seenAt = seenAt
    }
  }

  /// One account.
  package struct Account: Hashable, Sendable {
    package var name: CredentialID
    /// Whether an unexpired token is in Redis, as far as this replica knows.
    package var hasToken: Bool
    /// The Unix second at which clients stop trusting the token, as in `WCH_expires_in`.
    package var expiresAt: Int64?
    /// Seconds to it; negative when it has passed.
    package var remainingSeconds: Int64?
    package var refreshesSucceeded: Int64
    package var refreshesFailed: Int64
    package var lastFailure: Failure?
    /// When the leader fetches next; nil on a replica that plans none.
    package var nextRefreshAt: Timestamp?
    /// The keeper's state in a word.
    package var phase: String
    /// The instance that fetched the token.
    package var fetchedBy: String?
    /// The token's life; nil while there is none.
    package var life: Life?
    /// The AppID, shortened: enough to tell which it is.
    package var appID: String?
    /// WeChat's endpoint for it.
    package var api: API?

    package init(
      name: CredentialID, hasToken: Bool, expiresAt: Int64? = nil, remainingSeconds: Int64? = nil,
      refreshesSucceeded: Int64 = 0, refreshesFailed: Int64 = 0, lastFailure: Failure? = nil,
      nextRefreshAt: Timestamp? = nil, phase: String, fetchedBy: String? = nil,
      life: Life? = nil, appID: String? = nil, api: API? = nil
    ) {
      self.name = name
      self.hasToken = hasToken
      self.expiresAt = expiresAt
      self.remainingSeconds = remainingSeconds
      self.refreshesSucceeded = refreshesSucceeded
      self.refreshesFailed = refreshesFailed
      self.lastFailure = lastFailure
      self.nextRefreshAt = nextRefreshAt
      self.phase = phase
      self.fetchedBy = fetchedBy
      self.life = life
      self.appID = appID
      self.api = api
    }
  }

  package var instance: String
  package var version: String
  /// When this replica started.
  package var startedAt: Timestamp
  /// When the snapshot was taken.
  package var now: Timestamp
  package var role: Role
  /// The leader's instance; nil while none is known.
  package var leader: String?
  package var epoch: Int64?
  /// How often the timer has run, as on the reference's page.
  package var ticks: Int64
  package var redis: Redis
  package var weChat: WeChat
  package var accounts: [Account]
  /// Everything that is wrong, worst first.
  package var conditions: [Condition]
  /// The other replicas, as they said last.
  package var others: [Observation.Heard]
  /// What happened lately, oldest first; for the page.
  package var timeline: [EventLog.Entry]

  package init(
    instance: String, version: String, startedAt: Timestamp, now: Timestamp, role: Role,
    leader: String? = nil, epoch: Int64? = nil, ticks: Int64, redis: Redis,
    weChat: WeChat = WeChat(), accounts: [Account], conditions: [Condition] = [],
    others: [Observation.Heard] = [], timeline: [EventLog.Entry] = []
  ) {
    self.instance = instance
    self.version = version
    self.startedAt = startedAt
    self.now = now
    self.role = role
    self.leader = leader
    self.epoch = epoch
    self.ticks = ticks
    self.redis = redis
    self.weChat = weChat
    self.accounts = accounts
    self.conditions = conditions
    self.others = others
    self.timeline = timeline
  }

  /// Seconds since the start.
  package var uptimeSeconds: Int64 { max(0, (now.milliseconds - startedAt.milliseconds) / 1000) }

  /// For how long clients trust the token that ends first, of the accounts that have one.
  package var shortestLife: Int64? {
    accounts.filter(\.hasToken).compactMap(\.remainingSeconds).min()
  }

  /// Successful fetches of all accounts.
  package var refreshesSucceeded: Int64 { accounts.reduce(0) { $0 + $1.refreshesSucceeded } }

  /// Failed fetches of all accounts.
  package var refreshesFailed: Int64 { accounts.reduce(0) { $0 + $1.refreshesFailed } }
}

extension StatusSnapshot {
  /// The same with one account, and without what is wrong with others.
  func only(_ account: AccountName) -> StatusSnapshot {
    var copy = self
    copy.accounts.removeAll { $0.name.account != account }
    copy.conditions.removeAll { $0.account.map { $0.account != account } ?? false }
    return copy
  }
}

extension StatusSnapshot: Encodable {
  private enum CodingKeys: String, CodingKey {
    case apiVersion = "api_version"
    case instance, version, role, leader, epoch, ticks, redis, accounts, conditions
    case others = "fleet"
    case weChat = "wechat"
    case startedAt = "started_at"
    case now
    case uptimeSeconds = "uptime_seconds"
    case refreshesSucceeded = "refreshes_ok"
    case refreshesFailed = "refreshes_failed"
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(OpenAPI.version, forKey: .apiVersion)
    try container.encode(instance, forKey: .instance)
    try container.encode(version, forKey: .version)
    try container.encode(startedAt.second, forKey: .startedAt)
    try container.encode(now.second, forKey: .now)
    try container.encode(uptimeSeconds, forKey: .uptimeSeconds)
    try container.encode(role.rawValue, forKey: .role)
    try container.encode(leader, forKey: .leader)
    try container.encode(epoch, forKey: .epoch)
    try container.encode(ticks, forKey: .ticks)
    try container.encode(refreshesSucceeded, forKey: .refreshesSucceeded)
    try container.encode(refreshesFailed, forKey: .refreshesFailed)
    try container.encode(redis, forKey: .redis)
    try container.encode(weChat, forKey: .weChat)
    try container.encode(accounts, forKey: .accounts)
    try container.encode(conditions, forKey: .conditions)
    try container.encode(others, forKey: .others)
  }
}

extension StatusSnapshot.Redis: Encodable {
  private enum CodingKeys: String, CodingKey {
    case isConnected = "connected"
    case runID = "run_id"
    case lastError = "last_error"
    case connections, primary, sentinels, nodes
    case primaryMovedAt = "primary_moved_at"
  }

  private struct Sentinel: Encodable {
    let address: String
    let names: String?
    let said: String

    init(_ voice: SentinelSight.Voice) {
      address = "\(voice.sentinel)"
      said = voice.said
      names =
        if case .names(let address, _, _)? = voice.answer { "\(address)" } else { nil }
    }

    private enum CodingKeys: String, CodingKey { case address, names, said }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(address, forKey: .address)
      try container.encode(names, forKey: .names)
      try container.encode(said, forKey: .said)
    }
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(isConnected, forKey: .isConnected)
    try container.encode(runID, forKey: .runID)
    try container.encode(lastError, forKey: .lastError)
    try container.encode(connections, forKey: .connections)
    try container.encode(sentinels?.primary.map { "\($0)" }, forKey: .primary)
    try container.encode(sentinels?.movedAt?.second, forKey: .primaryMovedAt)
    try container.encode((sentinels?.voices ?? []).map(Sentinel.init), forKey: .sentinels)
    try container.encode(cluster?.nodes ?? [], forKey: .nodes)
  }
}

extension StatusSnapshot.Connection: Encodable {
  private enum CodingKeys: String, CodingKey {
    case name
    case isConnected = "connected"
    case since
    case lastError = "last_error"
    case reconnects
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(link.rawValue, forKey: .name)
    try container.encode(isConnected, forKey: .isConnected)
    try container.encode(since?.second, forKey: .since)
    try container.encode(lastError, forKey: .lastError)
    try container.encode(reconnects, forKey: .reconnects)
  }
}

extension StatusSnapshot.WeChat: Encodable {
  private enum CodingKeys: String, CodingKey {
    case clockSkewSeconds = "clock_skew_seconds"
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(clockSkewSeconds, forKey: .clockSkewSeconds)
  }
}

extension StatusSnapshot.Failure: Encodable {
  private enum CodingKeys: String, CodingKey {
    case code = "errcode"
    case reason
    case requestID = "rid"
    case at
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(code, forKey: .code)
    try container.encode(reason, forKey: .reason)
    try container.encode(requestID, forKey: .requestID)
    try container.encode(at.second, forKey: .at)
  }
}

extension StatusSnapshot.Account: Encodable {
  private enum CodingKeys: String, CodingKey {
    case name = "account"
    case hasToken = "token_present"
    case expiresAt = "expires_at"
    case remainingSeconds = "remaining_seconds"
    case refreshesSucceeded = "refreshes_ok"
    case refreshesFailed = "refreshes_failed"
    case lastFailure = "last_failure"
    case nextRefreshAt = "next_refresh_at"
    case phase
    case fetchedBy = "fetched_by"
  }

  // Every member is always there, null when unknown: readers need not tell absence from age.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name.description, forKey: .name)
    try container.encode(hasToken, forKey: .hasToken)
    try container.encode(expiresAt, forKey: .expiresAt)
    try container.encode(remainingSeconds, forKey: .remainingSeconds)
    try container.encode(refreshesSucceeded, forKey: .refreshesSucceeded)
    try container.encode(refreshesFailed, forKey: .refreshesFailed)
    try container.encode(lastFailure, forKey: .lastFailure)
    try container.encode(nextRefreshAt?.second, forKey: .nextRefreshAt)
    try container.encode(phase, forKey: .phase)
    try container.encode(fetchedBy, forKey: .fetchedBy)
  }
}
