import Foundation
import Testing

/// One-way arrows inside `Sidecar`, where the compiler sees none.
@Suite("Folders of the daemon")
struct FolderTests {
  /// The folders of `Sources/Sidecar`, each with what it is; one may use those above it only.
  static let folders: [(name: String, meaning: String)] = [
    ("Notation", "how things are written: bytes, times, JSON, two languages, secrets not at all"),
    ("Process", "what a process has: a clock, threads, small files, gates"),
    ("Logging", "lines of the log"),
    ("WeChat", "calls to WeChat, and what its answers mean"),
    ("Store", "keys, scripts and messages in Redis"),
    ("Settings", "what the daemon was told"),
    ("Health", "what is wrong, in words"),
    ("Metrics", "what is counted, and the alerts on it"),
    ("Outputs", "files and programs that tokens are handed on to"),
    ("Status", "the HTTP interface and its page"),
    ("Keeping", "the keeper's loop with everything wired to it"),
    ("Daemon", "what the verbs run"),
  ]

  @Test("no folder of the daemon's uses what is in a later one")
  func foldersFollowTheArrows() throws {
    let ranks = Dictionary(
      uniqueKeysWithValues: Self.folders.enumerated().map { ($0.element.name, $0.offset) })
    let files = try SwiftSource.all(under: "Sources/Sidecar")
    var places: [String: Set<String>] = [:]
    var inner: [String: Set<String>] = [:]
    for (path, source) in files {
      let folder = String(path.prefix { $0 != "/" })
      #expect(ranks[folder] != nil, "\(path) is in no folder that is known here")
      for declaration in source.declarations {
        if declaration.owner == nil {
          places[declaration.name, default: []].insert(folder)
        } else {
          inner[folder, default: []].insert(declaration.name)
        }
      }
    }
    var arrows = 0
    for (path, source) in files {
      let folder = String(path.prefix { $0 != "/" })
      for use in source.uses {
        // What is named behind a dot is somebody's member.
        guard use.base == .none, let homes = places[use.name], !homes.contains(folder),
          inner[folder]?.contains(use.name) != true
        else { continue }
        arrows += 1
        let isBelow = homes.contains { ranks[$0, default: .max] < ranks[folder, default: 0] }
        #expect(
          isBelow, "\(path):\(use.line) uses \(use.name), which is in \(homes.sorted())")
      }
    }
    #expect(arrows > 500)
  }

  @Test("the folders are shown to whoever works on them")
  func foldersAreShown() throws {
    let page = try String(
      contentsOf: TidyTests.root.appending(path: "deploy/CONTRIBUTING.md"), encoding: .utf8)
    let rows = Self.folders.map { "| `\($0.name)` | \($0.meaning) |" }
    let table = (["| folder | what it is |", "|---|---|"] + rows).joined(separator: "\n")
    #expect(page.contains(table + "\n\n"), "CONTRIBUTING.md shows another table than\n\(table)")
  }
}
