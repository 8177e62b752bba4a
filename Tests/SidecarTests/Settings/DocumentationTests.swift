import Foundation
import Testing

@testable import Sidecar

/// The documentation's tables are the code's: with `WCH_WRITE_DOCUMENTATION=1` these tests write
/// the pages anew instead of comparing them.
@Suite struct DocumentationTests {
  private static let catalogue = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Sources/Sidecar/Sidecar.docc")

  @Test func `the page of settings lists exactly the settings that are parsed`() throws {
    try compare(page: "Settings.md", with: Self.settings)
  }

  @Test func `the page of metrics lists exactly the metrics that are exported`() throws {
    try compare(page: "Metrics.md", with: Self.metrics)
  }

  @Test func `the help names every setting, and no flag for a secret`() {
    for setting in Setting.table {
      #expect(Setting.help.contains(setting.environmentName))
      #expect(Setting.help.contains("\(setting.flagName),") == !setting.isSecret)
    }
  }

  @Test func `the README tells every exit code`() throws {
    let readme = try String(
      contentsOf: Self.catalogue.appending(path: "../../../README.md"), encoding: .utf8)
    for status in ExitStatus.allCases {
      #expect(readme.contains("| \(status.rawValue) | \(status.meaning) |"), "\(status)")
    }
  }

  private func compare(page: String, with table: [String]) throws {
    let file = Self.catalogue.appending(path: page)
    var lines = try String(contentsOf: file, encoding: .utf8).components(separatedBy: "\n")
    let first = try #require(lines.firstIndex { $0.hasPrefix("|") }, "no table in \(page)")
    let end = lines[first...].firstIndex { !$0.hasPrefix("|") } ?? lines.endIndex
    if ProcessInfo.processInfo.environment["WCH_WRITE_DOCUMENTATION"] == "1" {
      lines.replaceSubrange(first..<end, with: table)
      try lines.joined(separator: "\n").write(to: file, atomically: true, encoding: .utf8)
    } else {
      #expect(Array(lines[first..<end]) == table)
    }
  }

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
}
