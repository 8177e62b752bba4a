import Foundation
import Logging
import Synchronization
import Testing

@testable import Sidecar

/// Lines in memory.
private final class Lines: Sendable {
  private let all = Mutex<[String]>([])
  var last: String { all.withLock { $0.last ?? "" } }
  func append(_ line: String) { all.withLock { $0.append(line) } }
}

@Suite struct LineLogHandlerTests {
  private let lines = Lines()

  private func logger(_ format: LogFormat, level: Logger.Level = .trace) -> Logger {
    Logger(label: "wch") { [lines] label in
      LineLogHandler(
        label: label, level: level, format: format, now: { Timestamp(milliseconds: 0) },
        write: lines.append)
    }
  }

  @Test func `an event is one line of JSON with dotted keys`() {
    var logger = logger(.json)
    logger[metadataKey: "instance"] = "host-1"
    logger.notice(
      "Token refreshed",
      metadata: [
        "token": ["expires_at": .stringConvertible(1700), "digest": "ab"],
        "ok": .stringConvertible(true), "seconds": .stringConvertible(1.5),
        "list": ["a", .stringConvertible(2)],
      ])
    #expect(
      lines.last == """
        {"time":"1970-01-01T00:00:00.000Z","level":"notice","logger":"wch",\
        "message":"Token refreshed","event":"library","instance":"host-1","list":["a",2],\
        "ok":true,"seconds":1.5,"token.digest":"ab","token.expires_at":1700}\n
        """)
  }

  @Test(arguments: [
    "quote \" backslash \\ slash /", "two\nlines\r\n\ttabbed", "\u{0}\u{1f}\u{7f}\u{85}",
    "\u{2028}\u{2029}", "微信 🎫 e\u{301}", "",
  ])
  func `whatever a text holds, the line is one line of valid JSON that says it`(text: String)
    throws
  {
    logger(.json).info("\(text)", metadata: ["\(text)k": "\(text)"])
    let line = lines.last
    #expect(line.unicodeScalars.filter { $0 == "\n" || $0 == "\u{2028}" }.count == 1)
    #expect(line.hasSuffix("}\n"))
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: String])
    #expect(object["message"] == text)
    #expect(object["\(text)k"] == text)
  }

  @Test func `metadata does not take the place of the line's own keys`() throws {
    logger(.json).info("hello", metadata: ["message": "other", "time": "never"])
    #expect(lines.last.contains("\"message\":\"hello\""))
    #expect(lines.last.contains("\"metadata.message\":\"other\""))
  }

  @Test func `a long text is cut`() {
    logger(.json).info("hello", metadata: ["long": "\(String(repeating: "x", count: 100_000))"])
    #expect(lines.last.utf8.count < LineLogHandler.longestValue + 200)
  }

  @Test func `for people the line is plain and obeys no control character`() {
    logger(.text).warning(
      "Redis is away", metadata: ["error": "no\u{1b}[31m route\nX", "count": "3", "empty": ""])
    #expect(
      lines.last == "1970-01-01T00:00:00.000Z WARNING  Redis is away count=3 empty=\"\""
        + " error=\"no\\u{1b}[31m route\\u{a}X\" event=library\n")
  }

  @Test func `a line is bounded, whatever its values are made of`() {
    let marked = "e" + String(repeating: "\u{301}", count: 100_000)
    logger(.json).info("\(marked)", metadata: ["a": "\(marked)"])
    #expect(lines.last.utf8.count < 2 * LineLogHandler.longestValue + 200)
    var metadata: Logger.Metadata = [:]
    for number in 0..<100 {
      metadata["k\(number)"] = "\(String(repeating: "\u{1}", count: 4000))"
    }
    metadata["z"] = "short"
    for format in LogFormat.allCases {
      logger(format).info("hello", metadata: metadata)
      #expect(lines.last.utf8.count <= LineLogHandler.longestLine + 2)
      #expect(lines.last.contains("short"))
      #expect(lines.last.hasSuffix("\n"))
    }
  }

  @Test func `every line has an event, a library's one too`() throws {
    logger(.json).tell(.leadTaken, "This replica leads", .keyed([.leaderEpoch: .number(7)]))
    #expect(lines.last.contains(#""level":"notice""#))
    #expect(lines.last.contains(#""event":"lead.taken","leader.epoch":7}"#))
    logger(.json).info("hello")
    #expect(lines.last.contains(#""event":"library""#))
  }

  @Test(
    arguments: zip(
      [Logger.Level.trace, .debug, .info, .notice, .warning, .error, .critical],
      [7, 7, 6, 5, 4, 3, 2]))
  func `under the journal a line begins with its priority`(level: Logger.Level, priority: Int) {
    for format in LogFormat.allCases {
      let logger = Logger(label: "wch") { [lines] label in
        LineLogHandler(
          label: label, level: .trace, format: format, hasPriority: true, write: lines.append)
      }
      logger.log(level: level, "hello")
      #expect(lines.last.hasPrefix("<\(priority)>\(format == .json ? "{" : "")"))
    }
  }

  @Test func `the level may change for all loggers but those that have their own`() {
    let threshold = LogThreshold()
    let logger = Logger(label: "wch") { [lines] label in
      LineLogHandler(
        label: label, level: .warning, format: .text, threshold: threshold, write: lines.append)
    }
    var quiet = logger
    quiet.logLevel = .error
    logger.info("one")
    #expect(lines.last == "")
    threshold.level = .info
    logger.info("two")
    #expect(lines.last.contains("two"))
    quiet.warning("three")
    #expect(lines.last.contains("two"))
    #expect(logger.logLevel == .info && quiet.logLevel == .error)
  }

  @Test func `events below the level are not written`() {
    logger(.json, level: .warning).info("quiet")
    #expect(lines.last == "")
  }

  @Test func `keys are dotted, in lower case and unique`() {
    let keys = LogKeys.allCases.map(\.rawValue)
    #expect(Set(keys).count == keys.count)
    for key in keys {
      #expect(key.allSatisfy { $0.isLowercase || $0 == "." || $0 == "_" })
    }
  }

  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"), (951_782_400_007, "2000-02-29T00:00:00.007Z"),
    (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
    (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    (1_735_689_599_001, "2024-12-31T23:59:59.001Z"), (-1, "1969-12-31T23:59:59.999Z"),
  ])
  func `instants are written as RFC 3339 in UTC`(milliseconds: Int64, text: String) {
    #expect(Timestamp(milliseconds: milliseconds).description == text)
  }

  @Test func `dates agree with the calendar on every day of four centuries`() {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = .gmt
    for day in stride(from: Int64(-36_500), through: 110_000, by: 97) {
      let date = Date(timeIntervalSince1970: Double(day) * 86_400)
      let parts = calendar.dateComponents([.year, .month, .day], from: date)
      let expected = String(
        format: "%04d-%02d-%02d", parts.year ?? 0, parts.month ?? 0, parts.day ?? 0)
      #expect(Timestamp(second: day * 86_400).description.prefix(10) == expected)
    }
  }

  @Test func `a file is appended to, and reopened after it was moved away`() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "wch-log-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appending(path: "log").path
    let output = try LogOutput(file: path)
    output.write("one\n")
    try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
    output.write("two\n")
    try output.reopen()
    output.write("three\n")
    #expect(try String(contentsOfFile: path + ".1", encoding: .utf8) == "one\ntwo\n")
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "three\n")
    #expect(!output.isTerminal)
    try FileManager.default.removeItem(at: folder)
    #expect(throws: FileProblem.self) { try output.reopen() }
    output.write("still somewhere\n")
  }

  @Test func `a reader that stands still costs lines and no time`() async throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "wch-fifo-\(UUID())").path
    let made = unsafe mkfifo(path, 0o600)
    try #require(made == 0)
    defer { try? FileManager.default.removeItem(atPath: path) }
    // Open for both, so that neither end waits for the other; nothing is ever read until the end.
    let reader = unsafe open(path, O_RDWR | O_NONBLOCK)
    try #require(reader >= 0)
    defer { close(reader) }
    let output = try LogOutput(file: path)
    let line = String(repeating: "x", count: 999) + "\n"
    // A pipe holds 64 KiB.
    for _ in 0..<100 { output.write(line) }
    #expect(output.linesLost >= 30)
    let lost = output.linesLost
    var drained = [UInt8](repeating: 0, count: 1 << 20)
    let count = unsafe read(reader, &drained, drained.count)
    #expect(count > 60_000)
    output.write(line)
    #expect(output.linesLost == lost)
  }
}
