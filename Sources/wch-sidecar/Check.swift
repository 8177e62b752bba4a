import ArgumentParser
import Sidecar

/// `check`: judges the settings, and with `--connect` Redis and WeChat; mints nothing unless told.
struct Check: AsyncParsableCommand, SettingsVerb {
  static let configuration = CommandConfiguration(
    abstract: "Show the settings in effect, and with --connect try Redis and WeChat.",
    discussion: """
      Never asks WeChat for a token, but with --mint: whether WeChat accepts the credentials and \
      this address cannot be found out otherwise while there is no token. Then one is fetched for \
      each account without one, where nobody leads, under the lock, as by `once`. Exit codes: 0 \
      all is well as far as it was tried, 1 something is wrong, 69 Redis or WeChat does not \
      answer, 77 WeChat refuses, 78 the settings are invalid.
      """)

  @Flag(help: "Connect to Redis and WeChat as the daemon would.")
  var connect = false

  @Flag(help: "Connect, and fetch a token for each account that has none, where nobody leads.")
  var mint = false

  @Option(help: "Look at this account only; `default` is the unnamed one.")
  var account: String?

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  func run() async throws {
    let account = try Setup.accountAsGiven(account)
    let (settings, redis) = try Setup.load(self)
    let name = try account.map { try Setup.configured($0, settings) }
    print(settings.describe())
    for remark in settings.remarks { print("note: \(remark)") }
    for warning in settings.warnings { StandardError.write("warning: \(warning)") }
    if let warning = settings.authoritiesWarning { StandardError.write("warning: \(warning)") }
    guard connect || mint else { return }
    print("")
    let inspection = Inspection(
      settings: settings, only: name, redis: redis, logger: Setup.silent())
    var report = await inspection.run()
    let isSound = !report.isUnreachable && !report.findings.contains { $0.grade == .bad }
    if mint, isSound { try await inspection.mint(&report, version: Version.current) }
    for finding in report.findings {
      print("\(finding.grade.rawValue): \(finding.subject): \(finding.text)")
    }
    if mint, !isSound, !report.untried.isEmpty {
      print("unknown: mint: nothing was fetched, since not all is well")
    }
    if report.isRefused { throw Failure(.refused, "wch-sidecar check: WeChat refuses us") }
    if report.isUnreachable {
      throw Failure(.unreachable, "wch-sidecar check: not everything answers")
    }
    if report.findings.contains(where: { $0.grade == .bad }) {
      throw Failure(.failed, "wch-sidecar check: something is wrong")
    }
  }
}
