import Foundation
import TestSupport
import Testing
import TokenCore

@testable import Sidecar

@Suite("Settings of files and programs") struct TargetSettingsTests {
  /// A host where everything can be written, and programs are in `/bin`.
  private static let trials = TargetTrials(
    file: { $0.hasPrefix("/later") ? .init(doubt: "its directory is not there") : .init() },
    program: { $0.hasPrefix("/bin/") ? nil : "is not there" })

  private func load(
    _ settings: [String: String], file: String? = nil
  ) throws -> Settings {
    let files = FakeFiles(file.map { ["/c.json5": $0] } ?? [:])
    let more = file == nil ? [:] : ["WCH_CONFIG": "/c.json5"]
    return try loadSettings(
      [], leastEnvironment.merging(more.merging(settings) { $1 }) { $1 }, files: files,
      trials: Self.trials)
  }

  private func problems(_ settings: [String: String], file: String? = nil) -> [String] {
    let files = FakeFiles(file.map { ["/c.json5": $0] } ?? [:])
    let more = file == nil ? [:] : ["WCH_CONFIG": "/c.json5"]
    return settingsProblems(
      [], leastEnvironment.merging(more.merging(settings) { $1 }) { $1 }, files: files,
      trials: Self.trials)
  }

  @Test("without a word there is neither, and `off` says so")
  func off() throws {
    for settings in [[:], ["WCH_FILE": "off", "WCH_EXEC": "off"]] {
      let account = try load(settings).accounts[0]
      #expect(account.file == nil)
      #expect(account.hook == nil)
    }
  }

