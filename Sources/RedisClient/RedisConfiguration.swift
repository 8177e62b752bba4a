package import Dialing
import NIOCore

/// What a client connects to, and within which limits.
package struct RedisConfiguration: Sendable {
  package var endpoint: RedisEndpoint
  /// Asked for the password at each connect, off the event loop, so that a rotated file is read
  /// again; nil: the endpoint's own password.
  package var password: (@Sendable () -> String?)?
  /// What `CLIENT LIST` shows; a server may refuse it.
  package var clientName: String? = nil
  /// Whether the server is asked who it is when a connection begins; of sentinels nobody cares.
  var asksWhoItIs = true
  /// Looks up the host's name and connects to it; one for all clients of a process.
  package let dialer: Dialer
  /// Asks the sentinels where the primary is, when the endpoint has any; one for all clients of a
  /// process.
  package let sentinels: SentinelLocator?
  /// Knows which node serves which slots, when the endpoint is a cluster; one for all clients of a
  /// process.
  package let cluster: ClusterView?
  /// Of one connection, where a client has several, and each goes its own way.
  private var ownLocator: (any PrimaryLocator)? = nil
  /// From the name look-up to the last answer of the handshake.
  package var connectTimeout: Duration = .seconds(5)
  /// A command that is overdue by as much, or a subscription that is not confirmed within it, shows
  /// that the connection is dead.
  package var unresponsiveAfter: Duration = .seconds(2)
  /// Says why a server that has passed its handshake is not wanted, if it is not; asked for each
  /// connection, which then counts as one that could not be made.
  ///
  /// It is asked on the event loop, so it must not block.
  package var objection: (@Sendable (RedisServerInfo) -> RedisFailure?)?
  /// What a reply may be.
  package var replyLimits: ReplyLimits = .standard
  /// The most commands that wait for a connection or a reply; what exceeds it is not sent.
  package var maximumInFlight = 1024
  /// The most bytes that these commands may have together.
  package var maximumInFlightBytes = 16 << 20
  /// The waits between attempts to connect.
  package var backoff = Backoff()

  /// - Parameters:
  ///   - sentinelPassword: asked for the sentinels' password at each connect, off the event loop;
  ///     nil: the endpoint's own.
  package init(
    endpoint: RedisEndpoint, dialer: Dialer = Dialer(),
    sentinelPassword: (@Sendable () -> String?)? = nil
  ) {
    self.endpoint = endpoint
    self.dialer = dialer
    sentinels =
      switch endpoint.topology {
      case .single, .cluster: nil
      case .sentinel(let set):
        SentinelLocator(set, of: endpoint, password: sentinelPassword, dialer: dialer)
      }
    cluster =
      if case .cluster(let seeds) = endpoint.topology { ClusterView(seeds: seeds) } else { nil }
  }

  /// The same for a connection to one node of the cluster.
  func connection(to node: RedisEndpoint.Address) -> RedisConfiguration {
    var configuration = self
    configuration.ownLocator = FixedLocator(address: node)
    return configuration
  }

  /// The same for a connection to whichever node of the cluster, if it is one.
  func connectionToAnyNode() -> RedisConfiguration {
    var configuration = self
    configuration.ownLocator = cluster.map { NodeLocator($0, configuration: self) }
    return configuration
  }

  /// Who named that place, when it is not the URL.
  func reporter(of address: RedisEndpoint.Address) -> RedisTLSFailure.Reporter? {
    switch endpoint.topology {
    case .single: nil
    case .sentinel: .sentinels
    case .cluster(let seeds): seeds.contains(address) ? nil : .cluster
    }
  }

  /// Says where to connect to.
  var locator: any PrimaryLocator {
    if let ownLocator { return ownLocator }
    if let sentinels { return sentinels }
    switch endpoint.topology {
    case .single(let address): return FixedLocator(address: address)
    case .sentinel, .cluster: preconditionFailure("Where there are several, they are asked")
    }
  }
}

/// What a server says about itself when a connection begins; nil where it does not tell.
package struct RedisServerInfo: Hashable, Sendable {
  /// Another `run_id` than before: the server has restarted, or it is another one.
  package let runID: String?
  package let version: String?
  /// Where it is; nil in tests that do not care.
  package let address: RedisEndpoint.Address?
  /// What of the handshake it does not take, though it serves without.
  package let lacking: [LackingCommand]

  package init(
    runID: String?, version: String?, address: RedisEndpoint.Address? = nil,
    lacking: [LackingCommand] = []
  ) {
    self.runID = runID
    self.version = version
    self.address = address
    self.lacking = lacking
  }

  /// Reads `run_id` and `redis_version` out of `INFO server`.
  ///
  /// - Parameter tellsRunID: whether it says anything of where the keys are that it is this server.
  init(
    info: RedisReply?, address: RedisEndpoint.Address?, lacking: [LackingCommand] = [],
    tellsRunID: Bool = true
  ) {
    self.init(
      runID: tellsRunID ? Self.value("run_id", in: info) : nil,
      version: Self.value("redis_version", in: info), address: address, lacking: lacking)
  }

  /// A value of an answer to `INFO`.
  static func value(_ name: String, in info: RedisReply?) -> String? {
    (info?.text ?? "").split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + ":") }
      .map { String($0.dropFirst(name.count + 1).prefix(longestValue)) }
  }

  /// A `run_id` has 40 characters; a hostile one should not fill the log.
  private static let longestValue = 64
}

/// What happens to a client's connection.
package enum ConnectionEvent: Hashable, Sendable {
  case connected(RedisServerInfo)
  /// Comes before the commands in flight fail with the same reason.
  case disconnected(RedisFailure)
  /// The next attempt follows by itself.
  case connectFailed(RedisFailure)
}

extension TimeAmount {
  /// What is left until the instant; zero when it has passed.
  init(until instant: ContinuousClock.Instant) {
    self.init(max(.zero, ContinuousClock.now.duration(to: instant)))
  }
}
