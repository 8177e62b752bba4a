import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing

/// The demo, as a person at a terminal and as a script meets it.
@Suite struct DemoTests {
  @Test("with --for it kills the leader, sees it replaced, and ends with 0")
  func transcript() async throws {
    let demo = try SidecarProcess(
      ["demo", "--plain", "--for", "16s"], environment: Self.environment, instance: "demo")
    #expect(try await demo.waitForExit(within: .seconds(60)) == .code(0), "\(demo.errorText)")
    let text = demo.outputText
    for words in [
      "has the lock", "WCH_access_token", "WCH_expires_in", "is killed (SIGKILL)", "is started",
      "\"event\":\"token\"", ": 100 %",
    ] {
      #expect(text.contains(words), "\(words) is missing in:\n\(text)")
    }
    #expect(!text.contains("demo-secret"))
  }

  @Test("without a redis-server it says how to get one, and ends with 69")
  func redisMissing() async throws {
    let demo = try SidecarProcess(
      ["demo", "--plain"], environment: ["PATH": "/nowhere"], instance: "demo")
    #expect(try await demo.waitForExit() == .code(69))
    #expect(demo.errorText.contains("apt-get install redis-server"))
  }

  @Test(
    "a course that cannot be run is a wrong use: 64",
    arguments: [["--for", "5s"], ["--for", "20"], ["--replicas", "0"], ["--replicas", "99"]])
  func wrongUse(arguments: [String]) async throws {
    let demo = try SidecarProcess(
      ["demo", "--plain"] + arguments, environment: Self.environment, instance: "demo")
    #expect(try await demo.waitForExit() == .code(64))
  }

  @Test("of several accounts each gets what it asks for; SIGTERM puts everything away")
  func terminated() async throws {
    let demo = try SidecarProcess(
      ["demo", "--plain", "--accounts", "3"], environment: Self.environment, instance: "demo")
    try await waitUntil("a token that is used", within: .seconds(20)) {
      demo.outputText.contains("now ")
    }
    for account in ["default", "shop", "shop/jsapi_ticket", "corp", "corp/agent_config_ticket"] {
      try await waitUntil("what \(account) asks for", within: .seconds(20)) {
        demo.outputText.contains("\"event\":\"token\",\"account\":\"\(account)\"")
      }
    }
    let port = try #require(demo.outputText.firstMatch(of: #/127\.0\.0\.1:([0-9]+)/#)?.1)
    #expect(await Self.isListening(onPort: port))
    demo.terminate()
    #expect(try await demo.waitForExit() == .code(0), "\(demo.errorText)")
    #expect(await !Self.isListening(onPort: port))
  }

  @Test("through every key of the live view the application's success stays at 100 %")
  func everyKey() async throws {
    let demo = try TerminalDemo()
    var screen = try await demo.wait(for: "a leader and a token in use") {
      $0.leader != nil && $0.uses > 0
    }

    let first = try #require(screen.leader)
    demo.type("k")
    screen = try await demo.wait(for: "the dead leader's successor") {
      $0.states[first] == "gone" && $0.leader != nil
    }
    demo.type("s")
    screen = try await demo.wait(for: "the dead one's return") { $0.states[first] == "follows" }

    let second = try #require(screen.leader)
    demo.type("p")
    screen = try await demo.wait(for: "the paused leader's successor") {
      $0.states[second] == "paused" && $0.leader != nil
    }
    demo.type("p")
    screen = try await demo.wait(for: "the paused one's return") {
      $0.states[second] == "follows"
    }

    let lock = screen.lock
    demo.type("w")
    screen = try await demo.wait(for: "a lock and a token after the wipe") {
      $0.lock != nil && $0.lock != lock && $0.leader != nil && $0.token != nil
    }

    // What nobody should obey: letters without a meaning, and an arrow.
    demo.type("x")
    demo.type("\u{1b}[A")

    demo.type("b")
    screen = try await demo.wait(for: "a refresh that WeChat refuses") {
      $0.has("WeChat broken") && $0.hasHappened("WeChat gave no token")
    }
    let before = screen.token
    demo.type("b")
    screen = try await demo.wait(for: "the refresh made up for") {
      $0.has("WeChat works") && $0.token != nil && $0.token != before
    }

    let revoked = screen.token
    demo.type("r")
    screen = try await demo.wait(for: "a token in place of the dead one") {
      $0.hasHappened("reported to WCH") && $0.token != nil && $0.token != revoked
    }

    demo.resize(columns: 40, rows: 8)
    screen = try await demo.wait(for: "a small picture") {
      $0.lines.count <= 8 && $0.lines.allSatisfy { $0.count <= 40 }
    }
    #expect(screen.has("k kill"))
    demo.resize(columns: 80, rows: 24)

    let used = screen.uses
    screen = try await demo.wait(for: "uses afterwards") { $0.uses > used + 10 && $0.has("r rev") }
    #expect(screen.lines.count == 24)
    demo.type("q")
    let exit = try await demo.waitForExit()
    #expect(exit == .code(0), "\(demo.tail)")
    #expect(demo.tail.contains(": 100 %"))
    #expect(demo.isGivenBack)
    // Every picture was watched, not only those that were waited for.
    #expect(demo.imperfections.isEmpty)
  }

