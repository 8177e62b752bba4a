import Foundation
import TestSupport
import Testing
import TokenCore

@testable import Sidecar

@Suite("What is in a file, and how it gets there") struct ReplacedFileTests {
  private let directory: URL

  init() throws {
    directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("file-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  private func path(_ name: String) -> String { directory.appendingPathComponent(name).path }

  private func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
  }

  private func permissions(_ name: String) throws -> Int? {
    try FileManager.default.attributesOfItem(atPath: path(name))[.posixPermissions] as? Int
  }

  private static let parts = [
    Errand.Part(
      .unnamed, AccessToken("72_abc-DEF"),
      version: Version(epoch: Epoch(7), sequence: 3), expiresAt: 1_800_000_000),
    Errand.Part(
      CredentialID(.unnamed, .jsapiTicket), AccessToken("tick\"et"),
      version: Version(epoch: Epoch(7), sequence: 1), expiresAt: 1_800_000_060),
  ]

  @Test("each form is what its readers read")
  func forms() throws {
    func text(_ form: FileTarget.Form) -> String {
      String(decoding: FileContent.bytes(form, Self.parts), as: UTF8.self)
    }
    #expect(
      text(.json) == #"{"access_token":"72_abc-DEF","expires_time":1800000000,"#
        + #""tickets":{"jsapi":{"ticket":"tick\"et","expires_time":1800000060}}}"# + "\n")
    _ = try JSONSerialization.jsonObject(with: Data(text(.json).utf8))
    #expect(text(.raw) == "72_abc-DEF")
    #expect(text(.env) == "WCH_ACCESS_TOKEN=72_abc-DEF\nWCH_EXPIRES_IN=1800000000\n")
    // What WeChat's sample cuts off.
    #expect(text(.php).prefix(15) == "<?php exit();?>")
    let php = try JSONSerialization.jsonObject(with: Data(text(.php).dropFirst(15).utf8))
    #expect((php as? [String: Any])?["expire_time"] as? Int == 1_800_000_000)
    #expect((php as? [String: Any])?["access_token"] as? String == "72_abc-DEF")
    #expect(FileContent.bytes(.json, []).isEmpty)
  }

  @Test("a file is replaced as a whole, with its permissions, and nothing is left beside it")
  func replaces() throws {
    let file = ReplacedFile(path: path("t"), mode: 0o640)
    #expect(try file.holds([1]) == nil)
    #expect(try file.write([1]))
    #expect(try file.holds([1]) == true)
    #expect(try file.write([2, 3]))
    #expect(try file.holds([1]) == false)
    #expect(try names() == ["t"])
    #expect(try permissions("t") == 0o640)
  }

  @Test("what comes too late replaces nothing")
  func late() throws {
    let file = ReplacedFile(path: path("t"), mode: 0o640)
    #expect(try file.write([1]))
    #expect(try !file.write([2], isWanted: { false }))
    #expect(try file.holds([1]) == true)
    #expect(try names() == ["t"])
  }

  @Test("a link stays, and what it names is replaced, or put there", arguments: ["t", "./t", "/"])
  func links(target: String) throws {
    try FileManager.default.createSymbolicLink(
      atPath: path("link"), withDestinationPath: target == "/" ? path("t") : target)
    let file = ReplacedFile(path: path("link"), mode: 0o600)
    for byte: UInt8 in 0...1 {
      #expect(try file.write([byte]))
      #expect(try names() == ["link", "t"])
      #expect(try Data(contentsOf: URL(fileURLWithPath: path("t"))) == Data([byte]))
    }
  }

  @Test("links that lead nowhere or in a circle are told")
  func lostLinks() throws {
    try FileManager.default.createSymbolicLink(
      atPath: path("lost"), withDestinationPath: "gone/t")
    try FileManager.default.createSymbolicLink(
      atPath: path("circle"), withDestinationPath: "circle")
    for name in ["lost", "circle"] {
      let file = ReplacedFile(path: path(name), mode: 0o600)
      #expect(throws: FileProblem.self) { try file.write([1]) }
    }
    #expect(try names() == ["circle", "lost"])
  }

  @Test("what a killed process left half done is cleared away, and nothing else")
  func clears() throws {
    for name in [
      "t", ".t.0123456789abcdef.tmp", ".t.short.tmp", ".u.0123456789abcdef.tmp", "t.tmp",
    ] {
      try Data().write(to: URL(fileURLWithPath: path(name)))
    }
    ReplacedFile(path: path("t"), mode: 0o600).clear()
    #expect(try names() == [".t.short.tmp", ".u.0123456789abcdef.tmp", "t", "t.tmp"])
  }

  @Test(
    "what cannot be written says why, and leaves nothing",
    arguments: [
      ("none/t", "its directory is not there"), (".", "is a directory"),
      ("plain/t", "its directory is none"),
    ])
  func failures(name: String, words: String) throws {
    try Data().write(to: URL(fileURLWithPath: path("plain")))
    do {
      _ = try ReplacedFile(path: path(name), mode: 0o600).write([1])
      Issue.record("it was written")
    } catch {
      #expect(error.reason.contains(words), "\(error)")
    }
    #expect(try names() == ["plain"])
  }
}

@Suite("Programs that are run") struct ChildProgramTests {
  private static let environment = ["PATH": "/usr/bin:/bin", "FACT": "seven"]

