import Glibc
import Sidecar
import TokenCore
import WeChatSimulator

/// The accounts of the demo beside the one whose token its application uses.
struct DemoAccounts {
  /// What is kept for them.
  let credentials: [CredentialID]
  /// The file with which replicas are told of them; nil when there are none.
  let file: String?

  /// The application's own, `shop` with a ticket for its pages, and an app of WeCom.
  static let most = 3

  private static let secret = "demo-secret-of-a-simulated-wechat"
  /// Each as the settings file has it.
  private static let entries = [
    #"shop: { appid: "wxdemo0000000001", appsecret: "\#(secret)", tickets: ["jsapi"] }"#,
    """
    corp: { appid: "wwdemo0000000002", appsecret: "\(secret)", api: "gettoken",
      tickets: ["jsapi", "agent_config"] }
    """,
  ]

  /// Makes so many accounts, of which the first is not among these, known to the simulator.
  ///
  /// - Throws: a `Failure` when the file cannot be written.
  init(_ count: Int, lifetime: Milliseconds, at simulator: Simulator) throws {
    guard count > 1 else {
      (credentials, file) = ([], nil)
      return
    }
    var shop = AppSettings(appID: "wxdemo0000000001", secret: Self.secret)
    shop.life = lifetime
    simulator.register(shop)
    // WeCom's token lives as long as it does there: the daemon asks for it once a minute at most.
    simulator.register(CorpApp(corpID: "wwdemo0000000002", secret: Self.secret))
    var names = ["shop", "shop/jsapi_ticket"]
    if count > 2 { names += ["corp", "corp/jsapi_ticket", "corp/agent_config_ticket"] }
    credentials = names.compactMap { CredentialID($0) }
    let entries = Self.entries.prefix(count - 1).joined(separator: ",\n")
    file = try Self.write("{ accounts: { \(entries) } }")
  }

  /// Takes the file away.
  func remove() {
    if let file { _ = unsafe unlink(file) }
  }

  /// A file in the temporary directory that this user alone can read.
  private static func write(_ text: String) throws -> String {
    let directory = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    // The six that mkstemp replaces.
    let place = String(repeating: "X", count: 6)
    var path = Array("\(directory)/wch-sidecar-demo-\(place)".utf8CString)
    let descriptor = unsafe path.withUnsafeMutableBufferPointer { buffer in
      unsafe buffer.baseAddress.map { unsafe mkstemp($0) } ?? -1
    }
    let bytes = Array(text.utf8)
    defer { if descriptor >= 0 { close(descriptor) } }
    guard descriptor >= 0, unsafe Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
      if descriptor >= 0 { _ = unsafe unlink(path) }
      throw Failure(
        .failed, "wch-sidecar demo: the accounts cannot be written to a file in \(directory)")
    }
    return String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
