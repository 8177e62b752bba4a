import ArgumentParser
import Sidecar

/// `health`: one check of a running daemon, for containers without a shell.
struct Health: AsyncParsableCommand, SettingsVerb {
  static let configuration = CommandConfiguration(
    abstract: "Ask the running daemon whether it is ready (or --live): exit 0 or 1.",
    discussion: """
      Of one account with --account, else as the daemon's WCH_READY says. It needs the daemon's \
      address, and behind HTTPS its certificate's file or the authority's (WCH_HTTP_CA_FILE).
      """)

  @Flag(help: "Whether the loop ticks, instead of whether a live token is there.")
  var live = false

  @Flag(help: "Whether a live token is there (the default).")
  var ready = false

  @Option(help: "Whether this account's token is there; `default` is the unnamed one.")
  var account: String?

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  static let settings = DaemonAddress.settings

  func run() async throws {
    let account = try Setup.accountAsGiven(account)
    let question = try DaemonQuestion(self)
    try await live ? question.ask(check: "/livez") : question.ready(account)
  }
}
