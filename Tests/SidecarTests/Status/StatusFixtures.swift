import Foundation
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing
import TokenCore

@testable import Sidecar

/// A source whose answers a test sets.
final class FakeSource: StatusSource {
  struct Answers: Sendable {
    var snapshot = StatusSnapshot(
      instance: "host-1", version: "1.2.3", startedAt: Timestamp(second: 1_700_000_000),
      now: Timestamp(second: 1_700_000_060), role: .leader, leader: "host-1", epoch: 4, ticks: 42,
      redis: StatusSnapshot.Redis(isConnected: true, runID: "run"),
      accounts: [
        StatusSnapshot.Account(
          name: .unnamed, hasToken: true, expiresAt: 1_700_007_080, remainingSeconds: 7020,
          refreshesSucceeded: 11, refreshesFailed: 2,
          lastFailure: StatusSnapshot.Failure(
            code: 40164, reason: "invalid ip <script>", requestID: "rid-1",
            at: Timestamp(second: 1_700_000_030)),
          nextRefreshAt: Timestamp(second: 1_700_007_020), phase: "live", fetchedBy: "host-1")
      ])
    var health: [HealthCheck: Health] = [:]
    var readiness = Readiness(of: .any, accounts: [.unnamed], conditions: []) as Readiness?
    var token = TokenAnswer.token(
      AccessToken("tok-123"), expiresAt: 1_700_007_080, expiresIn: 7020)
    var refresh = RefreshAnswer.refreshed(RefreshedToken(account: .unnamed, expiresAt: 1))
    var snapshots = 0
    var asked: [CredentialID] = []
    var requests: [RefreshRequest] = []
  }

  let answers = Mutex(Answers())

  func snapshot() -> StatusSnapshot {
    answers.withLock { answers in
      answers.snapshots += 1
      return answers.snapshot
    }
  }
  func health(_ check: HealthCheck) -> Health {
    answers.withLock { $0.health[check] ?? .good("fine") }
  }
  func readiness(of account: AccountName?) -> Readiness? {
    answers.withLock { answers in
      if let account { answers.asked.append(CredentialID(account)) }
      return answers.readiness
    }
  }
  func token(of account: CredentialID) -> TokenAnswer {
    answers.withLock { answers in
      answers.asked.append(account)
      return answers.token
    }
  }
  func refresh(_ request: RefreshRequest) async -> RefreshAnswer {
    answers.withLock { answers in
      answers.requests.append(request)
      return answers.refresh
    }
  }
}

/// A logger that says nothing.
let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Settings of the HTTP interface.
func httpSettings(
  _ listen: ListenAddress = .tcp(host: "127.0.0.1", port: 0), bearer: String? = nil,
  tls: Settings.TLSFiles? = nil
) -> Settings.HTTP {
  Settings.HTTP(listen: listen, tls: tls, bearer: bearer.map { .value(Secret($0)) })
}

/// Runs a server while a test uses it.
func withStatusServer(
  _ settings: Settings.HTTP = httpSettings(), source: FakeSource = FakeSource(),
  metrics: MetricsRegistry = MetricsRegistry(readProcess: { nil }),
  connectionLimit: Int? = nil, certificateInterval: Duration = .zero,
  _ body: (_ port: Int) async throws -> Void
) async throws {
  let executor = LoopExecutor()
  let (listening, announce) = AsyncThrowingStream.makeStream(of: Int.self)
  let server = StatusServer(
    settings: settings, source: source, metrics: metrics, logger: quietLogger,
    executor: executor, connectionLimit: connectionLimit,
    certificateInterval: certificateInterval, whenListening: { announce.yield($0 ?? 0) })
  let group = ServiceGroup(services: [Confined(server, to: executor)], logger: quietLogger)
  let running = Task {
    do {
      try await group.run()
      announce.finish()
    } catch {
      announce.finish(throwing: error)
      throw error
    }
  }
  do {
    var ports = listening.makeAsyncIterator()
    guard let port = try await ports.next() else {
      Issue.record("the server ended before it listened")
      return
    }
    try await body(port)
  } catch {
    await group.triggerGracefulShutdown()
    _ = try? await running.value
    try await executor.shutdown()
    throw error
  }
  await group.triggerGracefulShutdown()
  try await running.value
  try await executor.shutdown()
}

