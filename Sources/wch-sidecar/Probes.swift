import ArgumentParser
import Sidecar

/// What a check that passes says.
private struct HealthContent: Decodable {
  var status: String
  var detail: String
}

/// The path of the check of readiness, of one account or as `WCH_READY` says.
private func readiness(_ account: String?) -> String {
  "/readyz" + (account.map { "?account=\($0)" } ?? "")
}

/// `health`: one check of a running daemon, for containers without a shell.
struct Health: AsyncParsableCommand {
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

  func run() async throws {
    do {
      var flags = VerbFlags("health", flags)
      let isLive = try flags.take("--live") || live
      _ = try flags.take("--ready")
      let account = try Setup.accountAsGiven(flags.takeValue(of: "--account") ?? account)
      _ = try await DaemonQuestion("health", flags)
        .ask(isLive ? "/livez" : readiness(account), as: HealthContent.self)
    } catch let error as Failure {
      throw Failure(.failed, error.message)
    }
  }
}

/// `wait`: until a live token is there.
struct Wait: AsyncParsableCommand {
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

  /// Between two questions: short beside the time in which a daemon starts.
  private static let interval: Duration = .milliseconds(200)
  /// A question is given this much at least: even the shortest wait asks once.
  private static let shortest: Duration = .milliseconds(10)

  func run() async throws {
    var flags = VerbFlags("wait", flags)
    let max = try flags.takeValue(of: "--max") ?? max
    let account = try Setup.accountAsGiven(flags.takeValue(of: "--account") ?? account)
    let deadline = ContinuousClock.now + (try Setup.duration(max, flag: "--max"))
    let question = try DaemonQuestion("wait", flags)
    var reason: String?
    while true {
      let granted = Swift.max(deadline - .now, Self.shortest)
      do throws(Failure) {
        _ = try await question.ask(readiness(account), within: granted, as: HealthContent.self)
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
