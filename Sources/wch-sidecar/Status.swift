import ArgumentParser
import FoundationEssentials
import Sidecar
import TokenCore

/// `status`: what the running daemon knows, or, without one, what Redis tells.
struct Status: AsyncParsableCommand, SettingsVerb {
  static let configuration = CommandConfiguration(
    abstract: "Show what is wrong and what the running daemon knows, as text or JSON.",
    discussion: """
      What is wrong comes first, with what to do about it; then accounts, the failing first; then \
      the replicas and this one's connections to Redis. With -o json it is /v1/status as it came. \
      When no daemon answers, the text is what Redis alone tells of lock, keys and replicas, with \
      no token, and it ends with 69. It ends with 0 whatever is wrong with tokens: `health` is for \
      probes.
      """)

  @Option(name: [.customShort("o"), .long], help: "text or json.")
  var output: Output = .text

  @Flag(help: "Again every second, until SIGTERM, Ctrl-C or the reader's end.")
  var watch = false

  @Option(
    help: "This account only, and what is wrong with it or with all; `default` is the unnamed.")
  var account: String?

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  static let settings = DaemonAddress.settings + RedisSettings.settings

  static var options: [OwnOption] {
    declared.map { option in
      guard option.name == "--output" else { return option }
      return OwnOption(
        name: option.name, takesValue: true, short: "-o",
        choices: Output.allCases.map(\.rawValue))
    }
  }

  enum Output: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  func run() async throws {
    _ = try Setup.accountAsGiven(account)
    let question = try DaemonQuestion(self)
    guard watch else {
      let (text, failure) = try await show(question, width: StandardOutput.width)
      try StandardOutput.write(text + "\n")
      if let failure { throw failure }
      return
    }
    let view = WatchView()
    while true {
      let shown: String
      do throws(Failure) {
        let (text, failure) = try await show(question, width: view?.size.columns)
        shown = (failure.map { $0.message + "\n" } ?? "") + text
      } catch {
        // Who watches wants to see it come back.
        shown = error.message
      }
      if let view {
        try view.draw(shown)
      } else {
        try StandardOutput.write(shown + "\n")
      }
      try await Task.sleep(for: .seconds(1))
    }
  }

  /// What the daemon knows, or what Redis tells and why no daemon does.
  private func show(
    _ question: DaemonQuestion, width: Int?
  ) async throws(Failure) -> (text: String, failure: Failure?) {
    do throws(Failure) {
      let (content, body) = try await question.ask(
        "/v1/status" + (account.map { "?account=\($0)" } ?? ""), as: StatusText.Content.self)
      return (output == .json ? body : StatusText(content, width: width).text, nil)
    } catch {
      guard output == .text, error.code == .unreachable else { throw error }
      let sight = try await redisAlone(since: error)
      return (StatusText(sight, width: width).text, error)
    }
  }

  /// What Redis tells.
  ///
  /// - Throws: `Failure` that says both, when it tells nothing either.
  private func redisAlone(since failure: Failure) async throws(Failure) -> RedisSight {
    let reason: String
    do {
      let (settings, redis) = try Setup.redis(self)
      return try await RedisSight.look(
        settings, redis, only: account.flatMap { AccountName(written: $0) }, logger: Setup.silent())
    } catch let error as Failure {
      reason = error.message
    } catch {
      reason = "\(error)"
    }
    throw Failure(
      .unreachable, "\(failure.message)\nRedis tells nothing instead: \(reason)")
  }
}
