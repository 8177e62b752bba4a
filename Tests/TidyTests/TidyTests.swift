import Foundation
import Testing

/// The repository's own rules, held by a test instead of by memory.
@Suite("The repository is tidy")
struct TidyTests {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// What each directory under Sources may import: arrows of the architecture, and no others.
  private static let allowed: [String: Set<String>] = [
    "TokenCore": [],
    "Hiredis": ["CHiredis"],
    "Dialing": ["NIOCore", "NIOPosix", "Synchronization", "Glibc"],
    "RedisClient": [
      "Dialing", "Hiredis", "NIOCore", "NIOPosix", "NIOSSL", "NIOTLS", "Logging", "Synchronization",
      "FoundationEssentials", "Glibc",
    ],
    "Sidecar": [
      "Dialing", "RedisClient", "TokenCore", "NIOCore", "NIOPosix", "NIOHTTP1", "NIOSSL", "NIOTLS",
      "Logging", "Crypto", "ServiceLifecycle", "UnixSignals", "Metrics", "CoreMetrics",
      "Synchronization", "FoundationEssentials", "Glibc",
    ],
    "WeChatSimulator": [
      "NIOCore", "NIOPosix", "NIOHTTP1", "NIOSSL", "Synchronization", "FoundationEssentials",
      "Glibc",
    ],
    "wch-sidecar": [
      "CEarlySignals", "Sidecar", "RedisClient", "TokenCore", "WeChatSimulator", "ArgumentParser",
      "Logging", "NIOCore", "NIOPosix", "FoundationEssentials", "Glibc", "Synchronization",
    ],
  ]

  /// What would make two runs of the simulation with one seed differ.
  private static let unrepeatable = [
    "Task", "async", "await", "Thread", "DispatchQueue", "Mutex", "ContinuousClock",
    "SuspendingClock", "Date(", "clock_gettime", "SystemRandomNumberGenerator", ".shuffled()",
    ".randomElement()", ".shuffle()",
  ]
  /// The sweep runs many seeds side by side, each of them in one task.
  private static let apart: [String: Set<String>] = ["Sweep.swift": ["Task", "async", "await"]]

