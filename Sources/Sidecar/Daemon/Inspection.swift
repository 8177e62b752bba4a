package import Logging
import NIOPosix
package import RedisClient
package import TokenCore

/// `check --connect`: looks at Redis and WeChat as the daemon would meet them, and mints nothing.
package struct Inspection {
  /// One thing that was looked at.
  package struct Finding: Hashable, Sendable {
    /// How bad it is.
    package enum Grade: String, Hashable, Sendable {
      case good = "ok"
      /// It could not be found out.
      case open = "unknown"
      case doubtful = "warning"
      case bad = "error"
    }

    package let grade: Grade
    package let subject: String
    package let text: String
  }

  /// What was found, and the exit it deserves.
  package struct Report: Hashable, Sendable {
    package var findings: [Finding] = []
    /// Redis or WeChat did not answer.
    package var isUnreachable = false
    /// WeChat refuses the address, the credentials or the account.
    package var isRefused = false
    /// Accounts without a token: whether WeChat would give them one was not tried.
    package var untried: [AccountName] = []
    /// Who holds the lock, when somebody does.
    package var leader: String?

    package mutating func add(_ grade: Finding.Grade, _ subject: String, _ text: String) {
      findings.append(Finding(grade: grade, subject: subject, text: text))
    }
  }

  let settings: Settings
  /// The accounts that are looked at.
  let accounts: [Settings.Account]
  let redis: RedisConfiguration
  let logger: Logger

  /// Everything at Redis together may take this long, or one attempt to connect and a second more:
  /// such an attempt says best what is wrong.
  static let redisLimit: Duration = .seconds(5)
  /// With less of a difference than this there is none to tell, given the time of an answer.
  static let unnoticeable: Double = 0.5
  /// Replicas and Redis whose clocks differ by more than this confuse people who read both logs.
  static let noticeableOffset: Double = 2
  /// A token that no account has: WeChat's refusal of it proves that WeChat answers.
  static let noToken = AccessToken("wch-sidecar-check")

  /// Takes settings that were judged.
  ///
  /// - Parameter account: the only one that is looked at; nil for all.
  package init(
    settings: Settings, only account: AccountName? = nil, redis: RedisConfiguration,
    logger: Logger
  ) {
    self.settings = settings
    accounts = settings.accounts.filter { account == nil || $0.name == account }
    self.redis = redis
    self.logger = logger
  }

  /// Looks at everything once.
  package func run() async -> Report {
    var report = Report()
    let tokens = await inspectRedis(&report)
    await inspectWeChat(tokens, &report)
    return report
  }

  /// How far a clock is ahead, and whether that is worth a word.
  func tellClock(
    _ subject: String, _ whose: String, _ offset: Double, _ report: inout Report
  ) {
    let shown = abs(offset) < Inspection.unnoticeable ? 0 : Int(offset.rounded())
    report.add(
      abs(offset) > Inspection.noticeableOffset ? .doubtful : .good, subject,
      "\(whose) differs from this machine by about \(shown) s"
        + " (harmless to the protocol, confusing in logs)")
  }
}