  private func run(
    _ words: [String], input: String = "token", kept: Int = 4096,
    time: Duration = .seconds(30), stop: Bool = false
  ) async throws -> (end: ChildProgram.End, output: String) {
    var limits = ChildProgram.Limits()
    limits.time = time
    limits.grace = .milliseconds(100)
    let program = ChildProgram(
      words, environment: Self.environment, input: Array(input.utf8), kept: kept, limits: limits)
    if stop { program.stop() }
    let (end, output) = try await onThread { program.run() }
    return (end, String(decoding: output, as: UTF8.self))
  }

  private func shell(
    _ script: String, time: Duration = .seconds(30), stop: Bool = false
  ) async throws -> (end: ChildProgram.End, output: String) {
    try await run(["/bin/sh", "-c", script], time: time, stop: stop)
  }

  @Test("a program reads its input to the end, has its environment, and both outputs are kept")
  func basics() async throws {
    let (end, output) = try await shell("cat; echo \" $FACT $WCH_APPSECRET\"; echo oops >&2")
    #expect(end == .exited(0))
    #expect(output == "token seven \noops\n")
  }

  @Test("arguments are arguments, whatever is in them")
  func arguments() async throws {
    let (end, output) = try await run(["/bin/echo", "a  b", "$(id)", "", "'"])
    #expect(end == .exited(0))
    #expect(output == "a  b $(id)  '\n")
  }

  @Test("it inherits no descriptor, no blocked signal, and no terminal's session")
  func inheritance() async throws {
    let file = unsafe open("/dev/null", O_RDONLY)
    defer { close(file) }
    let (_, output) = try await shell(
      "ls /proc/self/fd | wc -l; grep -c '^SigBlk:.0*$' /proc/self/status;"
        + " [ $(cut -d' ' -f6 /proc/self/stat) = $$ ] && echo leads")
    // Three, and the one that `ls` reads the directory by.
    #expect(output.split(separator: "\n") == ["4", "1", "leads"])
  }

  @Test("its end is told as it was")
  func ends() async throws {
    #expect(try await shell("exit 3").end == .exited(3))
    #expect(try await shell("kill -9 $$").end == .killed(signal: 9))
    guard case .notStarted(let reason) = try await run(["/nowhere/program"]).end else {
      return #expect(Bool(false))
    }
    #expect(reason.contains("not there"))
  }

  @Test("who never reads the input is not waited for by whoever writes it")
  func unread() async throws {
    let input = String(repeating: "x", count: 2048)
    #expect(try await run(["/bin/true"], input: input).end == .exited(0))
  }

  @Test("who takes too long is asked to end, then ended, with what it has started")
  func late() async throws {
    let asked = try await shell(
      "trap 'echo asked; exit 0' TERM; echo on; sleep 600 & wait", time: .milliseconds(300))
    #expect(asked.end == .late)
    #expect(asked.output.hasPrefix("on"))
    #expect(asked.output.contains("asked"))
    let deaf = try await shell(
      "trap '' TERM; echo $$; sleep 600", time: .milliseconds(300))
    #expect(deaf.end == .late)
    let id = try #require(Int32(deaf.output.trimmingCharacters(in: .newlines)))
    try await waitUntil("the whole group is gone", within: patience) { kill(-id, 0) != 0 }
  }

