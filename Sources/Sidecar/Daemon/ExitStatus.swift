/// Why the program ends: every exit code that it has (README.md#settings).
///
/// The help, the manual page and the documentation have their tables from here.
package enum ExitStatus: Int32, Sendable, CaseIterable {
  case done = 0
  case failed = 1
  case usage = 64
  case unreachable = 69
  case timedOut = 75
  case refused = 77
  case misconfigured = 78

  /// What the code means, for people.
  package var meaning: String {
    switch self {
    case .done:
      "Done; of the daemon and of `--watch`, also the orderly end after SIGTERM or SIGINT."
    case .failed:
      """
      Failed or degraded: `health` found the daemon not ready, dead or not there; `check` found \
      something wrong; `token` and `refresh` were answered and got no token; the HTTP interface \
      could not start.
      """
    case .usage: "The command line is wrong."
    case .unreachable:
      """
      Redis, WeChat or the daemon cannot be reached (`once`, `check`, `status`, `token`, \
      `refresh`); a wrong password of Redis counts, too.
      """
    case .timedOut: "The time is over: of `wait` and `once`; the cause is named."
    case .refused:
      """
      WeChat refuses the credentials, the account or the address, or the day's calls are used up \
      (45009): nothing but people's doing helps soon (`once`, `check`, `refresh`).
      """
    case .misconfigured: "The settings are invalid; every problem is named."
    }
  }
}
