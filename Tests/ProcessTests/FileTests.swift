import Foundation
import TestSupport
import Testing

/// Files that settings name: judged at the start, watched after it.
@Suite struct FileTests {
  private static let sound = [
    "WCH_APPID": Deployment.appID, "WCH_APPSECRET": Deployment.secret,
    "WCH_API_URL": "http://127.0.0.1:1", "WCH_REDIS_URL": "redis://127.0.0.1:1/0",
    "WCH_HTTP_LISTEN": "off",
  ]

  private static func ask(
    _ verb: String, _ settings: [String: String]
  ) async throws -> SidecarProcess {
    let process = try SidecarProcess(
      [verb], environment: sound.merging(settings) { $1 }, instance: verb)
    _ = try await process.waitForExit(within: patience)
    return process
  }

  private static func withFolder(
    _ body: (_ path: (String) -> String) async throws -> Void
  ) async throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("f\(UInt32.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try await body { folder.appendingPathComponent($0).path }
  }

  @Test(
    "a log file that cannot be written is refused by run and by check, once and in words",
    arguments: ["run", "check", "once"])
  func logFile(verb: String) async throws {
    try await Self.withFolder { path in
      for (file, reason) in [
        (path("none/x"), "its folder does not exist"), (path("."), "it is a directory"),
      ] {
        let process = try await Self.ask(verb, ["WCH_LOG_FILE": file])
        #expect(process.exit == .code(78))
        #expect(
          process.errorText
            == "the settings have 1 problem:\n  - environment variable WCH_LOG_FILE: the file"
            + " `\(file)` cannot be opened for writing: \(reason)\n")
      }
      // To check is not to make it.
      let good = try await Self.ask("check", ["WCH_LOG_FILE": path("log")])
      #expect(good.exit == .code(0), "\(good.errorText)")
      #expect(!FileManager.default.fileExists(atPath: path("log")))
    }
  }

  @Test("who only asks the daemon needs no right to its log file")
  func logFileOfOthers() async throws {
    let process = try await Self.ask("acl", ["WCH_LOG_FILE": "/none/x"])
    #expect(process.exit == .code(0), "\(process.errorText)")
  }

  @Test("a file of certificates that goes bad is told though nobody connects, and its mending, too")
  func watched() async throws {
    try await Self.withFolder { path in
      let files = [
        (path("ca"), FixedCertificates.authority), (path("cert"), FixedCertificates.localhost),
        (path("key"), FixedCertificates.localhostKey),
      ]
      for (file, text) in files { try Data(text.utf8).write(to: URL(filePath: file)) }
      try await Deployment.run { deployment in
        let process = try deployment.start(
          "a",
          Deployment.brisk.merging([
            "WCH_API_CA_FILE": files[0].0, "WCH_HTTP_TLS_CERT_FILE": files[1].0,
            "WCH_HTTP_TLS_KEY_FILE": files[2].0,
          ]) { $1 })
        try await deployment.waitForLiveToken()
        // The one that is bad, and the one that people are told of.
        for (file, good, subject) in [
          (files[0].0, files[0].1, files[0].0), (files[2].0, files[2].1, files[1].0),
        ] {
          let start = process.logPosition
          func told(_ event: String) -> SidecarProcess.LogLine? {
            process.log.dropFirst(start).first {
              $0.fields["event"] == event && $0.fields["condition"] == "certificate_unusable"
            }
          }
          try Data("nothing\n".utf8).write(to: URL(filePath: file))
          let line = try await waited(for: "a word about \(file)", within: patience) {
            told("condition.began")
          }
          #expect(line.fields["subject"] == subject, "\(line.text)")
          try Data(good.utf8).write(to: URL(filePath: file))
          try await waitUntil("\(file) is good again", within: patience) {
            told("condition.ended") != nil
          }
        }
      }
    }
  }

  @Test(
    "certificate and key that cannot be used are refused by run and by check",
    arguments: ["run", "check"])
  func certificates(verb: String) async throws {
    try await Self.withFolder { path in
      for (name, text) in [
        ("text", "hello\n"), ("cert", FixedCertificates.localhost),
        ("other", FixedCertificates.authority), ("key", FixedCertificates.localhostKey),
      ] {
        try Data(text.utf8).write(to: URL(filePath: path(name)))
      }
      for (certificate, key, words) in [
        ("text", "text", ["has no certificate in PEM", "has no private key in PEM"]),
        ("cert", "text", ["`\(path("text"))` has no private key in PEM"]),
        ("text", "key", ["`\(path("text"))` has no certificate in PEM"]),
        ("other", "key", ["is not that of the first certificate"]),
      ] {
        let process = try await Self.ask(
          verb,
          ["WCH_HTTP_TLS_CERT_FILE": path(certificate), "WCH_HTTP_TLS_KEY_FILE": path(key)])
        #expect(process.exit == .code(78))
        for word in words {
          #expect(process.errorText.contains(word), "\(process.errorText)")
        }
      }
      let good = try await Self.ask(
        "check", ["WCH_HTTP_TLS_CERT_FILE": path("cert"), "WCH_HTTP_TLS_KEY_FILE": path("key")])
      #expect(good.exit == .code(0), "\(good.errorText)")
    }
  }

  @Test("a password in a URL is shown by no message")
  func passwords() async throws {
    for url in ["https://u:topsecret@127.0.0.1:1", "https://127.0.0.1:1/x?secret=topsecret"] {
      let process = try await Self.ask("check", ["WCH_API_URL": url])
      #expect(process.exit == .code(78))
      #expect(process.errorText.contains("WCH_API_URL"))
      #expect(!(process.errorText + process.outputText).contains("topsecret"))
    }
  }

  @Test("a key that the file has twice is refused by its name")
  func duplicates() async throws {
    try await Self.withFolder { path in
      try Data("{lease:\"15s\",lease:\"16s\"}".utf8).write(to: URL(filePath: path("c")))
      let process = try await Self.ask("check", ["WCH_CONFIG": path("c")])
      #expect(process.exit == .code(78))
      #expect(process.errorText.contains("key lease: is given twice"), "\(process.errorText)")
    }
  }

  @Test("a secret's file that goes bad while running is told once, and once that it is well again")
  func secretFiles() async throws {
    try await Deployment.run { deployment in
      let secret = deployment.redis.directory.appendingPathComponent("secret")
      let bearer = deployment.redis.directory.appendingPathComponent("bearer")
      try Data(Deployment.secret.utf8).write(to: secret)
      try Data("b3arer".utf8).write(to: bearer)
      let bad = "A secret's file cannot be used"
      let replica = try deployment.start(
        "a",
        Deployment.brisk.merging([
          "WCH_APPSECRET": "", "WCH_APPSECRET_FILE": secret.path,
          "WCH_HTTP_BEARER_FILE": bearer.path,
          "WCH_TICK": "500ms",
        ]) { $1 })
      try await replica.waitForStatus(200, of: "/readyz")
      try Data().write(to: secret)
      try FileManager.default.removeItem(at: bearer)
      for (file, reason) in [(secret, "is empty"), (bearer, "does not exist")] {
        let line = try await replica.waitForLog(bad, within: patience) {
          $0.fields["subject"] == "file \(file.path)"
        }
        #expect(line.level == "warning")
        #expect(line.fields["error"] == reason)
      }
      // Some ticks later it is no news, and the last good values stay in use.
      let position = replica.logPosition
      let again = try await firstExcept(for: .seconds(2)) {
        replica.log.dropFirst(position).first { $0.message == bad }?.text
      }
      #expect(again == nil)
      let socket = try #require(replica.socket)
      let answer = try await PlainHTTP.ask(
        socket: socket, path: "/v1/token", headers: ["Authorization": "Bearer b3arer"])
      #expect(answer.status == 200)
      try Data(Deployment.secret.utf8).write(to: secret)
      try Data("b3arer".utf8).write(to: bearer)
      for file in [secret, bearer] {
        let line = try await replica.waitForLog(
          "Over: \(bad)", within: patience
        ) { $0.fields["subject"] == "file \(file.path)" }
        #expect(line.level == "notice")
      }
      #expect(replica.log.count { $0.message == bad } == 2)
    }
  }
}
