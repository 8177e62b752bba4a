import Foundation
import Synchronization
import TestSupport
import Testing
import WeChatSimulator

/// What every surface says of every trouble, on the leader and on a follower; recorded in
/// `Troubles.md`, where people can read it.
@Suite struct TroubleMatrixTests {
  private static let recordFile = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().appendingPathComponent("Troubles.md")

  @Test(
    "every surface says what is wrong, on the leader and on a follower, as it is recorded",
    arguments: Trouble.allCases)
  func surfaces(trouble: Trouble) async throws {
    let section = try await trouble.run { deployment in
      let scene = try await trouble.make(in: deployment)
      var section = try await Self.section(trouble, scene, deployment)
      // Surfaces are asked one after the other, and leadership may change hands in between.
      for _ in 0..<Self.furtherLooks where try Self.recorded()[trouble.rawValue] != section {
        section = try await Self.section(trouble, scene, deployment)
      }
      return section
    }
    try Self.compare(section, trouble)
  }

  /// What every surface says, on the leader and on a follower.
  private static func section(
    _ trouble: Trouble, _ scene: Scene, _ deployment: Deployment
  ) async throws -> String {
    let expected = trouble.expected
    var section = "## \(trouble.rawValue)\n\n\(trouble.testDescription)\n"
    for (role, process, own) in [
      ("leader", Optional(scene.leader), expected.leader),
      ("follower", scene.follower, expected.follower),
    ] {
      guard let process, !(trouble == .frozenLeader && role == "leader") else { continue }
      let wanted = expected.everywhere.union(own)
      let surfaces = try await deployment.surfaces(of: process, saying: wanted)
      section += "\n\(role):\n\n```text\n\(surfaces.joined(separator: "\n"))\n```\n"
    }
    return section
  }

  /// So often all are asked again when they do not say what is recorded.
  private static let furtherLooks = 3

  /// What is recorded of each trouble.
  private static func recorded() throws -> [String: String] {
    let known = (try? String(contentsOf: recordFile, encoding: .utf8)) ?? ""
    return Dictionary(
      known.components(separatedBy: "\n## ").dropFirst().map {
        (String($0.prefix { $0 != "\n" }), "## " + $0.trimmingCharacters(in: .newlines) + "\n")
      }, uniquingKeysWith: { first, _ in first })
  }

  /// Compares with what is recorded, or records it.
  private static func compare(_ section: String, _ trouble: Trouble) throws {
    var sections = try recorded()
    guard ProcessInfo.processInfo.environment["WCH_WRITE_DOCUMENTATION"] != nil else {
      #expect(sections[trouble.rawValue] == section)
      return
    }
    try writing.withLock { written in
      written[trouble.rawValue] = section
      sections.merge(written) { $1 }
      let all = Trouble.allCases.compactMap { sections[$0.rawValue] }
      try Data((head + all.joined(separator: "\n")).utf8).write(to: recordFile)
    }
  }

  /// What this run has recorded: sections are written side by side.
  private static let writing = Mutex<[String: String]>([:])

  private static let head = """
    # What each surface says of each trouble

    Made for real with two replicas, a Redis and a WeChat, and compared by `TroubleMatrixTests`;
    `WCH_WRITE_DOCUMENTATION=1 swift test --filter TroubleMatrix` writes it anew. Numbers that
    differ from run to run are shown as `#`.


    """
}

