import ArgumentParser
import Sidecar
import TokenCore

/// `once`: makes sure that a live token is in Redis, and ends.
struct OnceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "once",
    abstract: "Make sure that a live token is in Redis, and end.",
    discussion: """
      With a live leader it waits for that one's token; without one it takes the lock, fetches, \
      and gives the lock back. It never fetches without the lock. Prints the account and the \
      second of its WCH_expires_in. Settings may follow as flags, as with run.
      """)

  @Option(help: "How long to wait: 500ms, 30s, 2m.")
  var max: String = "30s"

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  func run() async throws {
    var flags = VerbFlags("once", flags)
    let max = try flags.takeValue(of: "--max") ?? max
    let limit = try Setup.duration(max, flag: "--max")
    let (settings, redis) = try Setup.load(flags)
    let logger = Setup.logger(settings, output: try Setup.logOutput(settings))
    let once = Once(settings: settings, redis: redis, version: Version.current, logger: logger)
    switch try await once.run(atMost: limit) {
    case .live(let expiries):
      for (account, expiry) in expiries.sorted(by: { $0.key < $1.key }) {
        print("\(account) \(expiry)")
      }
    case .unreachable(let reason): throw Failure(.unreachable, "wch-sidecar once: \(reason)")
    case .refused(let reason): throw Failure(.refused, "wch-sidecar once: \(reason)")
    case .timedOut(let reason):
      throw Failure(.timedOut, "wch-sidecar once: after \(max): \(reason)")
    }
  }
}