  @Test("a demo that is killed leaves no process behind, and the terminal as terminals are")
  func killed() async throws {
    let demo = try TerminalDemo()
    let screen = try await demo.wait(for: "a leader and a token in use") {
      $0.leader != nil && $0.uses > 0
    }
    #expect(await Self.isListening(onPort: screen.port))
    demo.kill()
    try await waitUntil("the end of Redis and of the replicas", within: .seconds(10)) {
      let isListening = await Self.isListening(onPort: screen.port)
      return !isListening && screen.processes.allSatisfy(Self.isGone)
    }
    try await waitUntil("the terminal's return", within: .seconds(10)) {
      demo.read()
      return demo.isSane && demo.tail.hasSuffix("\u{1b}[?1049l")
    }
  }

  private static let environment = [
    "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
  ]

  /// Whether a process has ended; one that nobody has waited for yet has.
  private static func isGone(_ id: Int) -> Bool {
    guard let stat = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8) else {
      return true
    }
    return stat.split(separator: ") ").last?.first == "Z"
  }

  /// Whether somebody takes connections on a port of 127.0.0.1.
  private static func isListening(onPort port: Substring) async -> Bool {
    guard let port = Int(port),
      let channel = try? await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(host: "127.0.0.1", port: port).get()
    else { return false }
    try? await channel.close()
    return true
  }
}

/// A demo in a pseudo-terminal.
private final class TerminalDemo {
  /// What one picture says.
  struct Screen {
    let lines: [String]
    /// The lines of all pictures since the last key.
    let history: Set<String>

    /// Whether a line of any picture since the last key has the words.
    func hasHappened(_ words: String) -> Bool { history.contains { $0.contains(words) } }

    /// Whether a line has the words.
    func has(_ words: String) -> Bool { lines.contains { $0.contains(words) } }

