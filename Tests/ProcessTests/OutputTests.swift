import Foundation
import TestSupport
import Testing
import WeChatSimulator

/// Files and programs that tokens are handed on to, by real replicas.
@Suite struct OutputTests {
  /// A program that keeps what it was given, a file a run: the first line is the token's, the
  /// others what it was told.
  private static let keeper = """
    #!/bin/sh
    token=$(cat)
    made=$(mktemp "$0.run.XXXXXXXX.tmp")
    { printf '%s\\n' "$token"; env; } >"$made"
    echo "kept $token" | fold -w 30
    mv "$made" "${made%.tmp}"
    """

  /// Writes a program, and returns its path.
  private static func program(
    _ name: String, _ text: String, in deployment: Deployment
  ) throws -> String {
    let path = deployment.redis.directory.appendingPathComponent(name).path
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    return path
  }

  /// What the program was given so far, run by run.
  private static func runs(of program: String) throws -> [[String]] {
    let url = URL(fileURLWithPath: program)
    return try FileManager.default.contentsOfDirectory(
      at: url.deletingLastPathComponent(), includingPropertiesForKeys: nil
    )
    .filter {
      $0.lastPathComponent.hasPrefix(url.lastPathComponent + ".run.") && $0.pathExtension != "tmp"
    }
    .map { try String(contentsOf: $0, encoding: .utf8).components(separatedBy: "\n") }
  }

  private static func content(_ path: String) -> String? {
    try? String(contentsOfFile: path, encoding: .utf8)
  }

