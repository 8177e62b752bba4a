package import Logging
package import RedisClient
import ServiceLifecycle
import UnixSignals

/// The whole daemon, put together from its settings.
package struct Daemon {
  private let settings: Settings
  private let redis: RedisConfiguration
  private let output: LogOutput
  private let logger: Logger
  private let version: String

  /// Takes settings that were judged; nothing runs yet.
  ///
  /// - Parameter output: where the logger writes: opened anew at SIGHUP.
  package init(
    settings: Settings, redis: RedisConfiguration, version: String, output: LogOutput,
    logger: Logger
  ) {
    self.settings = settings
    self.redis = redis
    self.version = version
    self.output = output
    self.logger = logger
  }

  /// Runs until SIGTERM or SIGINT, then gives the lock back and returns.
  ///
  /// - Throws: `StatusServerError` when the HTTP interface cannot start.
  package func run() async throws {
    // Two threads, whatever the number of processors: one keeps tokens, the other answers whoever
    // asks, and can be kept busy by them without any harm to the first.
    let (keeping, answering) = (LoopExecutor(), LoopExecutor())
    let parts = Parts(
      settings: settings, redis: redis, version: version, logger: logger,
      executor: keeping)
    let status = KeeperStatus(
      parts, settings: settings, version: version, startedAt: .now, timers: answering.eventLoop)
    let listening = Gate()
    let server = StatusServer(
      settings: settings.http, source: KeeperGauges(status: status, metrics: parts.metrics),
      metrics: parts.metrics, logger: logger, executor: answering,
      certificateJudged: { [health = parts.health, files = settings.http.tls] problem in
        guard let files else { return }
        health.file(.certificateUnusable, files.certificate, reason: problem)
      },
      whenListening: { _ in listening.open() })
    logger.notice(
      "wch-sidecar starts",
      metadata: .keyed([
        .version: "\(version)", .instance: "\(settings.instance)",
        .redisEndpoint: "\(redis.endpoint)", .httpListen: "\(settings.http.listen)",
        .count: "\(settings.accounts.count)",
      ]))
    // Shut down in reverse order: the keeper first gives the lock back, then the rest ends. Who
    // cannot listen must not have been a candidate: nothing goes to Redis before.
    let group = ServiceGroup(
      configuration: .init(
        services: [
          .init(service: LogReopening(output: output, logger: logger)),
          .init(service: Confined(Gated(parts.links, behind: listening), to: keeping)),
          .init(service: Confined(server, to: answering)),
          .init(service: parts.secrets),
          .init(service: HealthWatch(parts)),
          .init(
            service: Confined(Gated(parts.service, behind: listening), to: keeping),
            successTerminationBehavior: .gracefullyShutdownGroup),
        ],
        gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet(logger)))
    do {
      try await group.run()
    } catch {
      await parts.weChat.shutdown()
      throw error
    }
    await parts.weChat.shutdown()
    try await answering.shutdown()
    try await keeping.shutdown()
    logger.notice("wch-sidecar has ended in order")
  }

  /// The group tells every step of its own; what matters we say ourselves.
  private func quiet(_ logger: Logger) -> Logger {
    var logger = logger
    logger.logLevel = max(logger.logLevel, .warning)
    return logger
  }
}
