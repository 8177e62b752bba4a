import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

@Suite struct SecrecyTests {
  private static let bearer = "bearer-8b6f1d0c4e"
  private static let password = "redis-5d41402abc"

  @Test("secrets and tokens show up nowhere but in the key and in /v1/token")
  func nowhere() async throws {
    try await Deployment.run { deployment in
      let user = ["ACL", "SETUSER", "sidecar", "on", ">\(Self.password)", "~*", "&*", "+@all"]
      let reply = try await deployment.client.execute(
        RedisCommand(user[0], Array(user.dropFirst())), deadline: .now + .seconds(5),
        waitForConnection: true)
      #expect(reply.refusal == nil)
      let settings = [
        "WCH_TICKETS": "jsapi,wx_card",
        "WCH_LOG_LEVEL": "trace", "WCH_HTTP_BEARER": Self.bearer, "WCH_PROBE": "1s",
        // Tells everything that it was told.
        "WCH_EXEC": #"["/bin/sh", "-c", "cat; echo; env"]"#, "WCH_EXEC_ON": "all",
        "WCH_REDIS_URL": "redis://sidecar:\(Self.password)@127.0.0.1:\(deployment.redis.port)/0",
        // A crash is to say all that it would ever say. A static program does not find the
        // toolchain's part that says it.
        "SWIFT_BACKTRACE": "enable=yes,threads=all,registers=all,images=all,interactive=no,"
          + "color=no,symbolicate=off,swift-backtrace=\(try Self.backtracer())",
      ]
      // Not the deployment's own, which may not crash.
      let processes = try ["a", "b"].map { name in
        let environment = deployment.environment(instance: name).merging(settings) { $1 }
        let listen = try #require(environment["WCH_HTTP_LISTEN"])
        return try SidecarProcess(
          environment: environment, instance: name, socket: String(listen.dropFirst(5)))
      }
      try await deployment.waitForLiveToken()
      try await waitUntil("both tickets are there", within: patience) {
        try await deployment.ask("EXISTS", "WCH_jsapi_ticket", "WCH_wx_card_ticket").number == 2
      }
      let leader = try #require(processes.first)
      var pages = try await Self.provoke(leader, deployment)
      for process in processes {
        for path in ["/", "/v1/status", "/metrics", "/livez", "/readyz", "/startupz", "/nothing"] {
          let answer = try await process.get(path)
          pages.append(answer.head + answer.body)
        }
      }
      pages += try Self.commandLines(atLeast: processes.count)

      var crashes: [String] = []
      // Every process tells what it would in a crash. A signal from outside is not the end of it:
      // Swift's handler returns when it has told all.
      for process in processes {
        process.abort()
        try await waitUntil("the backtrace of \(process.instance)", within: patience) {
          process.errorText.contains("Backtrace took") || process.exit != nil
        }
        process.kill()
        let crash = process.errorText + process.outputText
        #expect(crash.contains("Program crashed"), "it told nothing: \(crash.suffix(1000))")
        #expect(crash.contains(#/(rip|pc) 0x[0-9a-f]{16}/#), "no registers were shown")
        crashes.append(crash)
        pages.append(crash)
      }

      let events = deployment.simulator.audit.events
      #expect(Set(events.compactMap(\.token)).count >= 2)
      #expect(Set(events.compactMap(\.ticket)).count >= 2)
      let tokens = events.compactMap(\.token) + events.compactMap(\.ticket)
      let secrets =
        [Deployment.secret, Self.bearer, Self.password] + tokens
        // A part of a token would be too much, too.
        + tokens.map { String($0.suffix($0.count / 2)) }
      for page in pages {
        for secret in secrets where page.contains(secret) {
          let place = page.range(of: secret).map { page[..<$0.lowerBound].suffix(200) } ?? ""
          Issue.record("a secret is shown after: \(place)")
        }
      }
      for crash in crashes {
        for secret in secrets where MemoryDump.shows(secret, in: crash) {
          Issue.record("the memory of a crash shows a part of a secret")
        }
      }
    }
  }

