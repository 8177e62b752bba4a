package import Logging
package import RedisClient
import ServiceLifecycle
import TokenCore
import UnixSignals

/// The whole daemon, put together from its settings.
package struct Daemon {
  private let settings: Settings
  private let redis: RedisConfiguration
  private let output: LogOutput
  private let supervisor: Supervisor?
  private let environment: [String: String]
  private let readAgain: @Sendable () throws(SettingsError) -> Settings
  private let logger: Logger
  private let version: String

  /// Takes settings that were judged; nothing runs yet.
  ///
  /// - Parameters:
  ///   - output: where the logger writes: opened anew at SIGHUP.
  ///   - environment: says whether a supervisor listens; programs that take tokens have the rest.
  ///   - readAgain: reads the settings as at the start, at SIGHUP.
  package init(
    settings: Settings, redis: RedisConfiguration, version: String, output: LogOutput,
    environment: [String: String], logger: Logger,
    readAgain: @escaping @Sendable () throws(SettingsError) -> Settings
  ) {
    self.settings = settings
    self.redis = redis
    self.version = version
    self.output = output
    self.readAgain = readAgain
    self.environment = environment
    supervisor = Supervisor(environment: environment)
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
    let certificates = try files(parts.health)
    let server = StatusServer(
      settings: settings.http, source: KeeperGauges(status: status, metrics: parts.metrics),
      metrics: parts.metrics, logger: logger, executor: answering, certificates: certificates,
      whenListening: { _ in listening.open() })
    logger.tell(
      .processStarting, "wch-sidecar starts",
      .keyed([
        .version: "\(version)", .instance: "\(settings.instance)",
        .redisEndpoint: "\(redis.endpoint)", .httpListen: "\(settings.http.listen)",
        .accountCount: .number(settings.accounts.count),
      ]))
    // Shut down in reverse order: the keeper first gives the lock back, then the rest ends. Who
    // cannot listen must not have been a candidate: nothing goes to Redis before.
    let group = ServiceGroup(
      configuration: .init(
        services: [
          .init(
            service: Reloading(
              output: output, logger: logger, settings: settings, certificates: certificates,
              accounts: parts.accounts, health: parts.health, supervisor: supervisor,
              read: readAgain)),
          .init(service: Confined(Gated(parts.links, behind: listening), to: keeping)),
          .init(service: Confined(server, to: answering)),
          .init(service: parts.secrets),
          .init(service: watch(certificates, parts.health)),
          .init(service: HealthWatch(parts)),
          .init(
            service: OutputService(
              parts, settings: settings, environment: environment, logger: logger)),
          .init(
            service: Confined(Gated(parts.service, behind: listening), to: keeping),
            successTerminationBehavior: .gracefullyShutdownGroup),
          .init(
            service: SupervisorWatch(
              supervisor: supervisor, listening: listening, check: { status.health($0) },
              verdict: { status.verdict }),
            successTerminationBehavior: .ignore),
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
    logger.tell(.processEnded, "wch-sidecar has ended in order")
  }

  /// The certificate of the HTTP interface, if it has one.
  private func files(_ health: HealthCenter) throws(StatusServerError) -> CertificateFiles? {
    guard settings.http.listen != .off, let tls = settings.http.tls else { return nil }
    return try CertificateFiles(
      tls, logger: logger,
      isBad: { health.file(.certificateUnusable, tls.certificate, reason: $0) })
  }

  private func watch(
    _ certificates: CertificateFiles?, _ health: HealthCenter
  ) -> CertificateWatch {
    CertificateWatch(
      certificates: certificates,
      sets: [.authorities(of: settings), .redis(redis.endpoint)].compactMap(\.self),
      interval: settings.timing.tick, tell: { health.file(.certificateUnusable, $0, reason: $1) })
  }

  /// The group tells every step of its own; what matters we say ourselves.
  private func quiet(_ logger: Logger) -> Logger {
    var logger = logger
    logger.logLevel = max(logger.logLevel, .warning)
    return logger
  }
}
