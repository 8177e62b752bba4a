import Testing
import TokenCore

@testable import Sidecar

/// What SIGHUP takes at once, and what waits for a restart.
@Suite("A change of the settings") struct SettingsChangeTests {
  private static let path = "/etc/wch.json5"

  private static func file(_ more: String = "", _ accounts: String = "") -> String {
    """
    { \(more) accounts: { shop: { appid: "wxshop000000", appsecretFile: "/s/shop" } \(accounts) } }
    """
  }

  private let files = FakeFiles([
    path: file(), "/s/shop": "first-secret", "/s/other": "other-secret", "/b": "first-bearer",
  ])

  private func load() throws -> Settings {
    try loadSettings([], ["WCH_CONFIG": Self.path], files: files)
  }

  /// Starts with one file, reads another, and says what came of it.
  private func change(
    from first: String = file(), to second: String
  ) throws -> (SettingsChange, Settings) {
    files[Self.path] = first
    var running = try load()
    files[Self.path] = second
    return (running.take(try load(), since: running), running)
  }

  @Test func `the same settings change nothing`() throws {
    #expect(try change(to: Self.file()).0.isEmpty)
  }

  @Test func `the level is taken, and a key prefix waits`() throws {
    let (change, _) = try change(to: Self.file(#"logLevel: "debug", keyPrefix: "X_","#))
    #expect(change.taken == ["logLevel"])
    #expect(change.waiting == ["keyPrefix"])
  }

  @Test func `a secret in the same file and one in another are taken, and used`() throws {
    files[Self.path] = Self.file()
    var running = try load()
    files["/s/shop"] = "second-secret"
    let same = try load()
    #expect(running.take(same, since: running).taken == ["accounts.shop.appsecret"])
    #expect(running.take(same, since: same).isEmpty)
    files[Self.path] = Self.file().replacing("/s/shop", with: "/s/other")
    let other = running.take(try load(), since: same)
    #expect(other.taken == ["accounts.shop.appsecretFile"])
    #expect(other.waiting.isEmpty)
    #expect(running.accounts[0].secret.current().revealed == "other-secret")
  }

  @Test func `accounts that are new or gone are taken, and told with their names only`() throws {
    let added = Self.file(
      "", #", "a.new": { appid: "wxnew0000000", appsecretFile: "/s/other", api: "stable_token" }"#)
    let (came, running) = try change(to: added)
    #expect(came.taken == ["accounts.a.new"])
    #expect(came.waiting.isEmpty && came.removed.isEmpty)
    #expect(came.added.map(\.name.rawValue) == ["a.new"])
    #expect(running.accounts.map(\.name.rawValue) == ["a.new", "shop"])
    let gone = try change(from: added, to: Self.file()).0
    #expect(gone.taken == ["accounts.a.new"])
    #expect(gone.waiting.isEmpty && gone.added.isEmpty)
    #expect(gone.removed.map(\.rawValue) == ["a.new"])
  }

  @Test func `what came is there from then on: the next reading finds nothing new`() throws {
    let added = Self.file("", #", new: { appid: "wxnew0000000", appsecretFile: "/s/other" }"#)
    var (_, running) = try change(to: added)
    let known = try load()
    #expect(running.take(known, since: known).isEmpty)
    // Its endpoint is built into what keeps it by now.
    files[Self.path] = added.replacing(#""/s/other""#, with: #""/s/other", api: "stable_token""#)
    #expect(running.take(try load(), since: known).waiting == ["accounts.new.api"])
  }

  @Test func `another AppID waits, and its secret with it`() throws {
    let other = Self.file().replacing("wxshop000000", with: "wxother00000")
      .replacing("/s/shop", with: "/s/other")
    let (change, running) = try change(to: other)
    #expect(change.taken.isEmpty)
    #expect(change.waiting.sorted() == ["accounts.shop.appid", "accounts.shop.appsecretFile"])
    #expect(running.accounts[0].secret.current().revealed == "first-secret")
  }

  @Test func `a bearer is replaced, but begins and ends only with a restart`() throws {
    let with = Self.file(#"httpBearerFile: "/b","#)
    #expect(try change(to: with).0.waiting == ["httpBearerFile"])
    #expect(try change(from: with, to: Self.file()).0.waiting == ["httpBearerFile"])
    files[Self.path] = with
    var running = try load()
    files["/b"] = "second-bearer"
    #expect(running.take(try load(), since: running).taken == ["httpBearer"])
    #expect(running.http.bearer?.current().revealed == "second-bearer")
  }

  @Test func `what waits is named until it is as it was`() throws {
    files[Self.path] = Self.file()
    var running = try load()
    files[Self.path] = Self.file(#"keyPrefix: "X_","#)
    let once = try load()
    #expect(running.take(once, since: running).waiting == ["keyPrefix"])
    #expect(running.take(try load(), since: once).waiting == ["keyPrefix"])
    files[Self.path] = Self.file()
    #expect(running.take(try load(), since: once).isEmpty)
  }
}
