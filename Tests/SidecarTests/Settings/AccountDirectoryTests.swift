import Testing
import TokenCore

@testable import Sidecar

/// `WCH_ACCOUNTS_DIR`: accounts as a mounted secret has them.
@Suite("A directory of accounts") struct AccountDirectoryTests {
  private static let directory = ["WCH_ACCOUNTS_DIR": "/accounts"]

  private let files = FakeFiles([
    "/accounts/shop/appid": "wxshop000000\n", "/accounts/shop/appsecret": "secret-of-shop\n",
    "/accounts/club/appid": "wxclub000000", "/accounts/club/appsecret": "secret-of-club",
    "/accounts/club/api": "stable_token\n",
    // What Kubernetes has beside them, and an editor.
    "/accounts/..data/shop/appid": "wxshop000000", "/accounts/..2026_11_30/shop/appid": "wx",
    "/accounts/club/..data/appid": "wxclub000000", "/accounts/club/.appid.swp": "wx",
  ])

  private func problems(_ environment: [String: String] = [:]) -> [String] {
    settingsProblems([], Self.directory.merging(environment) { $1 }, files: files)
  }

  @Test func `each directory is an account, and what begins with a dot is none`() throws {
    let settings = try loadSettings([], Self.directory, files: files)
    #expect(settings.accounts.map(\.name.rawValue) == ["club", "shop"])
    #expect(settings.accounts.map(\.appID) == ["wxclub000000", "wxshop000000"])
    #expect(settings.accounts.map(\.api) == [.stableToken, .token])
    #expect(
      settings.accounts.map { $0.secret.current().revealed } == [
        "secret-of-club", "secret-of-shop",
      ])
    #expect(settings.warnings.isEmpty)
    #expect(!settings.describe().contains("secret-of"))
  }

  @Test func `a secret is read again, as any other file's`() throws {
    let settings = try loadSettings([], Self.directory, files: files)
    files["/accounts/shop/appsecret"] = "another"
    #expect(settings.accounts[1].secret.current().revealed == "another")
  }

  @Test func `they stand beside the unnamed account and those of the file`() throws {
    files["/c"] = #"{ accounts: { app: { appid: "wxapp0000000", appsecret: "s3cr3t" } } }"#
    let settings = try loadSettings(
      ["--config=/c"], Self.directory.merging(leastEnvironment) { $1 }, files: files)
    #expect(settings.accounts.map(\.name.rawValue) == ["", "app", "club", "shop"])
  }

  @Test func `one name in both places is refused, and both are named`() {
    files["/c"] = #"{ accounts: { shop: { appid: "wxapp0000000", appsecret: "s3cr3t" } } }"#
    #expect(
      problems(["WCH_CONFIG": "/c"]) == [
        "directory /accounts/shop: the account `shop` is given here and in the file /c, key"
          + " accounts.shop: keep one"
      ])
  }

  @Test func `what is missing, empty or wrong is told with its place, all at once`() {
    files["/accounts/a/appsecret"] = "s"
    files["/accounts/b/appid"] = "wxb000000000"
    files["/accounts/c/appid"] = "\n"
    files["/accounts/c/appsecret"] = "s"
    files["/accounts/d/appid"] = "wxd000000000"
    files["/accounts/d/appsecret"] = "two words"
    files["/accounts/e e/appid"] = "wxe000000000"
    files["/accounts/README"] = "not an account"
    let found = problems()
    #expect(found.contains("file /accounts/a/appid: is missing"))
    #expect(found.contains("file /accounts/b/appsecret: is missing"))
    #expect(found.contains("file /accounts/c/appid: is empty"))
    #expect(
      found.contains {
        $0.hasPrefix("directory /accounts/d: the file `/accounts/d/appsecret` holds")
      })
    #expect(found.contains { $0.hasPrefix("directory /accounts/e e: the name must have") })
    #expect(
      found.contains(
        "directory /accounts/README: is not a directory; an account is a directory with the files"
          + " `appid` and `appsecret`"))
    #expect(found.count == 6)
  }

  @Test func `a file that belongs to no account is a warning with the nearest name`() throws {
    files["/accounts/shop/appsecrets"] = "s"
    let settings = try loadSettings([], Self.directory, files: files)
    #expect(
      settings.warnings.map(\.description) == [
        "file /accounts/shop/appsecrets: is not read: no such file belongs to an account; the"
          + " nearest one is appsecret"
      ])
  }

  @Test func `a directory that is not there, or has nobody, is refused`() {
    #expect(
      settingsProblems([], ["WCH_ACCOUNTS_DIR": "/none"], files: files).contains(
        "directory /none: does not exist"))
    files["/empty/..data/x"] = ""
    let empty = settingsProblems([], ["WCH_ACCOUNTS_DIR": "/empty/"], files: files)
    #expect(empty.count == 1 && empty[0].contains("there is no account"))
    #expect(empty[0].hasSuffix("`/empty/` has none"))
  }

  @Test func `more accounts than can be kept are refused, also of two places together`() {
    var entries: [String] = []
    for number in 0..<200 {
      entries.append(#"f\#(number): { appid: "wxf\#(number)", appsecret: "s" }"#)
      files["/accounts/d\(number)/appid"] = "wxd\(number)"
      files["/accounts/d\(number)/appsecret"] = "s"
    }
    files["/c"] = "{ accounts: { \(entries.joined(separator: ", ")) } }"
    #expect(
      problems(["WCH_CONFIG": "/c"]).contains(
        "settings: the file and the directory have 402 accounts together: at most 256 are possible")
    )
  }

  @Test func `a change of anything that is read is seen, and of nothing else`() throws {
    let settings = try loadSettings([], Self.directory, files: files)
    func look() -> Int { settings.files.fingerprint(readFile: files.read, listFiles: files.list) }
    let first = look()
    files["/accounts/..data/shop/appid"] = "wxother"
    #expect(look() == first)
    files["/accounts/shop/appsecret"] = "another"
    let second = look()
    #expect(second != first)
    files["/accounts/new/appid"] = "wx1"
    #expect(look() != second)
    files["/accounts/new/appid"] = nil
    #expect(look() == second)
  }
}
