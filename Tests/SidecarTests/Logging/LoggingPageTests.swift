import Foundation
import Logging
import Testing

@testable import Sidecar

/// The tables of the page Logging are the code's (`WCH_WRITE_DOCUMENTATION=1` writes them).
@Suite("The page Logging") struct LoggingPageTests {
  private static let page = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Sources/Sidecar/Sidecar.docc/Logging.md")

  private static var events: [String] {
    ["| event | level | meaning |", "|---|---|---|"]
      + LoggedEvent.allCases.map { event in
        let levels = event.levels.map { "`\($0.rawValue)`" }.joined(separator: ", ")
        return "| `\(event.rawValue)` | \(levels) | \(event.meaning) |"
      }
  }

  private static var members: [String] {
    ["| member | JSON |", "|---|---|"]
      + LogKeys.allCases.map { "| `\($0.rawValue)` | \($0.form.word) |" }.sorted()
  }

  @Test("it lists exactly the events that are logged, and the members of lines")
  func tables() throws {
    var lines = try String(contentsOf: Self.page, encoding: .utf8).components(separatedBy: "\n")
    for (heading, table) in [("## Members", Self.members), ("## Events", Self.events)] {
      let start = try #require(lines.firstIndex(of: heading))
      let first = try #require(lines[start...].firstIndex { $0.hasPrefix("|") })
      let end = lines[first...].firstIndex { !$0.hasPrefix("|") } ?? lines.endIndex
      if ProcessInfo.processInfo.environment["WCH_WRITE_DOCUMENTATION"] == "1" {
        lines.replaceSubrange(first..<end, with: table)
      } else {
        #expect(Array(lines[first..<end]) == table)
      }
    }
    guard ProcessInfo.processInfo.environment["WCH_WRITE_DOCUMENTATION"] == "1" else { return }
    try lines.joined(separator: "\n").write(to: Self.page, atomically: true, encoding: .utf8)
  }

  @Test("names are dotted words in lower case, and each is one event's")
  func names() {
    let names = LoggedEvent.allCases.map(\.rawValue)
    #expect(Set(names).count == names.count)
    for name in names { #expect(name.allSatisfy { $0.isLowercase || $0 == "." || $0 == "_" }) }
    for event in LoggedEvent.allCases { #expect(!event.levels.isEmpty) }
  }

  @Test("every line that is written names its event", arguments: ["Sidecar", "wch-sidecar"])
  func everyLine(module: String) throws {
    let sources = Self.page.deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: module)
    let found = FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil)
    let files = (found?.compactMap { $0 as? URL } ?? []).filter {
      $0.pathExtension == "swift" && $0.lastPathComponent != "LoggedEvent.swift"
    }
    try #require(!files.isEmpty)
    let calls = ["log(", "trace(", "debug(", "info(", "notice(", "warning(", "error(", "critical("]
    for file in files {
      let text = try String(contentsOf: file, encoding: .utf8)
      for call in calls {
        #expect(!text.contains("logger." + call), "\(file.lastPathComponent) has logger.\(call)")
      }
    }
  }
}

extension LogKeys.Form {
  fileprivate var word: String {
    switch self {
    case .text: "string"
    case .number: "number"
    case .list: "array of strings"
    }
  }
}
