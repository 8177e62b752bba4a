import Foundation
import Logging
import NIOPosix
import RedisClient
import Synchronization
import TestSupport
import Testing
import WeChatSimulator

/// What `WCH_events` says.
@Suite struct EventTests {
  @Test("each change is told on the channel, in these words, and never the token")
  func wholeMessages() async throws {
    try await Deployment.run { deployment in
      try await deployment.withListener { said in
        let replica = try deployment.start("a")
        let token = try await deployment.waitForLiveToken()
        let first = try #require(try await deployment.keys().expiresIn)
        let leads = #"{"event":"leader","instance":"a"}"#
        try await said.wait(for: [leads, Self.published(until: first)])

        // Another second, so that the two expiries differ.
        try await waitUntil("another second", within: patience) {
          (try await deployment.ask("TIME").elements?.first?.number ?? 0) > first - 7080
        }
        try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
        // An earlier one is the old token's, whose life is short while the fetch is under way.
        let second = try await waited(for: "a later expiry", within: patience) {
          try await deployment.keys().expiresIn.flatMap { $0 > first ? $0 : nil }
        }
        try await said.wait(
          for: [leads, Self.published(until: first), Self.published(until: second)])

        replica.terminate()
        #expect(try await replica.waitForExit() == .code(0))
        try await said.wait(
          for: [
            leads, Self.published(until: first), Self.published(until: second),
            #"{"event":"leader","instance":null}"#,
          ])
        for minted in deployment.simulator.audit.mints().compactMap(\.token) {
          #expect(!said.messages.contains { $0.contains(minted) })
        }
      }
    }
  }

  private static func published(until second: Int64) -> String {
    #"{"event":"token","account":"default","expires_at":\#(second)}"#
  }
}

/// What was said on a channel, in order.
private final class Said: Sendable {
  /// Protects the list: written by the subscriber's event loop, read by the test.
  private let list = Mutex<[String]>([])
  private let confirmed = Mutex(false)

  var messages: [String] { list.withLock { $0 } }
  var isListening: Bool { confirmed.withLock { $0 } }

  func hear(_ message: RedisMessage) {
    list.withLock { $0.append(String(decoding: message.payload, as: UTF8.self)) }
  }
  func confirm() { confirmed.withLock { $0 = true } }

  /// Waits until so many messages came; they are these, and no others.
  func wait(for expected: [String]) async throws {
    try await waitUntil("\(expected.count) messages", within: patience) {
      messages.count >= expected.count
    }
    #expect(messages == expected)
  }
}

extension Deployment {
  /// Runs the body with an application's subscription to `WCH_events`.
  fileprivate func withListener(
    _ body: @escaping @Sendable (Said) async throws -> Void
  ) async throws {
    let said = Said()
    let subscriber = RedisSubscriber(
      configuration: RedisConfiguration(endpoint: redis.endpoint),
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: Logger(label: "test"))
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        await subscriber.run(
          channels: ["WCH_events"], onMessage: { said.hear($0) }, onSubscribed: { said.confirm() })
      }
      defer { group.cancelAll() }
      try await waitUntil("the subscription", within: patience) { said.isListening }
      try await body(said)
    }
  }
}
