import Foundation
import NIOCore
import NIOPosix
import RedisClient
import Synchronization
import TestSupport
import Testing
import WeChatSimulator

/// What stands between the program and WeChat in the real world: caches, proxies, machines without
/// a CA bundle or without descriptors, and lists of addresses.
///
/// Needs nginx, haproxy, tinyproxy, squid, and mount namespaces.
@Suite(
  "Ways to WeChat, attacked", .serialized,
  .enabled(if: ProcessInfo.processInfo.environment["WCH_ATTACK"] != nil))
struct WeChatPathTests {
  private static let failed = "WeChat gave no token; what Redis has stays"

  /// Runs a server with that configuration until the body ends.
  private func withServer<Result>(
    _ command: [String], listeningOn port: Int, in deployment: Deployment, configuration: String,
    _ body: () async throws -> Result
  ) async throws -> Result {
    let file = deployment.redis.directory.appendingPathComponent("\(port).conf")
    try Data(configuration.utf8).write(to: file)
    let server = try ChildProcess(command.map { $0 == "FILE" ? file.path : $0 })
    defer { server.end(SIGTERM) }
    try await waitUntil("\(command[0]) listens", within: .seconds(30)) {
      guard server.isRunning else { throw SidecarProcess.Failure("\(command[0]) ended") }
      let trial = try? await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(host: "127.0.0.1", port: port).get()
      try? await trial?.close().get()
      return trial != nil
    }
    return try await body()
  }

  @Test("a cache before WeChat makes no token outlive its life, and is told once")
  func cache() async throws {
    try await Deployment.run(life: 40_000) { deployment in
      let port = try FreePort.pick()
      let directory = deployment.redis.directory.path
      let configuration = """
        worker_processes 1; daemon off; master_process off; pid \(directory)/nginx.pid;
        error_log /dev/null;
        events { worker_connections 64; }
        http {
          access_log off;
          client_body_temp_path \(directory)/b; proxy_temp_path \(directory)/p;
          fastcgi_temp_path \(directory)/f; uwsgi_temp_path \(directory)/u;
          scgi_temp_path \(directory)/s;
          proxy_cache_path \(directory)/cache keys_zone=kept:1m;
          server {
            listen 127.0.0.1:\(port);
            location / {
              proxy_pass \(deployment.weChat.url);
              proxy_cache kept; proxy_cache_valid 200 40s;
              proxy_cache_methods GET; proxy_cache_key $request_uri;
            }
          }
        }
        """
      try await withServer(
        ["nginx", "-c", "FILE", "-p", directory], listeningOn: port, in: deployment,
        configuration: configuration
      ) {
        try await deployment.withReader { reader in
          let replica = try deployment.start(
            "a", ["WCH_API_URL": "http://127.0.0.1:\(port)", "WCH_LOG_LEVEL": "info"])
          try await deployment.waitForLiveToken()
          // Two lives and a half: the first repetition comes after 25 s.
          let dead = try await firstExcept(for: .seconds(100)) {
            reader.deadReadings > 0 ? reader.changes.last : nil
          }
          #expect(dead == nil)
          let told = replica.log.filter {
            $0.fields["error"]?.contains("is there a cache before WeChat?") == true
          }
          #expect(told.first?.level == "warning")
          #expect((1...3).contains(told.count), "once in each row of repetitions")
          #expect(!replica.errorText.contains("confirmed by WeChat"))
          #expect(reader.tokens.count >= 2)
          print(
            "figure: cache before WeChat: \(reader.deadReadings) readings dead,"
              + " \(reader.missingReadings) missing, \(reader.liveReadings) live,"
              + " told \(told.count) times")
        }
      }
    }
  }

