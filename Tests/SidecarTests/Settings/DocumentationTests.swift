import Foundation
import Testing
import TokenCore

@testable import Sidecar

/// The documentation's tables are the code's: with `WCH_WRITE_DOCUMENTATION=1` these tests write
/// the pages anew instead of comparing them.
@Suite(.serialized) struct DocumentationTests {
  private static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  private static let folder = "Sources/Sidecar/Sidecar.docc/"
  private static let isWriting =
    ProcessInfo.processInfo.environment["WCH_WRITE_DOCUMENTATION"] == "1"

  @Test func `the page of settings lists exactly the settings that are parsed`() throws {
    try compare(page: Self.folder + "Settings.md", with: Self.settings)
  }

  @Test func `the page of metrics lists exactly the metrics that are exported`() throws {
    try compare(page: Self.folder + "Metrics.md", with: Self.metrics)
    try compare(page: Self.folder + "Metrics.md", with: Self.labels)
  }

  @Test func `the page of alerts lists exactly the rules that Prometheus is given`() throws {
    try compare(page: Self.folder + "Metrics.md", with: Self.alerts)
    try compare(file: "deploy/monitoring/alerts.yaml", with: AlertRule.file)
  }

  @Test func `the page of routes lists exactly the routes that are answered`() throws {
    try compare(page: Self.folder + "HTTP.md", with: Self.routes)
    try compare(page: "README.md", with: Self.shortRoutes(.english))
    try compare(page: "deploy/README.zh-CN.md", with: Self.shortRoutes(.chinese))
  }

  @Test func `the description of the interface for programs is the one that is served`() throws {
    try compare(
      file: Self.folder + "openapi.json", with: OpenAPI.text(isForPeople: true))
  }

  @Test(arguments: Language.allCases)
  func `the runbook is the one that is served`(language: Language) throws {
    let name = language == .english ? "Runbook.md" : "Runbook.zh-CN.md"
    try compare(file: Self.folder + name, with: RunbookDocument.text(language))
  }

  @Test(arguments: ["README.md", "deploy/README.zh-CN.md"])
  func `the README's settings are those of the table, with its defaults`(page: String) throws {
    let lines = try Self.text(of: page).components(separatedBy: "\n")
    let rows = lines.filter { $0.hasPrefix("| `WCH_") && $0.split(separator: "|").count == 3 }
      .map { $0.split(separator: "|").map(String.init) }
      .filter { $0[0].contains("`WCH_access_token") == false && !$0[0].contains("`WCH_expires_in") }
    #expect(rows.count >= 7)
    for row in rows {
      let names = Self.quoted(row[0])
      let settings = try names.map { name in
        try #require(Setting.table.first { $0.environmentName == name }, "\(name) is no setting")
      }
      let defaults = Self.quoted(row[1])
      // What is required has no default to be compared.
      if settings.allSatisfy({ $0.fallback == nil }) { continue }
      #expect(settings.compactMap(\.fallback) == defaults, "\(names)")
    }
  }

