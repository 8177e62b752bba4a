import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing
import WeChatSimulator

/// What verbs say of mistakes, and of daemons that are none or that refuse.
@Suite struct VerbAnswerTests {
  /// An account, and addresses at which nobody listens.
  private static let sound = [
    "WCH_APPID": Deployment.appID, "WCH_APPSECRET": Deployment.secret,
    "WCH_API_URL": "http://127.0.0.1:1", "WCH_REDIS_URL": "redis://127.0.0.1:1/0",
    "WCH_HTTP_LISTEN": "127.0.0.1:1",
  ]

  private static func ask(
    _ words: String, _ settings: [String: String] = [:]
  ) async throws -> SidecarProcess {
    let process = try SidecarProcess(
      words.split(separator: " ").map(String.init),
      environment: sound.merging(settings) { $1 }, instance: words)
    _ = try await process.waitForExit(within: patience)
    return process
  }

  // MARK: Mistakes

  @Test(
    "a mistyped option of a verb's own is told the one that was meant",
    arguments: [
      ("check --conect", "--connect"), ("wait --maxx 5s", "--max"),
      ("status --outptu json", "--output"), ("once --mx 5s", "--max"),
      ("token --revael", "--reveal"), ("refresh --force --acount x", "--account"),
      ("acl --raeder", "--reader"), ("status --redis-ulr x", "--redis-url"),
    ])
  func mistyped(words: String, meant: String) async throws {
    let process = try await Self.ask(words)
    #expect(process.exit == .code(78))
    #expect(
      process.errorText.contains("the nearest known one is \(meant)\n"), "\(process.errorText)")
  }

  @Test(
    "options of a verb's own stand before settings or behind them",
    arguments: [
      ("once --max 1s --lease 16s", 69), ("once --lease 16s --max 1s", 69),
      ("once --lease 16s --max=1s", 69), ("wait --lease 16s --max 100ms", 75),
      ("wait --max 100ms --lease 16s", 75), ("wait --lease 16s --max", 64),
      ("wait --lease 16s --max soon", 64), ("token --lease 16s --reveal=1", 64),
      ("once --lease 16s --max soon", 64),
    ])
  func order(words: String, code: Int) async throws {
    let process = try await Self.ask(words)
    #expect(process.exit == .code(code), "\(process.errorText)")
    #expect(!process.errorText.contains("is unknown"), "\(process.errorText)")
  }

  @Test(
    "health ends with 0 or 1 whatever is wrong",
    arguments: [
      "health", "health --live=5", "health --lease 16s --live=5", "health --lvie",
      "health --lease 1", "health nonsense",
    ])
  func health(words: String) async throws {
    let process = try await Self.ask(words)
    #expect(process.exit == .code(1))
    #expect(!process.errorText.isEmpty)
    #expect(process.outputText.isEmpty)
  }

  // MARK: Strangers

  /// Answers every connection with that text, or never when there is none.
  private final class Stranger: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    private let answer: String?

    init(_ answer: String?) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      guard let answer else { return }
      context.channel.writeAndFlush(ByteBuffer(string: answer), promise: nil)
      context.close(promise: nil)
    }
  }

  private static func withStranger(
    _ answer: String?, _ body: (_ listen: String) async throws -> Void
  ) async throws {
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { $0.pipeline.addHandler(Stranger(answer)) }
      .bind(host: "127.0.0.1", port: 0).get()
    let port = try #require(server.localAddress?.port)
    try await body("127.0.0.1:\(port)")
    try await server.close().get()
  }

  @Test(
    "another program at the address is told for what it is",
    arguments: [
      "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
      "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>",
    ])
  func stranger(answer: String) async throws {
    try await Self.withStranger(answer) { listen in
      for (words, code) in [
        ("status", 69), ("status --output json", 69), ("token", 69), ("refresh --force", 69),
        ("health", 1), ("health --live", 1), ("wait --max 2s", 75),
      ] {
        let process = try await Self.ask(words, ["WCH_HTTP_LISTEN": listen])
        #expect(process.exit == .code(code), "\(words): \(process.errorText)")
        #expect(process.errorText.contains("\(listen)"), "\(process.errorText)")
        #expect(process.errorText.contains("not wch-sidecar"), "\(process.errorText)")
        #expect(process.outputText.isEmpty)
      }
    }
  }

  @Test(
    "wait gives up in its time at an address that never answers, or never ends",
    arguments: [nil, "HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n{"])
  func silent(answer: String?) async throws {
    try await Self.withStranger(answer) { listen in
      var best: Duration = .seconds(1000)
      for _ in 0..<3 {
        let process = try await Self.ask("wait --max 300ms", ["WCH_HTTP_LISTEN": listen])
        #expect(process.exit == .code(75), "\(process.errorText)")
        best = min(best, ContinuousClock.now - process.startedAt)
      }
      // Five seconds is what a question of other verbs may take.
      #expect(best < .milliseconds(4900))
    }
  }

  @Test("who asks a daemon with HTTPS in plain HTTP is told so")
  func plainToTLS() async throws {
    try await Deployment.run { deployment in
      let folder = deployment.redis.directory
      let files = [
        ("cert.pem", FixedCertificates.localhost), ("key.pem", FixedCertificates.localhostKey),
      ]
      for (name, text) in files {
        try Data(text.utf8).write(to: folder.appendingPathComponent(name))
      }
      let plain = deployment.environment(instance: "a")
        .merging(["WCH_HTTP_LISTEN": "127.0.0.1:\(try FreePort.pick())"]) { $1 }
      let encrypted = plain.merging([
        "WCH_HTTP_TLS_CERT_FILE": folder.appendingPathComponent("cert.pem").path,
        "WCH_HTTP_TLS_KEY_FILE": folder.appendingPathComponent("key.pem").path,
      ]) { $1 }
      let daemon = try SidecarProcess(environment: encrypted, instance: "a")
      try await daemon.waitForLog("HTTP interface listens")
      for verb in ["status", "token"] {
        let process = try await Self.ask(verb, plain)
        #expect(process.exit == .code(69), "\(process.errorText)")
        #expect(process.errorText.contains("httpTlsCertFile"), "\(process.errorText)")
        #expect(!process.errorText.contains("HTTPClientError"), "\(process.errorText)")
      }
      daemon.terminate()
      #expect(try await daemon.waitForExit() == .code(0))
      // And the other way round.
      let unencrypted = try SidecarProcess(environment: plain, instance: "a")
      try await unencrypted.waitForLog("HTTP interface listens")
      let process = try await Self.ask("status", encrypted)
      #expect(process.exit == .code(69), "\(process.errorText)")
      #expect(process.errorText.contains("httpTlsCertFile"), "\(process.errorText)")
    }
  }

  // MARK: Refusals

  @Test(
    "refresh ends with 77 when WeChat refuses the credentials or the address, and says it once",
    arguments: [(40125, "the AppSecret is wrong"), (40164, "198.51.100.7")])
  func refused(code: Int, word: String) async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 1)
      try await leader.waitForStatus(200, of: "/readyz")
      deployment.simulator.setFault(
        .errorCode(code, message: "invalid ip 198.51.100.7, not in whitelist"), count: nil)
      let process = try await Self.ask(
        "refresh --force", deployment.environment(instance: "a"))
      #expect(process.exit == .code(77), "\(process.errorText)")
      let text = process.errorText
      #expect(text.contains("refresh: WeChat answered with errcode \(code)"), "\(text)")
      #expect(text.contains(word), "\(text)")
      #expect(text.components(separatedBy: "WeChat answered").count == 2, "\(text)")
    }
  }
}