  @Test("who prints without end is kept to its time, and its beginning is kept")
  func endless() async throws {
    let (end, output) = try await run(["/usr/bin/yes"], kept: 100, time: .milliseconds(300))
    #expect(end == .late)
    #expect(output == String(repeating: "y\n", count: 50))
  }

  @Test("who leaves somebody behind that keeps the pipe open has ended all the same")
  func grandchild() async throws {
    let (end, output) = try await shell("sleep 600 & echo $!")
    #expect(end == .exited(0))
    let id = try #require(Int32(output.trimmingCharacters(in: .newlines)))
    #expect(kill(id, SIGKILL) == 0, "what a program leaves on purpose is let live")
  }

  @Test("who is not wanted any more is ended soon")
  func stopped() async throws {
    #expect(try await shell("exec sleep 600", stop: true).end == .stopped)
    #expect(try await shell("trap '' TERM; sleep 600", stop: true).end == .stopped)
  }
}

@Suite("What programs print") struct MaskedTextTests {
  private static let token = "72_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_abcdef"

  private func masked(_ text: String, longest: Int = 4096) -> String {
    MaskedText.text(Array(text.utf8), without: [Self.token], longest: longest)
  }

  @Test(
    "a token is masked whole, in pieces and over lines",
    arguments: [
      ("got \(token).\n", "got <token>."), ("\(token)\(token)", "<token>"),
      ("piece \(token.prefix(20)) end", "piece <token> end"),
      ("> \(token.prefix(20))\n> \(token.dropFirst(20))\n", "> <token>\n> <token>"),
      (token.map { "\($0)\n" }.joined(), "<token>"), ("nothing of it", "nothing of it"),
      ("seven: \(token.prefix(7))", "seven: 72_AbCd"), ("", ""),
    ])
  func masks(text: String, shown: String) {
    #expect(masked(text) == shown)
  }

  @Test("long text is cut, and no part of a token stands at the cut")
  func cuts() {
    let shown = masked(String(repeating: ".", count: 90) + Self.token, longest: 100)
    #expect(shown.utf8.count <= 100)
    #expect(!shown.contains("72_A"))
    #expect(masked(String(repeating: "x", count: 200), longest: 100).utf8.count == 100)
  }

  @Test("what is no text is made one")
  func bytes() {
    #expect(MaskedText.text([0xff, 0x41], without: [""], longest: 10) == "\u{fffd}A")
  }
}

@Suite("The environment of programs") struct HookEnvironmentTests {
  @Test("it is ours without what is ours alone, and says what it is about")
  func variables() {
    let environment = HookEnvironment([
      "HOME": "/root", "WCH_APPSECRET": "s3cr3t-s3cr3t", "WCH_FILE": "/t", "REDIS_URL": "redis://x",
      "NOTIFY_SOCKET": "/run/n", "OTHER": "redis://:s3cr3t-s3cr3t@h", "SHORT": "ab",
      "https_proxy": "http://u:p@proxy:3128", "HTTP_PROXY": "http://proxy:3128",
      "PGPASSWORD": "of somebody else",
    ])
    let part = Errand.Part(
      CredentialID("shop/jsapi_ticket")!, AccessToken("t"),
      version: Version(epoch: Epoch(7), sequence: 3), expiresAt: 1000)
    #expect(
      environment.variables(
        about: part, appID: "wx1", instance: "a", secrets: ["s3cr3t-s3cr3t", "ab"]) == [
          "HOME": "/root", "SHORT": "ab", "HTTP_PROXY": "http://proxy:3128",
          "PGPASSWORD": "of somebody else",
          "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          "WCH_HOOK_ACCOUNT": "shop", "WCH_HOOK_KIND": "jsapi_ticket", "WCH_HOOK_APPID": "wx1",
          "WCH_HOOK_EXPIRES_AT": "1000", "WCH_HOOK_VERSION": "7.3", "WCH_HOOK_INSTANCE": "a",
        ])
  }
}