    /// The replicas' states by their names.
    var states: [String: String] {
      var states: [String: String] = [:]
      for replica in replicas { states[String(replica.0)] = String(replica.state) }
      return states
    }
    var leader: String? { states.first { $0.value == "leads" }?.key }
    var processes: [Int] { replicas.compactMap { Int($0.process) } }
    private var replicas: [(Substring, process: Substring, state: Substring)] {
      lines.compactMap { line in
        line.firstMatch(of: #/^([a-i]) +([0-9]+|-) +(leads|follows|paused|gone)/#)
          .map { ($0.1, $0.2, $0.3) }
      }
    }

    /// The first characters of the token, and those of the lock's value.
    var token: String? { value(of: "WCH_access_token") }
    var lock: String? { value(of: "WCH_leader") }
    private func value(of key: String) -> String? {
      lines.lazy.map { $0.split(separator: " ") }
        .first { $0.count > 2 && $0[0] == key }.map { String($0[1]) }
    }
    var port: Substring {
      lines.first?.firstMatch(of: #/127\.0\.0\.1:([0-9]+)/#)?.1 ?? ""
    }
    private var figures: (percent: Int, succeeded: Int, uses: Int)? {
      lines.lazy.compactMap {
        $0.firstMatch(of: #/^application +([0-9]+) % +([0-9]+) of ([0-9]+) uses/#)
      }.first.flatMap { match in
        guard let percent = Int(match.1), let succeeded = Int(match.2), let uses = Int(match.3)
        else { return nil }
        return (percent, succeeded, uses)
      }
    }
    var uses: Int { figures?.uses ?? 0 }
    /// Whether the figures are shown and say that every use succeeded.
    var isPerfect: Bool { figures.map { $0.percent == 100 && $0.succeeded == $0.uses } ?? true }
  }

  /// `TIOCSPTLCK` and `TIOCGPTN` of Linux's <asm/ioctls.h>: macros that Swift does not see.
  private static let setLock: UInt = 0x4004_5431
  private static let getNumber: UInt = 0x8004_5430

  private let master: CInt
  private let slave: CInt
  private let former: termios
  private let process: ChildProcess
  private var bytes: [UInt8] = []
  private var screen = Screen(lines: [], history: [])
  private var history: Set<String> = []
  /// Pictures on which success was below 100 %.
  private(set) var imperfections: [String] = []

  init() throws {
    master = unsafe open("/dev/ptmx", O_RDWR | O_NOCTTY)
    var number: CInt = 0
    var isLocked: CInt = 0
    try #require(master >= 0)
    try #require(unsafe ioctl(master, Self.setLock, &isLocked) == 0)
    try #require(unsafe ioctl(master, Self.getNumber, &number) == 0)
    let name = "/dev/pts/\(number)"
    slave = unsafe open(name, O_RDWR | O_NOCTTY)
    try #require(slave >= 0)
    var settings = termios()
    unsafe tcgetattr(slave, &settings)
    former = settings
    for end in [master, slave] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(master, F_SETFL, O_NONBLOCK)
    process = try ChildProcess(
      [SidecarProcess.binary, "demo"],
      environment: [
        "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin", "TERM": "xterm",
      ], standardInput: slave, standardOutput: slave, standardError: slave)
    resize(columns: 80, rows: 24)
  }

  deinit {
    process.end(SIGKILL)
    close(master)
    close(slave)
  }

  func type(_ keys: String) {
    history = []
    let bytes = Array(keys.utf8)
    _ = unsafe write(master, bytes, bytes.count)
  }

  func resize(columns: UInt16, rows: UInt16) {
    var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
    _ = unsafe ioctl(master, UInt(TIOCSWINSZ), &size)
  }

  /// SIGKILL, and waits for the end.
  func kill() { process.end(SIGKILL) }

  func waitForExit() async throws -> ChildProcess.Exit {
    let exit = try await waited(for: "the end of the demo", within: .seconds(20)) {
      read()
      return process.exit
    }
    read()
    return exit
  }

  /// Waits for a picture.
  func wait(
    for what: String, within limit: Duration = .seconds(60), _ isMeant: (Screen) -> Bool
  ) async throws -> Screen {
    do {
      return try await waited(for: what, within: limit, every: .milliseconds(20)) {
        read()
        return isMeant(screen) ? screen : nil
      }
    } catch let error as TimedOut {
      throw SidecarProcess.Failure("\(error):\n\(screen.lines.joined(separator: "\n"))")
    }
  }

  /// The end of all that was written, control sequences and all.
  var tail: String { String(decoding: bytes.suffix(2000), as: UTF8.self) }

  /// Whether the terminal has the settings that it had before.
  var isGivenBack: Bool {
    var now = termios()
    unsafe tcgetattr(slave, &now)
    return now.c_lflag == former.c_lflag && now.c_iflag == former.c_iflag
      && now.c_oflag == former.c_oflag && now.c_cflag == former.c_cflag
  }

  /// Whether the terminal echoes and works by lines.
  var isSane: Bool {
    var now = termios()
    unsafe tcgetattr(slave, &now)
    return now.c_lflag & tcflag_t(ICANON) != 0 && now.c_lflag & tcflag_t(ECHO) != 0
  }

  /// Takes in what was drawn since the last time.
  func read() {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe Foundation.read(master, &buffer, buffer.count)
      guard count > 0 else { break }
      bytes += buffer[..<count]
    }
    // Every picture begins at the top left and ends by clearing what is below it.
    let (begin, end) = (Array("\u{1b}[H".utf8), Array("\u{1b}[J".utf8))
    while let from = bytes.firstRange(of: begin)?.upperBound,
      let to = bytes[from...].firstRange(of: end)
    {
      let text = String(decoding: bytes[from..<to.lowerBound], as: UTF8.self)
        .replacing(#/\u{1b}\[[0-9;?]*[A-Za-z]/#, with: "")
      let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
      history.formUnion(lines)
      screen = Screen(lines: lines, history: history)
      if !screen.isPerfect { imperfections.append(text) }
      bytes.removeFirst(to.upperBound)
    }
  }
}