  @Test("a file has a form, permissions and an owner of its own")
  func file() throws {
    let settings = try load([
      "WCH_FILE": "/run/{account}.php", "WCH_FILE_FORMAT": "php", "WCH_FILE_MODE": "600",
      "WCH_FILE_OWNER": "0:33",
    ])
    #expect(
      settings.accounts[0].file
        == FileTarget(
          path: "/run/default.php", form: .php, mode: 0o600, owner: FileOwner(user: 0, group: 33)))
    #expect(try load(["WCH_FILE": "t"]).accounts[0].file == FileTarget(path: "t"))
    #expect(try FileOwner("root") == FileOwner(user: 0, group: nil))
    #expect(try FileOwner(":root") == FileOwner(user: nil, group: 0))
  }

  @Test(
    "a program is one word, words between blanks, or a list of whatever is wanted",
    arguments: [
      ("/bin/push", ["/bin/push"]),
      ("/bin/push  --to 127.0.0.1", ["/bin/push", "--to", "127.0.0.1"]),
      (#"["/bin/sh", "-c", "cat > 'a b'"]"#, ["/bin/sh", "-c", "cat > 'a b'"]),
      (#"['/bin/push', '',]"#, ["/bin/push", ""]), ("push", ["/bin/push"]),
    ])
  func program(text: String, words: [String]) throws {
    let settings = try load(["WCH_EXEC": text, "PATH": "/nowhere:/bin", "WCH_EXEC_ON": "all"])
    #expect(settings.accounts[0].hook == HookTarget(command: words, scope: .all))
  }

  @Test("in the file a program is a list, or a text that is read as in the environment")
  func inFile() throws {
    for exec in [#"["/bin/push", "a,b", "c d"]"#, #"'["/bin/push", "a,b", "c d"]'"#] {
      let settings = try load([:], file: "{ exec: \(exec) }")
      #expect(settings.accounts[0].hook?.command == ["/bin/push", "a,b", "c d"])
      #expect(
        settings.effective.first { $0.name == "exec" }?.value == #"["/bin/push","a,b","c d"]"#)
    }
  }

  @Test("an account's own entry goes before what is said for all, member by member")
  func accounts() throws {
    let settings = try load(
      ["WCH_FILE": "/run/{account}", "WCH_FILE_FORMAT": "raw", "WCH_EXEC": "/bin/push"],
      file: """
        { accounts: {
          shop: { appid: "wx1", appsecret: "a", fileMode: "0600", exec: "off" },
          club: { appid: "wx2", appsecret: "b", file: "/srv/club.json", fileFormat: "json",
            exec: ["/bin/other", "{account}", "{kind}"], execOn: "all" },
          bare: { appid: "wx3", appsecret: "c", file: "off" } } }
        """)
    func account(_ name: String) throws -> Settings.Account {
      try #require(settings.accounts.first { $0.name.description == name })
    }
    #expect(try account("default").file == FileTarget(path: "/run/default", form: .raw))
    #expect(try account("shop").file == FileTarget(path: "/run/shop", form: .raw, mode: 0o600))
    #expect(try account("shop").hook == nil)
    #expect(try account("club").file == FileTarget(path: "/srv/club.json"))
    let hook = try #require(try account("club").hook)
    #expect(hook.scope == .all)
    #expect(
      hook.words(account: "club", kind: "jsapi_ticket") == ["/bin/other", "club", "jsapi_ticket"])
    #expect(try account("bare").file == nil)
    #expect(try account("bare").hook?.command == ["/bin/push"])
    #expect(settings.describe().contains("accounts.club.exec"))
  }

  @Test(
    "what can never work is refused, with what would",
    arguments: [
      (["WCH_FILE": "/t", "WCH_FILE_FORMAT": "xml"], "`xml` is not `json` or `raw`"),
      (["WCH_FILE": "/t", "WCH_FILE_MODE": "rw-r-----"], "permissions in octal"),
      (["WCH_FILE": "/t", "WCH_FILE_MODE": "4640"], "permissions in octal"),
      (["WCH_FILE": "/t", "WCH_FILE_MODE": "0040"], "permissions in octal"),
      (["WCH_FILE": "/t", "WCH_FILE_OWNER": "no such user"], "this host does not have"),
      (["WCH_FILE": "/t", "WCH_FILE_OWNER": ":"], "`USER:GROUP`"),
      (["WCH_EXEC": "/bin/a | /bin/b"], "no shell reads it"),
      (["WCH_EXEC": "/bin/a > /tmp/$X"], "no shell reads it"),
      (["WCH_EXEC": "[\"/bin/a\", 1]"], "no list of texts"),
      (["WCH_EXEC": "[]"], "names no program"), (["WCH_EXEC": "/sbin/a"], "is not there"),
      (["WCH_EXEC": "nowhere", "PATH": "/x:/y"], "in any directory of PATH"),
      (["WCH_EXEC": "/bin/a", "WCH_EXEC_ON": "some"], "`leader` or `all`"),
      (["WCH_FILE": "/run/{account}/{kind}"], "`{kind}` in `/run/{account}/{kind}` stands for"),
      (["WCH_FILE": "/run/{acount}/t"], "`{acount}` in `/run/{acount}/t` stands for nothing"),
      (
        [
          "WCH_APPSECRET": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
          "WCH_EXEC": "/bin/a --secret=0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        ], "an argument holds the AppSecret of account default"
      ),
    ])
  func mistakes(settings: [String: String], words: String) {
    let found = problems(settings)
    #expect(found.count == 1 && found[0].contains(words), "\(found)")
  }

  @Test("one file is one account's, and nothing else that is read or written here")
  func sharedFiles() {
    let two = """
      { accounts: { shop: { appid: "wx1", appsecret: "a" }, club: { appid: "wx2", appsecret: "b",
        file: "/run//club/./t" } } }
      """
    #expect(
      problems(["WCH_FILE": "/run/t"], file: two).joined()
        .contains("would be one file of 2 accounts: put `{account}` into it"))
    #expect(
      problems(["WCH_FILE": "/run/{account}/t"], file: two) == [])
    #expect(
      problems(["WCH_FILE": "/run/{account}/t", "WCH_LOG_FILE": "/run/shop/t"], file: two).count
        == 1)
    let same = """
      { accounts: { shop: { appid: "wx1", appsecret: "a", file: "/run/t" },
        club: { appid: "wx2", appsecret: "b", file: "/run//./t" } } }
      """
    #expect(
      problems([:], file: same).joined()
        .contains("the file of account club and the file of account shop are both"))
    #expect(problems(["WCH_FILE": "/c.json5"], file: "{}").joined().contains("`config`"))
    #expect(
      problems(["WCH_FILE": "/l", "WCH_LOG_FILE": "/l"]).joined().contains("`logFile`"))
  }

  @Test("what may come later is told and not refused; what has no effect is told, too")
  func doubts() throws {
    func warnings(_ settings: [String: String]) throws -> String {
      try load(settings).warnings.map(\.description).joined(separator: "\n")
    }
    #expect(
      try warnings(["WCH_FILE": "/later/t"]).contains("cannot be written as things are"))
    #expect(try warnings(["WCH_FILE": "/t", "WCH_FILE_MODE": "0644"]).contains("every user"))
    #expect(try warnings(["WCH_FILE_FORMAT": "raw"]).contains("there is no `file`"))
    #expect(try warnings(["WCH_EXEC_ON": "all"]).contains("there is no `exec`"))
    #expect(try warnings(["WCH_FILE": "/t"]) == "")
  }

  @Test("a host tells files from what is none, and programs from what may not be run")
  func host() throws {
    let directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("targets-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    func path(_ name: String) -> String { directory.appendingPathComponent(name).path }
    #expect(unsafe mkfifo(path("fifo"), 0o600) == 0)
    try Data("x".utf8).write(to: URL(fileURLWithPath: path("plain")))
    let trials = TargetTrials.real
    #expect(trials.file(path("new")).mistake == nil)
    #expect(trials.file(path("new")).doubt == nil)
    #expect(trials.file(path("plain")).mistake == nil)
    #expect(trials.file(directory.path).mistake?.contains("is a directory") == true)
    #expect(trials.file(path("fifo")).mistake?.contains("is a pipe") == true)
    #expect(trials.file("/dev/stdout").mistake?.contains("of the system's") == true)
    #expect(trials.file(path("none/new")).doubt?.contains("is not there") == true)
    #expect(trials.program("/bin/sh") == nil)
    #expect(trials.program(path("plain"))?.contains("chmod +x") == true)
    #expect(trials.program(directory.path)?.contains("is a directory") == true)
    #expect(trials.program(path("none")) == "is not there")
  }

  @Test("an account that goes takes its file and its program with it; another path waits")
  func changes() throws {
    let one =
      #"{ accounts: { shop: { appid: "wx1", appsecret: "a", file: "/a", exec: "/bin/a" } } }"#
    var running = try load([:], file: one)
    let other = try load([:], file: one.replacingOccurrences(of: "/bin/a", with: "/bin/b"))
    #expect(running.take(other, since: running).waiting == ["accounts.shop.exec"])
    let none = try load([:], file: "{}")
    let change = running.take(none, since: running)
    #expect(change.removed.map(\.description) == ["shop"])
    #expect(change.waiting == [])
    #expect(!running.describe().contains("/bin/a"))
  }
}
