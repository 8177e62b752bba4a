/// One request that the simulated WeChat saw through.
public struct AuditEvent: Sendable {
  /// The number of the event, from 0.
  public let number: Int
  /// On the simulated server's clock, when WeChat did its work.
  public let time: Milliseconds
  public let path: String
  public let appID: String?
  /// The errcode, 0 for success; what the caller saw may differ when a fault is named.
  public let code: Int
  /// The token that was handed out or used; simulated tokens are no secrets.
  public let token: String?
  /// The ticket that was handed out.
  public let ticket: String?
  /// Whether that token was minted by this request.
  public let minted: Bool
  /// What the token of a business call was worth, whatever was answered; nil when none was judged.
  public let tokenUse: TokenUse?
  /// How many requests for credentials of this app were under way, this one included.
  public let parallel: Int
  /// The fault that the request met.
  public let fault: Fault?
  /// Whether the query carried a secret, as `/cgi-bin/token` must.
  public let hasSecretInURL: Bool
  /// The names of the request's headers, in lower case.
  public let headerNames: [String]
  public let clientAddress: String
}

/// What happened, and questions that tests ask about it.
public struct Audit: Sendable {
  /// The events in order; the oldest are forgotten beyond ``maxEvents``.
  public private(set) var events: [AuditEvent] = []
  /// How many events there were, the forgotten ones included.
  public private(set) var count = 0

  /// Events kept.
  public static let maxEvents = 100_000

  /// An empty audit.
  public init() {}

  /// The events that minted a token.
  public func mints(of appID: String? = nil) -> [AuditEvent] {
    events.filter { $0.minted && (appID == nil || $0.appID == appID) }
  }

  /// How many requests met that endpoint.
  public func requests(to endpoint: Endpoint, appID: String? = nil) -> Int {
    events.count { endpoint.covers($0.path) && (appID == nil || $0.appID == appID) }
  }

  /// The most requests for credentials of one app that were ever under way at once.
  public func maxParallelFetches(of appID: String? = nil) -> Int {
    events.filter { appID == nil || $0.appID == appID }.map(\.parallel).max() ?? 0
  }

  /// The least time between two mints; nil with fewer than two.
  public func minimumMintSpacing(of appID: String? = nil) -> Milliseconds? {
    let times = mints(of: appID).map(\.time)
    return zip(times, times.dropFirst()).map { $1 - $0 }.min()
  }

  /// The most mints in any window of that length.
  public func maxMints(within window: Milliseconds, of appID: String? = nil) -> Int {
    let times = mints(of: appID).map(\.time)
    var (first, most) = (0, 0)
    for (index, time) in times.enumerated() {
      while times[first] <= time - window { first += 1 }
      most = max(most, index - first + 1)
    }
    return most
  }

  /// The business calls that were made with a dead token, whatever faults of propagation made of
  /// the answers.
  ///
  /// A token that was never minted belongs to no app.
  public func callsWithDeadTokens(of appID: String? = nil) -> [AuditEvent] {
    calls(using: .dead, of: appID)
  }

  /// The business calls that were made with a replaced token within its grace: each would have
  /// failed without the overlap of old and new.
  public func callsInOverlap(of appID: String? = nil) -> [AuditEvent] {
    calls(using: .overlap, of: appID)
  }

  private func calls(using use: TokenUse, of appID: String?) -> [AuditEvent] {
    events.filter { $0.tokenUse == use && (appID == nil || $0.appID == appID) }
  }

  /// The newest token that was handed out to that app.
  public func newestToken(of appID: String) -> String? {
    events.last { $0.minted && $0.appID == appID }?.token
  }

  mutating func append(_ event: AuditEvent) {
    count += 1
    if events.count >= Self.maxEvents { events.removeFirst(Self.maxEvents / 10) }
    events.append(event)
  }
}
