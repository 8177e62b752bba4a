package import Logging
package import NIOCore

extension SentinelLocator {
  /// Asks again and again, and at once when a sentinel tells of a fail-over, until the task is
  /// cancelled: connections to a primary that is one no more end then, and not when they fail.
  ///
  /// What sentinels publish is a hint. One that is missed costs no more than `SentinelWatch`'s
  /// interval.
  ///
  /// - Parameter onSight: told of each asking, also of those that attempts to connect make.
  package func watch(
    on eventLoopGroup: any EventLoopGroup, logger: Logger,
    onSight: @escaping @Sendable (SentinelSight) -> Void
  ) async {
    observe(onSight)
    defer { observe(nil) }
    let (hints, hint) = AsyncStream.makeStream(
      of: Void.self, bufferingPolicy: .bufferingNewest(1))
    await withDiscardingTaskGroup { group in
      for sentinel in set.sentinels {
        let subscriber = RedisSubscriber(
          configuration: connection(to: sentinel), eventLoopGroup: eventLoopGroup, logger: logger)
        subscriber.keepAlive(every: SentinelWatch.silence)
        group.addTask { [primary = set.primary] in
          await subscriber.run(
            channels: [SentinelWatch.channel],
            onMessage: { message in
              if SentinelWatch.isAbout(primary, message.payload) { hint.yield() }
            },
            onSubscribed: { hint.yield() })
        }
      }
      group.addTask {
        while !Task.isCancelled {
          try? await Task.sleep(for: SentinelWatch.interval(spread: .random(in: 0..<1)))
          hint.yield()
        }
      }
      let eventLoop = eventLoopGroup.next()
      for await _ in hints {
        _ = try? await locate(by: .now + SentinelWatch.limit, on: eventLoop)
        // Whoever publishes without end is not answered without end.
        try? await Task.sleep(for: SentinelWatch.pause)
      }
      group.cancelAll()
    }
  }
}

/// When the sentinels are asked, and what of that they publish is a reason to.
enum SentinelWatch {
  static let channel = "+switch-master"
  /// A subscription that was silent for so long is asked whether it lives.
  static let silence: Duration = .seconds(10)
  /// One asking takes no longer.
  static let limit: Duration = .seconds(2)
  /// Between two askings at least.
  static let pause: Duration = .milliseconds(100)
  private static let longestInterval: Duration = .seconds(5)

  /// From one asking without a hint to the next; spread, so that replicas that were started
  /// together do not ask together.
  static func interval(spread: Double) -> Duration { longestInterval * (1 - spread / 5) }

  /// Whether a message of `channel` is about this primary: its name, the former and the new place.
  static func isAbout(_ primary: String, _ payload: [UInt8]) -> Bool {
    payload.prefix { $0 != UInt8(ascii: " ") }.elementsEqual(primary.utf8)
  }
}
