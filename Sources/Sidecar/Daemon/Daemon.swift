package import Logging
package import RedisClient
import ServiceLifecycle
import UnixSignals

/// The whole daemon, put together from its settings.
package struct Daemon {
  private let settings: Settings
  private let redis: RedisConfiguration
  private let logger: Logger
  private let version: String

  /// Takes settings that were judged; nothing runs yet.
  package init(
    settings: Settings, redis: RedisConfiguration, version: String, logger: Logger
  ) {
    self.settings = settings
    self.redis = redis
    self.version = version
    self.logger = logger
  }

  /// Runs until SIGTERM or SIGINT, then gives the lock back and returns.
  ///
  /// - Throws: `StatusServerError` when the HTTP interface cannot start.
  package func run() async throws {
    let parts = Parts(settings: settings, redis: redis, version: version, logger: logger)
    let status = KeeperStatus(
      parts, settings: settings, version: version, startedAt: .now)
    let server = StatusServer(
      settings: settings.http, source: KeeperGauges(status: status, metrics: parts.metrics),
      metrics: parts.metrics, logger: logger)
    logger.notice(
      "wch-sidecar starts",
      metadata: .keyed([
        .version: "\(version)", .instance: "\(settings.instance)",
        .redisEndpoint: "\(redis.endpoint)", .httpListen: "\(settings.http.listen)",
        .count: "\(settings.accounts.count)",
      ]))
    // Shut down in reverse order: the keeper first gives the lock back, then the rest ends.
    let group = ServiceGroup(
      configuration: .init(
        services: [
          .init(service: parts.links), .init(service: server), .init(service: parts.secrets),
          .init(service: parts.service, successTerminationBehavior: .gracefullyShutdownGroup),
        ],
        gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet(logger)))
    do {
      try await group.run()
    } catch {
      await parts.weChat.shutdown()
      throw error
    }
    await parts.weChat.shutdown()
    logger.notice("wch-sidecar has ended in order")
  }

  /// The group tells every step of its own; what matters we say ourselves.
  private func quiet(_ logger: Logger) -> Logger {
    var logger = logger
    logger.logLevel = max(logger.logLevel, .warning)
    return logger
  }
}
