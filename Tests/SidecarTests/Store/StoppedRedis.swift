import RedisClient
import Sidecar
import TestSupport
import TokenCore

/// A Redis of its own whose clock only the test moves: tells exactly what a step changed.
struct StoppedRedis: Sendable {
  let server: RedisServer
  /// The store of the AppID whose record it is, and that of another one.
  let store: TokenStore
  let other: TokenStore
  private let clock: SteppedClock

  /// The second at which the clock stands at first.
  static let start: Int64 = 1_800_000_000

  /// What a step answered, and the keys and fields that it left otherwise than before.
  struct Outcome: Hashable, Sendable {
    var reply: StoreReply
    /// New values by name (`key` or `key field`), `none` for what is gone.
    var changes: [String: String]
  }

  static func run(_ body: @Sendable (StoppedRedis) async throws -> Void) async throws {
    let clock = try SteppedClock(showing: start)
    let server = try await RedisServer.start(environment: clock.environment)
    defer { server.stop() }
    try await server.withReplicasRights(TokenStoreTests.layout) { client in
      let stores = ["wx1", "wx2"].map {
        TokenStore(
          client: client, layout: TokenStoreTests.layout,
          apps: AppRegister([TokenStoreTests.account.account: $0]), lacks: .untold)
      }
      try await body(
        StoppedRedis(server: server, store: stores[0], other: stores[1], clock: clock))
    }
  }

  /// So many seconds after the start, in milliseconds.
  static func time(_ seconds: Double) -> RedisTime {
    RedisTime(milliseconds: start * 1000 + Int64(seconds * 1000))
  }

  /// Moves the clock to so many seconds after the start.
  func move(to seconds: Int64) throws { try clock.set(Self.start + seconds) }

  /// Every key, less the list that a mark wakes the leader by.
  func contents() async throws -> RedisContents {
    var contents = try await RedisContents.of(server)
    contents.keys[TokenStoreTests.layout.refreshRequests] = nil
    return contents
  }

  /// The fields of the account's record.
  func record() async throws -> [String: String] {
    try await contents()[hash: TokenStoreTests.layout.state(TokenStoreTests.account)]
  }

  /// Carries a step out.
  func outcome(of command: StoreCommand, by store: TokenStore? = nil) async throws -> Outcome {
    let before = try await contents()
    let reply = try await (store ?? self.store).run(command)
    return Outcome(reply: reply, changes: try await contents().changes(since: before))
  }
}

extension String {
  /// The name under which a change of that field of the account's record is told.
  static func record(_ field: String) -> String {
    TokenStoreTests.layout.state(TokenStoreTests.account) + " " + field
  }
}
