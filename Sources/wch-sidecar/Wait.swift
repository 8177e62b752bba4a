import ArgumentParser
import Sidecar

/// `wait`: until a live token is there.
struct Wait: AsyncParsableCommand, SettingsVerb {
  static let configuration = CommandConfiguration(
    abstract: "Wait until the daemon is up and a live token is there.",
    discussion: """
      For start scripts and init containers of applications; in another pod than the daemon's with \
      --http-listen SERVICE:2130, where the daemon is asked. Of one account with --account, else \
      as the daemon's WCH_READY says. Exit codes: 0 it is there, 75 it is not, and why.
      """)

  @Option(help: "How long to wait: 500ms, 30s, 2m.")
  var max: String = "30s"

  @Option(help: "Wait for this account's token; `default` is the unnamed one.")
  var account: String?

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  static let settings = DaemonAddress.settings

  /// Between two questions: short beside the time in which a daemon starts.
  private static let interval: Duration = .milliseconds(200)
  /// A question is given this much at least: even the shortest wait asks once.
  private static let shortest: Duration = .milliseconds(10)

  func run() async throws {
    let account = try Setup.accountAsGiven(account)
    let deadline = ContinuousClock.now + (try Setup.duration(max, flag: "--max"))
    let question = try DaemonQuestion(self)
    var reason: String?
    while true {
      let granted = Swift.max(deadline - .now, Self.shortest)
      do throws(Failure) {
        try await question.ready(account, within: granted)
        return
      } catch {
        // A last question that was cut short tells less than the one before.
        let told = granted < Self.interval ? reason ?? error.message : error.message
        reason = told
        let left = deadline - .now
        guard left > .zero else {
          var lines = told.split(separator: "\n", omittingEmptySubsequences: false)
          lines[0] += " (after \(max))"
          throw Failure(.timedOut, lines.joined(separator: "\n"))
        }
        try await Task.sleep(for: min(left, Self.interval))
      }
    }
  }
}
