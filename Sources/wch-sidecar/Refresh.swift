import ArgumentParser
import Sidecar

/// `refresh`: a report of a token that fails, or an order to fetch.
struct Refresh: AsyncParsableCommand, SettingsVerb {
  static let configuration = CommandConfiguration(
    abstract: "Report a token that WeChat refuses, or have a new one fetched (--force).",
    discussion: """
      Waits up to 10 s for the new token. A report of a token that is not the current one changes \
      nothing. With --force WeChat is asked also while it is left alone after a refusal, at most \
      once in 5 s: mend first, then force. Prints the outcome: refreshed, current or coalesced. \
      Within the limits of reports it ends with 1, and the report is served later; with 77 when \
      WeChat refuses the credentials, the address or more calls today.
      """)

  @Flag(help: "Read the token that WeChat refused from standard input.")
  var rejectedStdin = false

  @Flag(help: "Fetch although the token may be alive.")
  var force = false

  @Option(help: "The account's name, when it has one; of a ticket NAME/jsapi_ticket.")
  var account: String?

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  static let settings = DaemonAddress.settings
  static let isGuarded = true

  private struct Order: Encodable {
    var account: String?
    var rejected_token: String?
    var force: Bool?
  }

  private struct Content: Decodable {
    var outcome: String
    var account: String
    var expires_at: Int64?
  }

  func run() async throws {
    guard force != rejectedStdin else {
      throw Failure(
        .usage,
        "wch-sidecar refresh: give --rejected-stdin, with the token that failed on standard input,"
          + " or --force; not both")
    }
    var order = Order(account: try Setup.credential(account))
    if rejectedStdin {
      order.rejected_token = try Self.token(readLine() ?? "")
    } else {
      order.force = true
    }
    let question = try DaemonQuestion(self)
    let body = JSONText.value(order)
    let content = try await question.ask(
      "/v1/refresh", method: "POST", body: body, as: Content.self
    ).content
    print(
      "\(content.account): \(content.outcome)"
        + (content.expires_at.map { ", to be trusted until the Unix second \($0)" } ?? ""))
  }

  /// What the daemon takes; WeChat's tokens have some hundred characters, and may have 512.
  private static let longestToken = 2048

  private static func token(_ line: String) throws -> String {
    let token = line.filter { !$0.isWhitespace }
    guard !token.isEmpty else {
      throw Failure(.usage, "wch-sidecar refresh: there is no token on standard input")
    }
    guard token.utf8.count <= longestToken, token.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
    else {
      throw Failure(
        .usage,
        "wch-sidecar refresh: what is on standard input is no token: one has at most"
          + " \(longestToken) visible characters of ASCII, as WeChat gave it")
    }
    return token
  }
}