  @Test("every replica's file and the leader's program have each token, through a leader's death")
  func throughChanges() async throws {
    try await Deployment.run { deployment in
      let program = try Self.program("keeper", Self.keeper, in: deployment)
      func file(_ name: String) -> String {
        deployment.redis.directory.appendingPathComponent("\(name).json").path
      }
      for name in ["a", "b"] {
        try deployment.start(
          name,
          Deployment.brisk.merging(["WCH_EXEC": program, "WCH_FILE": file(name)]) { $1 })
      }
      func expectEverywhere(_ token: String, runBy leader: SidecarProcess, _ names: [String])
        async throws
      {
        for name in names {
          try await waitUntil("\(token.prefix(12)) in the file of \(name)", within: patience) {
            Self.content(file(name))?.contains("\"\(token)\"") == true
          }
        }
        try await waitUntil("\(leader.instance) hands it to the program", within: patience) {
          try Self.runs(of: program).contains {
            $0.first == token && $0.contains("WCH_HOOK_INSTANCE=\(leader.instance)")
          }
        }
      }
      let first = try await deployment.waitForLiveToken()
      let leader = try await deployment.waitForLeader()
      try await expectEverywhere(first, runBy: leader, ["a", "b"])

      _ = try await leader.ask("POST", "/v1/refresh", body: #"{"force":true}"#)
      let second = try await waited(for: "another token", within: patience) {
        try await deployment.token().flatMap { $0 == first ? nil : $0 }
      }
      try await expectEverywhere(second, runBy: leader, ["a", "b"])

      leader.kill()
      let next = try await deployment.waitForLeader(otherThan: leader)
      // The same version once more: nobody knows whether the one before came to it.
      try await expectEverywhere(second, runBy: next, [next.instance])

      for run in try Self.runs(of: program) {
        #expect(run.contains("WCH_HOOK_KIND=access_token"))
        #expect(run.contains("WCH_HOOK_ACCOUNT=default"))
        #expect(run.dropFirst().filter { $0.hasPrefix("WCH_") && !$0.hasPrefix("WCH_HOOK_") } == [])
        for secret in [Deployment.secret, first, second] {
          #expect(!run.dropFirst().joined(separator: "\n").contains(secret))
        }
      }
      try await next.waitForLog("A program has taken the token, and printed") { line in
        line.fields["hook.output"] == "kept <token>"
      }
      for token in [first, second] { #expect(!deployment.transcript.contains(token)) }
      for process in [next] {
        let metrics = try await process.get("/metrics").body
        #expect(
          metrics.contains(#"wechat_token_hook_runs_total{account="default",result="ok"} "#))
      }
      // A file that somebody takes away comes back; the daemon's end takes none away.
      try FileManager.default.removeItem(atPath: file(next.instance))
      try await waitUntil("the file is back", within: patience) {
        Self.content(file(next.instance))?.contains(second) == true
      }
      next.terminate()
      #expect(try await next.waitForExit() == .code(0))
      #expect(Self.content(file(next.instance))?.contains(second) == true)
    }
  }

  @Test(
    "a program that hears no signal and a directory that is missing hold up nobody, nor the end")
  func hostile() async throws {
    try await Deployment.run { deployment in
      let deaf = try Self.program(
        "deaf",
        """
        #!/bin/sh
        trap '' TERM
        echo $$ >"$0.id"
        while :; do sleep 1; done
        """, in: deployment)
      let directory = deployment.redis.directory.appendingPathComponent("later")
      let file = directory.appendingPathComponent("t").path
      let leader = try await deployment.start(
        count: 1,
        Deployment.brisk.merging([
          "WCH_EXEC": deaf, "WCH_FILE": file, "WCH_FILE_FORMAT": "raw",
        ]) { $1 })
      let id = try await waited(for: "the program runs", within: patience) {
        Self.content(deaf + ".id").flatMap { Int32($0.trimmingCharacters(in: .newlines)) }
      }
      let first = try await deployment.waitForLiveToken()
      _ = try await leader.ask("POST", "/v1/refresh", body: #"{"force":true}"#)
      try await waitUntil("another token", within: patience) {
        try await deployment.token() != first
      }
      try await waitUntil("what is wrong is told", within: patience) {
        try await leader.get("/v1/status").body.contains("file_unwritten")
      }
      try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
      let token = try await deployment.waitForLiveToken()
      try await waitUntil("the file is written once it can be", within: patience) {
        Self.content(file) == token
      }
      try await waitUntil("nothing is wrong any more", within: patience) {
        try await !leader.get("/v1/status").body.contains("file_unwritten")
      }
      leader.terminate()
      #expect(try await leader.waitForExit() == .code(0))
      try await waitUntil("the program has ended, too", within: patience) { kill(id, 0) != 0 }
    }
  }

  @Test("the file of an account that goes stays as it is, and its program runs no more")
  func goneAccount() async throws {
    try await Deployment.run { deployment in
      deployment.simulator.register(AppSettings(appID: "wxshop", secret: Deployment.secret))
      let program = try Self.program("keeper", Self.keeper, in: deployment)
      let directory = deployment.redis.directory
      let settings = directory.appendingPathComponent("c.json5")
      let shop =
        "shop: { appid: \"wxshop\", appsecret: \"\(Deployment.secret)\","
        + " exec: [\"\(program)\", \"{account}\"] }"
      try Data("{ accounts: { \(shop) } }".utf8).write(to: settings)
      let file = directory.appendingPathComponent("shop.json").path
      let leader = try await deployment.start(
        count: 1,
        Deployment.brisk.merging([
          "WCH_CONFIG": settings.path,
          "WCH_FILE": directory.appendingPathComponent("{account}.json").path,
        ]) { $1 })
      try await waitUntil("both files are there, and the program ran", within: patience) {
        try Self.content(file) != nil
          && Self.content(directory.appendingPathComponent("default.json").path) != nil
          && Self.runs(of: program).count == 1
      }
      try Data("{ accounts: {} }".utf8).write(to: settings)
      leader.hangUp()
      try await waitUntil("the account is gone", within: patience) {
        try await !leader.get("/metrics").body.contains("account=\"shop\"")
      }
      // What is kept is put back: nobody puts this back.
      let before = try #require(Self.content(file))
      try Data("changed".utf8).write(to: URL(fileURLWithPath: file))
      let other = directory.appendingPathComponent("default.json").path
      try FileManager.default.removeItem(atPath: other)
      try await waitUntil("a look at all files", within: patience) { Self.content(other) != nil }
      #expect(Self.content(file) == "changed")
      #expect(before.contains("access_token"))
      #expect(try Self.runs(of: program).count == 1)
    }
  }

  @Test("what can never work ends the start, with everything else that is wrong")
  func refused() async throws {
    try await Deployment.run { deployment in
      let directory = deployment.redis.directory.path
      let process = try SidecarProcess(
        ["run"],
        environment: deployment.environment(instance: "a").merging([
          "WCH_FILE": directory, "WCH_FILE_FORMAT": "xml", "WCH_EXEC": "/etc/passwd",
          "WCH_LEASE": "x",
        ]) { $1 }, instance: "a")
      #expect(try await process.waitForExit() == .code(78))
      for words in ["is a directory", "`xml` is not", "chmod +x", "WCH_LEASE"] {
        #expect(process.errorText.contains(words), "\(process.errorText)")
      }
    }
  }
}