  /// The toolchain's program that writes what a crash tells, the one that needs no library.
  ///
  /// It is beside the library that these tests run with: `swift` on PATH may be a link to something
  /// that chooses among toolchains.
  private static func backtracer() throws -> String {
    let library = "/lib/swift/linux/libswiftCore.so"
    let maps = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
    let loaded = maps.split(separator: "\n").first { $0.hasSuffix(library) }
      .flatMap { $0.firstIndex(of: "/").map($0.suffix(from:)) }
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    let found = path.split(separator: ":").map { URL(filePath: "\($0)/swift") }
      .first { FileManager.default.isExecutableFile(atPath: $0.path) }?
      .resolvingSymlinksInPath().deletingLastPathComponent().deletingLastPathComponent().path
    let programs = [loaded.map { String($0.dropLast(library.count)) }, found].compactMap(\.self)
      .map { $0 + "/libexec/swift/linux/swift-backtrace-static" }
    return try #require(
      programs.first { FileManager.default.isExecutableFile(atPath: $0) },
      "no swift-backtrace-static among \(programs)")
  }

  @Test("such a look at a crash does see a secret in memory and in registers")
  func oracle() {
    let secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    for shown in [
      "rdx 0x00007f1ad6129d98  33 63 34 62 35 61 36 39 37 38 38 37 39 36 61 35  ················",
      "rdi 0x00007ffc6e891100  00 00 00 00 3c4b5a697887 ··3c4b5a697887",
      // `3c4b5a69` in a register, the first character in the lowest byte.
      "rbx 0x3936613562346333  4121983743857484595",
    ] {
      #expect(MemoryDump.shows(secret, in: shown), "not seen: \(shown)")
    }
    let harmless = "r10 0x00007f1ad6137828  68 07 00 00 22 00 10 00 c0 c2 03 00  h···\"···ÀÂ··"
    #expect(!MemoryDump.shows(secret, in: harmless))
  }

  /// Makes everything fail that can fail with a secret at hand; returns what was answered.
  private static func provoke(
    _ leader: SidecarProcess, _ deployment: Deployment
  ) async throws -> [String] {
    let simulator = deployment.simulator
    let headers = ["Authorization": "Bearer \(bearer)"]
    var pages: [String] = []
    let token = try #require(try await deployment.token())
    // A fetch for a report meets errors one after the other.
    let unquotable = "invalid credential \(Deployment.secret)"
    for fault in [
      Fault.mintThenReset, .truncatedBody,
      Fault(
        commits: false, effect: .redirect("http://127.0.0.1:1/?secret=\(Deployment.secret)")),
    ] {
      simulator.setFault(fault)
    }
    simulator.setFault(.errorCode(40001, message: unquotable), endpoint: .quota)
    try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
    try await waitUntil("the faults are over", within: .seconds(40)) {
      try await deployment.token() != token
    }
    for (path, method, body) in [
      ("/v1/token?account=nobody", "GET", ""), ("/v1/token", "DELETE", ""),
      ("/v1/refresh", "POST", "{\"rejected_token\":\"\(token)\"}"),
      ("/v1/refresh", "POST", "{\"rejected_token\":\"\(token)\",\"account\":\"nobody\"}"),
      ("/v1/refresh", "POST", "{\"rejected_token\":\"\(token)"),
      ("/v1/refresh", "POST", "{\"rejected_token\":\"\(token) x\"}"),
      ("/v1/refresh?access_token=\(token)", "GET", ""), ("/nothing/\(token)", "GET", ""),
    ] {
      let answer = try await leader.ask(method, path, headers: headers, body: body)
      pages.append(answer.head + answer.body)
    }
    return pages
  }

  /// The arguments of our processes, as everybody on the machine can read them.
  private static func commandLines(atLeast count: Int) throws -> [String] {
    let files = FileManager.default
    var lines: [String] = []
    for entry in try files.contentsOfDirectory(atPath: "/proc") where Int(entry) != nil {
      // A process may be gone by now.
      guard let line = files.contents(atPath: "/proc/\(entry)/cmdline") else { continue }
      let text = String(decoding: line, as: UTF8.self)
      if text.contains("wch-sidecar") { lines.append(text) }
    }
    #expect(lines.count >= count)
    return lines
  }
}

/// What a crash shows of memory: 16 bytes where each register points, as hexadecimal digits and as
/// characters, and the registers themselves.
private enum MemoryDump {
  /// So many bytes of a secret are no accident.
  private static let telling = 8
  /// As characters they may be: the digits of an address look like those of an AppSecret.
  private static let tellingCharacters = 12

  /// Whether any part of a secret is to be seen, in any of these forms.
  static func shows(_ secret: String, in text: String) -> Bool {
    let bytes = Array(secret.utf8)
    let shown = windows(of: bytes, telling).contains { window in
      let digits = window.map { String(format: "%02x", $0) }
      return text.contains(digits.joined(separator: " "))
        || text.contains(digits.reversed().joined())
    }
    return shown
      || windows(of: bytes, tellingCharacters).contains { window in
        text.contains(String(decoding: window, as: UTF8.self))
      }
  }

  private static func windows(of bytes: [UInt8], _ length: Int) -> [ArraySlice<UInt8>] {
    guard bytes.count >= length else { return [] }
    return (0...(bytes.count - length)).map { bytes[$0..<($0 + length)] }
  }
}