  static func swiftFiles(under directory: String) -> [URL] {
    let base = root.appending(path: directory)
    let found = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil)
    return (found?.compactMap { $0 as? URL } ?? []).filter { $0.pathExtension == "swift" }
  }

  private static func lines(of file: URL) throws -> [Substring] {
    try String(contentsOf: file, encoding: .utf8).split(
      separator: "\n", omittingEmptySubsequences: false)
  }

  private static func imports(of file: URL) throws -> [String] {
    try lines(of: file).compactMap { line in
      var words = line.split(separator: " ")
      while let first = words.first,
        first.hasPrefix("@") || first == "package" || first == "public"
          || first == "internal" || first == "private" || first == "fileprivate"
      {
        words.removeFirst()
      }
      guard words.first == "import", words.count >= 2 else { return nil }
      let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "typealias"]
      let module = kinds.contains(words[1]) && words.count > 2 ? words[2] : words[1]
      return String(module.prefix { $0 != "." })
    }
  }

  @Test("every target imports only what the architecture allows", arguments: allowed.keys.sorted())
  func importsFollowTheArrows(target: String) throws {
    let files = Self.swiftFiles(under: "Sources/\(target)")
    try #require(!files.isEmpty)
    // The C library goes by the platform's name, where a file has to work on several.
    let allowed = Self.allowed[target]!.union(target == "TokenCore" ? [] : ["Darwin", "Musl"])
    for file in files {
      let strange = try Self.imports(of: file).filter { !allowed.contains($0) }
      #expect(strange.isEmpty, "\(file.lastPathComponent) imports \(strange)")
    }
  }

  @Test("the simulation imports nothing but the core that it judges")
  func simulationImportsTheCore() throws {
    let files = Self.swiftFiles(under: "Tests/Simulation")
    try #require(!files.isEmpty)
    for file in files {
      let strange = try Self.imports(of: file).filter { $0 != "TokenCore" }
      #expect(strange.isEmpty, "\(file.lastPathComponent) imports \(strange)")
    }
  }

  @Test("the simulation has no task, no clock and no chance but the seed's")
  func simulationIsRepeatable() throws {
    for file in Self.swiftFiles(under: "Tests/Simulation") {
      let excused = Self.apart[file.lastPathComponent] ?? []
      for (number, line) in try Self.lines(of: file).enumerated() {
        let code = line.range(of: "//").map { line[..<$0.lowerBound] } ?? line
        let found = Self.unrepeatable.filter { code.contains($0) && !excused.contains($0) }
        #expect(found.isEmpty, "\(file.lastPathComponent):\(number + 1) has \(found)")
        // Without `using:` a number is drawn from the system.
        let isDrawn = code.contains(".random(") && !code.contains("using:")
        #expect(!isDrawn, "\(file.lastPathComponent):\(number + 1) draws from the system")
      }
    }
  }

  @Test("every directory under Sources is known here")
  func directoriesAreKnown() throws {
    let found = try FileManager.default.contentsOfDirectory(
      atPath: Self.root.appending(path: "Sources").path())
    #expect(Set(found) == Set(Self.allowed.keys).union(["CEarlySignals", "CHiredis"]))
  }

  @Test("the top level holds the package, its sources, tests, deployment and readme")
  func topLevel() throws {
    let found = try FileManager.default.contentsOfDirectory(atPath: Self.root.path())
    let strange = found.filter {
      !$0.hasPrefix(".")
        && !["Package.swift", "Package.resolved", "Sources", "Tests", "deploy", "README.md"]
          .contains($0)
    }
    #expect(strange.isEmpty)
  }

  @Test("nothing is left open", arguments: ["Sources", "Tests"])
  func nothingIsLeftOpen(directory: String) throws {
    var open = ["TO" + "DO", "FIX" + "ME", "X" + "XX:"]
    if directory == "Sources" { open += ["try" + "!", "as" + "!"] }
    for file in Self.swiftFiles(under: directory) {
      let text = try String(contentsOf: file, encoding: .utf8)
      for word in open { #expect(!text.contains(word), "\(file.lastPathComponent) has \(word)") }
    }
  }

  @Test("no line is longer than a hundred columns", arguments: ["Sources", "Tests"])
  func linesAreShort(directory: String) throws {
    for file in Self.swiftFiles(under: directory) {
      // Characters are counted where the bytes are more: counting all of them takes half a minute.
      let long = try Self.lines(of: file).enumerated().filter {
        $0.element.utf8.count > 100 && $0.element.count > 100
      }
      #expect(long.isEmpty, "\(file.lastPathComponent): lines \(long.map { $0.offset + 1 })")
    }
  }

  /// What is longer is two things: these fall when the longest is cut, and never rise.
  private static let longestFile = 400
  private static let longestFunction = 70

  @Test("files and functions are short")
  func filesAndFunctionsAreShort() throws {
    let files = Self.swiftFiles(under: "Sources")
    try #require(!files.isEmpty)
    var functions = 0
    for file in files {
      let lines = try Self.lines(of: file)
      #expect(lines.count - 1 <= Self.longestFile, "\(file.lastPathComponent)")
      for (first, line) in lines.enumerated() {
        let code = line.drop { $0 == " " }
        guard code.contains(/^([a-z@()]+ )*(func |init[(?<])/) else { continue }
        let end = line.prefix { $0 == " " } + "}"
        // One that ends in its own line has no such line of its own.
        guard !code.hasSuffix("}"), let last = lines[first...].firstIndex(of: end) else { continue }
        functions += 1
        #expect(
          last - first < Self.longestFunction, "\(file.lastPathComponent):\(first + 1)")
      }
    }
    #expect(functions > 500)
  }

  /// Managed services read a script for what it calls, and on which keys, before they run it.
  @Test("scripts call commands by their names, on keys by their places")
  func scriptsNameWhatTheyTouch() throws {
    let scripts = Self.files(withExtension: "lua")
    try #require(scripts.count > 10)
    let keyless: Set = ["TIME", "PUBLISH", "INFO"]
    for script in scripts {
      let text = try String(contentsOf: script, encoding: .utf8)
      let calls = text.matches(of: /redis\.p?call\(/).count
      let named = text.matches(of: /redis\.p?call\('([A-Z]+)'(, KEYS\[[0-9]+\])?/)
      #expect(named.count == calls, "\(script.lastPathComponent) calls what it does not name")
      for call in named where call.output.2 == nil {
        #expect(
          keyless.contains(String(call.output.1)),
          "\(script.lastPathComponent): the key of \(call.output.1) is not one of KEYS[n]")
      }
    }
  }

  // MARK: Pointers

  /// The headings of every page, as they are linked to; of pages of one name, all of them.
  private static func anchors() throws -> [String: Set<String>] {
    var anchors: [String: Set<String>] = [:]
    for page in files(withExtension: "md") {
      let headings = try lines(of: page).filter { $0.hasPrefix("#") }
      let names = headings.map { heading in
        String(
          heading.drop { $0 == "#" }.dropFirst().lowercased().compactMap { letter -> Character? in
            if letter == " " { return "-" }
            return letter.isLetter || letter.isNumber || "-_".contains(letter) ? letter : nil
          })
      }
      anchors[page.lastPathComponent, default: []].formUnion(names)
    }
    return anchors
  }

  private static func files(withExtension ending: String) -> [URL] {
    ["README.md", "Sources", "Tests", "deploy"].flatMap { place -> [URL] in
      let base = root.appending(path: place)
      let found = FileManager.default.enumerator(at: base, includingPropertiesForKeys: nil)
      return [base] + (found?.compactMap { $0 as? URL } ?? [])
    }.filter { $0.pathExtension == ending }
  }

  @Test("what a comment or a page points to is there")
  func pointersResolve() throws {
    let anchors = try Self.anchors()
    var pointers = 0
    for file in Self.files(withExtension: "swift") + Self.files(withExtension: "md") {
      let text = try String(contentsOf: file, encoding: .utf8)
      for match in text.matches(of: /([A-Za-z][A-Za-z.-]*\.md)#([a-z0-9_-]+)/) {
        // What stands in code is put together there, and tested where it is.
        let (page, anchor) = (String(match.output.1), String(match.output.2))
        guard let known = anchors[page] else {
          Issue.record("\(file.lastPathComponent) points to \(page), which is not there")
          continue
        }
        pointers += 1
        #expect(
          known.contains(anchor), "\(file.lastPathComponent) points to \(page)#\(anchor)")
      }
      // Documents that the repository does not hold tell its readers nothing.
      let elsewhere = text.firstMatch(of: /\b(DESIGN|PROTOCOL|WECHAT|REDIS)(\.md)? sections? [0-9]/)
      #expect(elsewhere == nil, "\(file.lastPathComponent): \(elsewhere?.output.0 ?? "")")
    }
    #expect(pointers > 50)
  }

  @Test("every unchecked Sendable says in a paragraph why it is safe")
  func uncheckedSendableIsArgued() throws {
    for file in Self.swiftFiles(under: "Sources") {
      let lines = try Self.lines(of: file)
      for (number, line) in lines.enumerated()
      where line.contains("@unchecked" + " Sendable") && !line.contains("//") {
        let above = lines[max(0, number - 12)..<number]
        let comment = above.filter { $0.contains("//") }
        #expect(comment.count >= 2, "\(file.lastPathComponent):\(number + 1) gives no reason")
      }
    }
  }
}
