import ArgumentParser
import Sidecar
import TokenCore

/// `once`: makes sure that a live token is in Redis, and ends.
struct OnceCommand: AsyncParsableCommand, SettingsVerb {
  static let configuration = CommandConfiguration(
    commandName: "once",
    abstract: "Make sure that a live token is in Redis, and end.",
    discussion: """
      With a live leader it waits for that one's token; without one it takes the lock, fetches, \
      and gives the lock back. It never fetches without the lock. Prints each account and the \
      second of its WCH_expires_in, also those that were served when others were not. Of several \
      accounts it ends with 0 only when all are served; an account that WeChat refuses is not \
      waited for. Settings may follow as flags, as with run.
      """)

  @Option(help: "How long it may take, its end included: 500ms, 30s, 2m.")
  var max: String = "30s"

  @Option(help: "Only this account; `default` is the unnamed one.")
  var account: String?

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  func run() async throws {
    let limit = try Setup.duration(max, flag: "--max")
    let account = try Setup.accountAsGiven(account)
    let (settings, redis) = try Setup.load(self)
    let name = try account.map { try Setup.configured($0, settings) }
    let logger = Setup.logger(settings, output: try Setup.logOutput(settings))
    let once = Once(settings: settings, redis: redis, version: Version.current, logger: logger)
    let outcome = try await once.run(atMost: limit, only: name)
    for (account, expiry) in outcome.live.sorted(by: { $0.key < $1.key }) {
      print("\(account) \(expiry)")
    }
    switch outcome.lack {
    case nil: break
    case .unreachable(let reason): throw Failure(.unreachable, "wch-sidecar once: \(reason)")
    case .refused(let reason): throw Failure(.refused, "wch-sidecar once: \(reason)")
    case .timedOut(let reason):
      throw Failure(.timedOut, "wch-sidecar once: after \(max): \(reason)")
    }
  }
}
