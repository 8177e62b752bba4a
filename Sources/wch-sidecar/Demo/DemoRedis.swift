import Logging
import NIOPosix
import RedisClient
import Sidecar
import Synchronization
import TokenCore

/// The demo's own connections to its Redis: it reads what any application could read.
final class DemoRedis: Sendable {
  /// A key's value and life.
  struct Key: Hashable, Sendable {
    var value: String?
    /// Nil without the key.
    var life: Duration?
  }

  /// The keys of one moment.
  struct Keys: Hashable, Sendable {
    var token = Key()
    var expiresIn = Key()
    var leader = Key()
    /// What other accounts have.
    var others: [Other] = []
  }

  /// The key of a credential that the application does not use.
  struct Other: Hashable, Sendable {
    let name: String
    let key: Key
  }

  let layout = KeyLayout(prefix: "WCH_")
  private let others: [CredentialID]
  private let client: RedisClient
  private let subscriber: RedisSubscriber
  /// Protects the messages that came since the last look.
  private let messages = Mutex<[String]>([])

  /// More than this between two looks is not for human eyes.
  private static let mostMessages = 100
  /// How long one command may take.
  private static let patience: Duration = .seconds(2)

  init(port: Int, others: [CredentialID] = []) throws {
    self.others = others
    let configuration = RedisConfiguration(
      endpoint: try RedisEndpoint(url: "redis://127.0.0.1:\(port)/0"))
    let logger = Logger(label: "demo") { _ in SwiftLogNoOpLogHandler() }
    let group = MultiThreadedEventLoopGroup.singleton
    client = RedisClient(configuration: configuration, eventLoopGroup: group, logger: logger)
    subscriber = RedisSubscriber(
      configuration: configuration, eventLoopGroup: group, logger: logger)
  }

  /// Keeps the connections until cancelled.
  func run() async {
    await withTaskGroup { group in
      group.addTask { await self.client.run() }
      group.addTask {
        await self.subscriber.run(
          channels: [self.layout.events],
          onMessage: { message in
            self.messages.withLock { messages in
              guard messages.count < Self.mostMessages else { return }
              messages.append(String(decoding: message.payload, as: UTF8.self))
            }
          },
          onSubscribed: {})
      }
      await group.waitForAll()
    }
  }

  /// The messages of `WCH_events` since the last time.
  func hear() -> [String] {
    messages.withLock { messages in
      defer { messages = [] }
      return messages
    }
  }

  /// Reads everything that is shown, in one go; nil when Redis does not answer.
  func look() async -> Keys? {
    let names =
      [layout.accessToken(.unnamed), layout.expiresIn(.unnamed), layout.leader]
      + others.map { layout.key(.credential, $0) }
    let commands = names.flatMap { [RedisCommand("GET", $0), RedisCommand("PTTL", $0)] }
    guard let replies = try? await execute(commands) else { return nil }
    func key(_ index: Int) -> Key {
      let life = replies[index * 2 + 1].number ?? -1
      return Key(
        value: replies[index * 2].text, life: life >= 0 ? .milliseconds(life) : nil)
    }
    return Keys(
      token: key(0), expiresIn: key(1), leader: key(2),
      others: others.indices.map { Other(name: "\(others[$0])", key: key(3 + $0)) })
  }

  /// Reads the token as an application does; nil when there is none.
  func token() async throws(RedisError) -> String? {
    try await execute([RedisCommand("GET", layout.accessToken(.unnamed))])[0].text
  }

  /// Reports a token that WeChat refused.
  func report(_ token: String) async throws(RedisError) {
    _ = try await execute([RedisCommand("RPUSH", layout.refreshRequests, token)])
  }

  /// Removes every key.
  func wipe() async throws(RedisError) { _ = try await execute([RedisCommand("FLUSHALL")]) }

  private func execute(_ commands: [RedisCommand]) async throws(RedisError) -> [RedisReply] {
    try await client.execute(
      commands, deadline: .now + Self.patience, waitForConnection: true)
  }
}
