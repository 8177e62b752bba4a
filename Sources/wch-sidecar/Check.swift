import ArgumentParser
import Sidecar

/// `check`: judges the settings, and with `--connect` Redis and WeChat; mints nothing.
struct Check: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the settings in effect, and with --connect try Redis and WeChat.",
    discussion: """
      Never asks WeChat for a token. Exit codes: 0 all is well, 1 something is wrong, 69 Redis or \
      WeChat does not answer, 77 WeChat refuses this address, 78 the settings are invalid.
      """)

  @Flag(help: "Connect to Redis and WeChat as the daemon would.")
  var connect = false

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  func run() async throws {
    var flags = VerbFlags("check", flags)
    let connects = try flags.take("--connect") || connect
    let (settings, redis) = try Setup.load(flags)
    print(settings.describe())
    for warning in settings.warnings { StandardError.write("warning: \(warning)") }
    if let warning = settings.authoritiesWarning { StandardError.write("warning: \(warning)") }
    guard connects else { return }
    print("")
    let inspection = Inspection(settings: settings, redis: redis, logger: Setup.silent())
    let report = await inspection.run()
    for finding in report.findings {
      print("\(finding.grade.rawValue): \(finding.subject): \(finding.text)")
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