extension Deployment {
  /// What each surface of a replica says once it tells all of these.
  fileprivate func surfaces(
    of process: SidecarProcess, saying wanted: Set<String>
  ) async throws -> [String] {
    // This one has a certificate, and is asked over TLS.
    let isEncrypted = wanted == ["certificate_unusable"]
    func get(_ path: String) async throws -> HTTPAnswer {
      isEncrypted ? try await process.encrypted(path, in: self) : try await process.get(path)
    }
    let asked = wanted.sorted().joined(separator: ", ")
    try await waitUntil("\(process.instance) tells \(asked)", within: patience) {
      guard let told = try? await get("/v1/status").conditions() else { return false }
      return wanted.isSubset(of: told.map(\.id))
    }
    let told = try await get("/v1/status").conditions().filter { wanted.contains($0.id) }
    var lines = told.map { "/v1/status  \($0.severity) \($0.id): \($0.stable)" }
    /// Which of these a text says.
    func said(in text: String) -> String {
      let words = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
      let ids = told.filter { words.contains($0.title) }.map(\.id)
      return ids.isEmpty
        ? "says none of these" : "says " + Set(ids).sorted().joined(separator: ", ")
    }
    let ready = try await get("/readyz")
    lines.append("/readyz     \(ready.status) \(said(in: ready.body))")
    let page = try await get("/?lang=en").body
    let shown = Set(told.filter { page.contains("/runbook?lang=en#\($0.help)\"") }.map(\.id))
    lines.append("/           shows, with what to do: \(shown.sorted().joined(separator: ", "))")
    let metrics = try await get("/metrics").body.split(separator: "\n")
    let raised = wanted.filter { id in
      metrics.contains {
        $0.hasPrefix("wechat_token_condition{") && $0.contains("\"\(id)\"") && !$0.hasSuffix(" 0")
      }
    }
    lines.append("/metrics    above 0: \(raised.sorted().joined(separator: ", "))")
    for words in [["health"], ["wait", "--max", "500ms"], ["status"]] {
      let settings = isEncrypted ? ["WCH_HTTP_CA_FILE": try authorityFile()] : [:]
      let verb = try SidecarProcess(
        words, environment: environment(instance: process.instance).merging(settings) { $1 },
        instance: words[0])
      let exit = try await verb.waitForExit()
      let name = (words[0] + String(repeating: " ", count: 12)).prefix(12)
      lines.append("\(name)\(exit) \(said(in: verb.outputText + verb.errorText))")
    }
    // What is logged is logged with the next look, a second later at most; some of it another
    // replica tells.
    try? await waitUntil("lines of \(asked)", within: .seconds(3)) {
      let logged = Set(process.log.compactMap { $0.fields["condition"] })
      return wanted.isSubset(of: logged)
    }
    for id in wanted.sorted() {
      let line = process.log.first { $0.fields["condition"] == id }
      lines.append("log         \(id): \(line?.message ?? "silent")")
    }
    return lines.map { normalized($0) }
  }

  /// Without what differs from run to run.
  private func normalized(_ line: String) -> String {
    var text = line
    for (port, name) in [(redis.port, "REDIS"), (weChat.ports[0], "WECHAT")] {
      text = text.replacingOccurrences(of: "\(port)", with: name)
    }
    text = text.replacingOccurrences(of: redis.directory.path, with: "DIRECTORY")
    for pattern in [
      #"rid:? ?[0-9a-f-]{8,}"#, #"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?"#, #"\d\d:\d\d:\d\d"#,
      #"\b\d+(\.\d+)? ?(s|ms|seconds|minutes|min|m|h|hours)\b"#, #"\b1[0-9]{9}\b"#,
    ] {
      text = text.replacingOccurrences(of: pattern, with: "#", options: .regularExpression)
    }
    return text
  }
}

/// A condition as `/v1/status` has it.
struct ToldCondition {
  let id: String
  let severity: String
  let sentence: String
  /// Its anchor in the runbook.
  let help: String

  /// The sentence without what comes before and after the headline: its account, and the reason.
  var title: String {
    let parts = sentence.components(separatedBy: ": ")
    let headline = parts.count > 1 && parts[0].hasPrefix("account ") ? parts[1] : parts[0]
    return headline.components(separatedBy: " (")[0]
  }

  /// What it says every time: Redis may refuse the one step or the other first, and a call may be
  /// given up at the one point or the other.
  var stable: String {
    id.hasPrefix("redis_") || sentence.contains("127.0.0.1") ? title : sentence
  }
}

extension HTTPAnswer {
  /// What `/v1/status` says is wrong.
  func conditions() throws -> [ToldCondition] {
    let object = try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
    let all = object?["conditions"] as? [[String: Any]] ?? []
    return all.compactMap { condition in
      guard let id = condition["id"] as? String, let severity = condition["severity"] as? String,
        let sentence = (condition["sentence"] as? [String: String])?["en"],
        let help = condition["help"] as? String
      else { return nil }
      return ToldCondition(id: id, severity: severity, sentence: sentence, help: help)
    }
  }
}

extension SidecarProcess {
  /// Asks over TLS with `curl`.
  fileprivate func encrypted(
    _ path: String, in deployment: Deployment
  ) async throws -> HTTPAnswer {
    let authority = try deployment.authorityFile()
    let curl = try SidecarProcess(
      [], environment: ["PATH": "/usr/bin:/bin"], instance: "curl",
      launcher: [
        "/bin/sh", "-c",
        "exec curl -s -i --cacert '\(authority)' --unix-socket '\(socket ?? "")'"
          + " https://localhost\(path)",
      ])
    _ = try await curl.waitForExit()
    return try PlainHTTP.parse(curl.outputText)
  }
}
