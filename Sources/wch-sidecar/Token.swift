import ArgumentParser
import Sidecar

/// `token`: the token that the daemon has in memory.
struct Token: AsyncParsableCommand, SettingsVerb {
  static let configuration = CommandConfiguration(
    abstract: "Show the token's life; the token itself only with --reveal.")

  @Flag(help: "Print the token, and nothing else.")
  var reveal = false

  @Option(help: "The account's name, when it has one; of a ticket NAME/jsapi_ticket.")
  var account: String?

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  static let settings = DaemonAddress.settings
  static let isGuarded = true

  private struct Content: Decodable {
    var account: String
    var access_token: String
    var expires_at: Int64
    var expires_in: Int64
  }

  func run() async throws {
    let account = try Setup.credential(account)
    let content = try await DaemonQuestion(self).ask(
      "/v1/token" + (account.map { "?account=\($0)" } ?? ""), as: Content.self
    ).content
    print(
      reveal
        ? content.access_token
        : "\(content.account): to be trusted for \(content.expires_in) s, until the Unix second"
          + " \(content.expires_at)")
  }
}