  @Test("real proxies let the call through", arguments: ["haproxy", "tinyproxy", "squid"])
  func proxies(name: String) async throws {
    try await Deployment.run { deployment in
      try await deployment.withEncryptedWeChat { weChat in
        let port = try FreePort.pick()
        let behind = try await ConnectProxy.start()
        let (command, configuration) =
          switch name {
          case "haproxy":
            (
              ["haproxy", "-db", "-f", "FILE"],
              """
              defaults
                mode http
                timeout connect 5s
                timeout client 10s
                timeout server 10s
              frontend in
                bind 127.0.0.1:\(port)
                default_backend out
              backend out
                server behind 127.0.0.1:\(behind.port)

              """
            )
          case "tinyproxy":
            (
              ["tinyproxy", "-d", "-c", "FILE"],
              """
              Port \(port)
              Listen 127.0.0.1
              Timeout 10
              MaxClients 10
              LogLevel Error
              Allow 127.0.0.1
              ConnectPort \(weChat)

              """
            )
          default:
            (
              ["squid", "-N", "-f", "FILE"],
              """
              http_port 127.0.0.1:\(port)
              http_access allow all
              cache deny all
              access_log none
              cache_log /dev/null
              cache_store_log none
              pid_filename none
              pinger_enable off
              shutdown_lifetime 1 seconds
              hosts_file /etc/hosts

              """
            )
          }
        try await withServer(
          command, listeningOn: port, in: deployment, configuration: configuration
        ) {
          try deployment.start(
            "a",
            [
              "WCH_API_URL": "https://localhost:\(weChat)",
              "WCH_API_CA_FILE": try deployment.authorityFile(),
              "WCH_API_PROXY": "http://127.0.0.1:\(port)",
            ])
          try await deployment.waitForLiveToken()
          #expect(deployment.simulator.audit.mints().count == 1)
        }
        await behind.stop()
      }
    }
  }