  @Test(arguments: ["README.md", "deploy/README.zh-CN.md"])
  func `the README names the events that are published, and metrics that are there`(page: String)
    throws
  {
    let text = try Self.text(of: page)
    for event in ["token", "leader"] {
      #expect(Announcement(Array("{\"event\":\"\(event)\",\"account\":\"default\"}".utf8)) != nil)
      #expect(text.contains("`\(event)`"))
    }
    #expect(
      Announcement.limited(.unnamed, .seconds(1)).text?.contains("\"event\":\"limited\"") == true)
    #expect(text.contains("`limited`"))
    let metrics = Set(MetricFamily.table.map(\.name))
    for match in text.matches(of: /wechat_token_[a-z_]+/) {
      #expect(metrics.contains(String(match.output)), "\(match.output)")
    }
    #expect(text.contains("Sidecar.docc/Runbook"))
  }

  @Test func `the help names every setting, and no flag for a secret`() {
    let help = Settings.help()
    for setting in Setting.table {
      #expect(help.contains(setting.environmentName))
      #expect(help.contains("\(setting.flagName),") == !setting.isSecret)
    }
  }

  @Test func `the READMEs tell every exit code`() throws {
    try compare(page: "README.md", with: Self.exitCodes(.english))
    try compare(page: "deploy/README.zh-CN.md", with: Self.exitCodes(.chinese))
  }

  /// Settings, metrics, routes, events and conditions: each table is compared with the code by a
  /// test of its own.
  @Test(arguments: [("README.md", "Runbook.md"), ("deploy/README.zh-CN.md", "Runbook.zh-CN.md")])
  func `the README leads to the page of every table`(readme: String, runbook: String) throws {
    let text = try Self.text(of: readme)
    let folder = Self.root.appending(path: readme).deletingLastPathComponent()
    let links = Set(
      text.matches(of: /\]\(([^)#]+\.md)/).map { folder.appending(path: $0.1).standardized.path })
    for (page, table) in [
      ("Settings.md", Self.settings[0]), ("Metrics.md", Self.metrics[0]),
      ("HTTP.md", Self.routes[0]), ("Logging.md", "| event | level | meaning |"),
      (runbook, "### `\(Condition.Kind.noToken.rawValue)`"),
    ] {
      let path = Self.folder + page
      #expect(try Self.text(of: path).contains("\n\(table)\n"), "\(page)")
      #expect(links.contains(Self.root.appending(path: path).standardized.path), "\(page)")
    }
  }

  @Test(arguments: [
    ("code", WeChatError.table), ("a ticket's code", WeChatError.ticketTable),
    ("WeCom's code", WeChatError.corpTable),
  ])
  func `the page about WeChat has every code, and its class`(
    name: String, table: [WeChatError]
  ) throws {
    try compare(
      page: "Sources/Sidecar/Sidecar.docc/WeChat.md",
      with: ["| \(name) | class | what it means |", "|---|---|---|"]
        + table.map {
          "| [\($0.code)](Runbook.md#\($0.anchor)) | `\($0.category)` | \($0.advice) |"
        })
  }

  // MARK: Comparing

  private static func text(of page: String) throws -> String {
    try String(contentsOf: root.appending(path: page), encoding: .utf8)
  }

  /// What stands between backticks.
  private static func quoted(_ text: String) -> [String] {
    text.matches(of: /`([^`]*)`/).map { String($0.output.1) }
  }

  /// Compares the table that begins with the same line.
  private func compare(page: String, with table: [String]) throws {
    var lines = try Self.text(of: page).components(separatedBy: "\n")
    let first = try #require(
      lines.firstIndex(of: table[0]), "no table in \(page) begins with \(table[0])")
    let end = lines[first...].firstIndex { !$0.hasPrefix("|") } ?? lines.endIndex
    if Self.isWriting {
      lines.replaceSubrange(first..<end, with: table)
      try lines.joined(separator: "\n").write(
        to: Self.root.appending(path: page), atomically: true, encoding: .utf8)
    } else {
      #expect(Array(lines[first..<end]) == table)
    }
  }

  private func compare(file: String, with text: String) throws {
    if Self.isWriting {
      try text.write(to: Self.root.appending(path: file), atomically: true, encoding: .utf8)
    } else {
      let isSame = try Self.text(of: file) == text
      #expect(isSame, "\(file) is not what the code says")
    }
  }

  // MARK: Tables

  private static var settings: [String] {
    [
      "| variable | flag | key in the file | default | value | meaning |",
      "|---|---|---|---|---|---|",
    ]
      + Setting.table.map { setting in
        let cells = [
          "`\(setting.environmentName)`",
          setting.isSecret ? "never" : "`\(setting.flagName)`",
          setting.isAllowedInFile ? "`\(setting.name)`" : "—",
          setting.fallback.map { "`\($0)`" } ?? "—", "\(setting.form)", setting.meaning,
        ]
        return "| " + cells.joined(separator: " | ") + " |"
      }
  }

  private static var metrics: [String] {
    ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
      + MetricFamily.table.map { family in
        let labels = family.labels.map { "`\($0)`" }.joined(separator: ", ")
        return "| `\(family.name)` | \(family.kind.word) | \(labels) | \(family.help) |"
      }
  }

  private static var labels: [String] {
    let values: KeyValuePairs<String, [String]> = [
      "`trigger`": MetricLabels.triggers, "`result` of a refresh": MetricLabels.results,
      "`result` of a command": MetricLabels.commandResults,
      "`outcome`": MetricLabels.refreshOutcomes, "`connection`": MetricLabels.connections,
      "`endpoint`": MetricLabels.endpoints,
      "`condition`": Condition.Kind.allCases.map(\.rawValue),
    ]
    return ["| label | values |", "|---|---|"]
      + values.map { name, values in
        "| \(name) | \(values.map { "`\($0)`" }.joined(separator: ", ")) |"
      }
  }

  private static var alerts: [String] {
    ["| alert | severity | meaning |", "|---|---|---|"]
      + AlertRule.table.map {
        "| [`\($0.name)`](Runbook.md#\($0.name)) | \($0.severity.rawValue) |"
          + " \($0.meaning.english) |"
      }
  }

  private static var routes: [String] {
    ["| route | parameters | answers | refuses with | |", "|---|---|---|---|---|"]
      + StatusRoute.allCases.map { route in
        let row = route.row
        let parameters = row.parameters.map { "`\($0.name)`: \($0.help.english)" }
        let answers = row.answers.map { "\($0.status) `\($0.content.type)`: \($0.meaning.english)" }
        let problems = row.problems.map { "[`\($0.rawValue)`](Runbook.md#\($0.rawValue))" }
        let cells = [
          "`\(row.method) \(row.path)`", parameters.joined(separator: "<br>"),
          answers.joined(separator: "<br>"), problems.joined(separator: ", "), row.help.english,
        ]
        return "| " + cells.joined(separator: " | ") + " |"
      }
  }

  private static func exitCodes(_ language: Language) -> [String] {
    [language == .english ? "| exit code | meaning |" : "| 退出码 | 含义 |", "|---|---|"]
      + ExitStatus.allCases.map { "| \($0.rawValue) | \($0.meaning(language)) |" }
  }

  private static func shortRoutes(_ language: Language) -> [String] {
    let head = language == .english ? "| route | what for |" : "| 路径 | 用途 |"
    return [head, "|---|---|"]
      + StatusRoute.allCases.map {
        let row = $0.row
        let guarded = Words(" With a bearer, or on this host.", "须带 bearer，或在本机访问。")
        return "| `\(row.method) \(row.path)` | \(row.help(language))"
          + "\(row.isGuarded ? guarded(language) : "") |"
      }
  }
}