/// What a server answered.
struct Reply: Sendable {
  let status: Int
  /// Names in lower case.
  let headers: [String: String]
  let body: String

  init(_ text: String) throws {
    let end = try #require(text.firstRange(of: "\r\n\r\n"), "no end of the head in: \(text)")
    let lines = text[..<end.lowerBound].split(separator: "\r\n")
    status = try #require(lines.first.flatMap { Int($0.split(separator: " ")[1]) })
    headers = Dictionary(
      lines.dropFirst().map { line in
        let parts = line.split(separator: ":", maxSplits: 1)
        return (parts[0].lowercased(), parts[1].trimmingCharacters(in: .whitespaces))
      }
    ) { $0 + "," + $1 }
    body = String(text[end.upperBound...])
  }

  func json() throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
  }
}

/// Sends one request as it stands and reads until the server hangs up.
func send(
  _ text: String, to address: SocketAddress, trusting certificate: [UInt8]? = nil
) async throws -> Reply {
  let loop = MultiThreadedEventLoopGroup.singleton.next()
  let promise = loop.makePromise(of: String.self)
  let channel = try await ClientBootstrap(group: loop)
    .connectTimeout(TimeAmount(patience))
    .channelInitializer { channel in
      channel.eventLoop.makeCompletedFuture {
        if let certificate {
          var configuration = TLSConfiguration.makeClientConfiguration()
          configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(certificate))
          try channel.pipeline.syncOperations.addHandler(
            NIOSSLClientHandler(
              context: NIOSSLContext(configuration: configuration), serverHostname: "localhost"))
        }
        try channel.pipeline.syncOperations.addHandler(GatheringHandler(promise))
      }
    }
    .connect(to: address).get()
  // A server that neither answers nor hangs up fails the test instead of stopping it.
  let deadline = loop.scheduleTask(in: TimeAmount(patience)) { channel.close(promise: nil) }
  defer { deadline.cancel() }
  channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
  return try Reply(try await promise.futureResult.get())
}

/// Asks a server on this host; the connection is closed after the answer.
func ask(
  _ path: String, by method: String = "GET", port: Int, host: String = "127.0.0.1",
  headers: [String] = [], body: String = ""
) async throws -> Reply {
  var lines = ["\(method) \(path) HTTP/1.1", "Connection: close"] + headers
  if !headers.contains(where: { $0.hasPrefix("Host:") }) { lines.append("Host: \(host):\(port)") }
  if !body.isEmpty { lines.append("Content-Length: \(body.utf8.count)") }
  return try await send(
    lines.joined(separator: "\r\n") + "\r\n\r\n" + body,
    to: SocketAddress(ipAddress: host, port: port))
}

/// The status that a server on this host answers with.
func statusCode(
  of path: String, by method: String = "GET", port: Int, host: String = "127.0.0.1",
  headers: [String] = [], body: String = ""
) async throws -> Int {
  try await ask(path, by: method, port: port, host: host, headers: headers, body: body).status
}

/// Gathers everything until the connection closes.
private final class GatheringHandler: ChannelInboundHandler, Sendable {
  typealias InboundIn = ByteBuffer
  private let promise: EventLoopPromise<String>
  private let gathered = Mutex(ByteBuffer())
  init(_ promise: EventLoopPromise<String>) { self.promise = promise }
  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var part = unwrapInboundIn(data)
    _ = gathered.withLock { $0.writeBuffer(&part) }
  }
  func channelInactive(context: ChannelHandlerContext) {
    promise.succeed(gathered.withLock { String(buffer: $0) })
  }
  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    promise.fail(error)
    context.close(promise: nil)
  }
}

/// A folder for a test, removed at its end.
func withTemporaryFolder(_ body: (String) async throws -> Void) async throws {
  // Unix sockets need a short path.
  let folder = FileManager.default.temporaryDirectory
    .appendingPathComponent("wch-\(UInt32.random(in: .min ... .max))").path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  try await body(folder)
}