  @Test("what a real proxy refuses is told with its status")
  func refusal() async throws {
    try await Deployment.run { deployment in
      let port = try FreePort.pick()
      try await withServer(
        ["tinyproxy", "-d", "-c", "FILE"], listeningOn: port, in: deployment,
        configuration: """
          Port \(port)
          Listen 127.0.0.1
          LogLevel Error
          Allow 127.0.0.1
          ConnectPort 1

          """
      ) {
        let replica = try deployment.start(
          "a",
          [
            "WCH_API_URL": "https://localhost:4433",
            "WCH_API_PROXY": "http://127.0.0.1:\(port)",
          ])
        let line = try await replica.waitForLog(Self.failed)
        #expect(
          line.fields["error"]?.contains("the proxy answered 403 Forbidden to CONNECT") == true,
          "\(line.text)")
      }
    }
  }

  // MARK: Namespaces

  /// A command that runs another with these done to its own view of the file system.
  private func namespace(_ script: String) -> [String] {
    ["/usr/bin/unshare", "-m", "/bin/sh", "-c", "\(script) && exec \"$0\" \"$@\""]
  }

  @Test("without a CA bundle the given file suffices, and its absence is told in words")
  func noBundle() async throws {
    try await Deployment.run { deployment in
      try await deployment.withEncryptedWeChat { port in
        let hidden = namespace("/bin/mount -t tmpfs none /etc/ssl")
        let settings = ["WCH_API_URL": "https://localhost:\(port)"]
        func environment(_ more: [String: String]) -> [String: String] {
          deployment.environment(instance: "a").merging(settings) { $1 }.merging(more) { $1 }
        }
        let bare = try SidecarProcess(environment: environment([:]), launcher: hidden)
        let line = try await bare.waitForLog(Self.failed)
        #expect(line.fields["error"]?.contains("this machine has no CA bundle") == true)
        #expect(
          line.fields["error"]?.contains("/etc/ssl/certs/ca-certificates.crt") == true,
          "\(line.text)")
        #expect(line.fields["error"]?.contains("WCH_API_CA_FILE") == true)
        bare.terminate()
        #expect(try await bare.waitForExit() == .code(0))
        let check = try SidecarProcess(
          ["check"], environment: environment([:]), launcher: hidden)
        #expect(try await check.waitForExit() == .code(0))
        #expect(check.errorText.contains("warning: this machine has no CA bundle"))

        let authority = ["WCH_API_CA_FILE": try deployment.authorityFile()]
        let given = try SidecarProcess(environment: environment(authority), launcher: hidden)
        try await deployment.waitForLiveToken()
        given.terminate()
        #expect(try await given.waitForExit() == .code(0))
      }
    }
  }

  @Test("without a CA bundle Redis's ca_file suffices, and its absence is told in words")
  func noBundleForRedis() async throws {
    try await Deployment.run { deployment in
      let directory = deployment.redis.directory
      func file(_ name: String, _ text: String) throws -> String {
        let file = directory.appendingPathComponent(name)
        try Data(text.utf8).write(to: file)
        return file.path
      }
      let server = try await RedisServer.start(tlsArguments: [
        "--tls-cert-file", try file("server.pem", FixedCertificates.localhost),
        "--tls-key-file", try file("server.key", FixedCertificates.localhostKey),
        "--tls-ca-cert-file", try deployment.authorityFile(), "--tls-auth-clients", "no",
      ])
      defer { server.stop() }
      let port = try #require(server.tlsPort)
      let hidden = namespace("/bin/mount -t tmpfs none /etc/ssl")
      func start(_ parameters: String) throws -> SidecarProcess {
        let url = ["WCH_REDIS_URL": "rediss://localhost:\(port)/0\(parameters)"]
        let environment = deployment.environment(instance: "a").merging(url) { $1 }
        return try SidecarProcess(environment: environment, launcher: hidden)
      }
      let bare = try start("")
      let line = try await bare.waitForLog("Redis cannot be reached; trying again")
      for words in ["no CA bundle", "/etc/ssl/certs/ca-certificates.crt", "ca_file"] {
        #expect(line.text.contains(words), "\(words) is not in \(line.text)")
      }
      bare.terminate()
      #expect(try await bare.waitForExit() == .code(0))

      let given = try start("?ca_file=\(try deployment.authorityFile())")
      try await waitUntil("a token", within: .seconds(20)) {
        try await server.command("GET", "WCH_access_token").text != nil
      }
      given.terminate()
      #expect(try await given.waitForExit() == .code(0))
    }
  }

  @Test("out of descriptors a due fetch waits for them, says so, and goes on at once")
  func descriptors() async throws {
    try await Deployment.run { deployment in
      let replica = try deployment.start("a")
      let token = try await deployment.waitForLiveToken()
      let limit = "--nofile=3:"
      #expect(try ChildProcess(["prlimit", "--pid", "\(replica.id)", limit]).succeeds())
      _ = try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
      let line = try await replica.waitForLog(Self.failed, within: .seconds(20))
      let words = "too many open files in this process (ulimit -n)"
      #expect(line.fields["error"]?.contains(words) == true, "\(line.text)")
      let back = "--nofile=1024:"
      #expect(try ChildProcess(["prlimit", "--pid", "\(replica.id)", back]).succeeds())
      let start = ContinuousClock.now
      try await waitUntil("another token", within: .seconds(10)) {
        try await deployment.token().map { $0 != token } ?? false
      }
      print("figure: descriptors are back: token after \(ContinuousClock.now - start)")
      #expect(ContinuousClock.now - start < .seconds(3))
    }
  }

  @Test("40164 over one family has the other asked at once, once, and the one that works is kept")
  func families() async throws {
    try await Deployment.run { deployment in
      let port = deployment.weChat.ports[0]
      let counter = Counter()
      let other = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .childChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(Refuser(counter))
          }
        }
        .bind(host: "::1", port: port).get()
      let hosts = deployment.redis.directory.appendingPathComponent("hosts")
      try Data("127.0.0.1 localhost dual.test\n::1 dual.test\n".utf8).write(to: hosts)
      let replica = try SidecarProcess(
        environment: deployment.environment(instance: "a").merging([
          "WCH_API_URL": "http://dual.test:\(port)", "WCH_PROBE": "1s",
        ]) { $1 }, launcher: namespace("/bin/mount --bind \(hosts.path) /etc/hosts"))
      try await deployment.waitForLiveToken()
      #expect(counter.count == 1, "the address of IPv6 was refused once")
      let line = try await replica.waitForLog(Self.failed)
      #expect(line.fields["error"]?.contains("IPv4 is tried next") == true, "\(line.text)")
      let told = try await replica.waitForLog(
        "WeChat refused this machine's address, and takes the one of the other family")
      #expect(told.fields["wechat.egress_address"] == "2001:db8::7", "\(told.text)")
      // What worked is kept: by probes, and by the next fetch.
      try await deployment.simulator.waitUntilAudit("a probe") { $0.requests(to: .quota) >= 1 }
      let token = try #require(try await deployment.token())
      _ = try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
      try await waitUntil("another token", within: .seconds(40)) {
        try await deployment.token().map { $0 != token } ?? false
      }
      #expect(counter.count == 1)
      replica.terminate()
      #expect(try await replica.waitForExit() == .code(0))
      try await other.close().get()
    }
  }

  private final class Counter: Sendable {
    private let requests = Atomic(0)
    var count: Int { requests.load(ordering: .relaxed) }
    func add() { requests.add(1, ordering: .relaxed) }
  }

  /// A WeChat that has our other address on no list.
  private final class Refuser: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let counter: Counter
    init(_ counter: Counter) { self.counter = counter }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      counter.add()
      let body =
        #"{"errcode":40164,"errmsg":"invalid ip 2001:db8::7, not in whitelist rid: 1-2-3"}"#
      let text = "HTTP/1.1 200 OK\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }
  }
}
