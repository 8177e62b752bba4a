import Logging
import NIOPosix
import RedisClient
import TokenCore

/// What can be told of WeChat without a fetch, or with one.
extension Inspection {
  func inspectWeChat(
    _ tokens: [AccountName: AccessToken], _ report: inout Report
  ) async {
    let client = WeChatClient(
      settings, dialer: redis.dialer, logger: logger,
      eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
    for account in accounts {
      let token = tokens[account.name]
      let (outcome, _) = await client.probe(
        token ?? Inspection.noToken, of: account.name, from: account.api, hosts: account.urls,
        notAfter: .now + settings.timing.apiTimeout, timeout: settings.timing.apiTimeout)
      add(outcome, hasToken: token != nil, account, &report)
    }
    if let skew = client.clockSkew {
      // Its `Date` has whole seconds.
      tellClock("clock of WeChat", "WeChat", skew.inSeconds.rounded(.towardZero), &report)
    }
    await client.shutdown()
  }

  /// `--mint`: has tokens fetched for the accounts that have none, through the lock as `once` does.
  ///
  /// Nobody is overruled: with a live leader, which fetches for itself, nothing is tried.
  package func mint(_ report: inout Report, version: String) async throws {
    guard report.leader == nil else {
      return report.add(
        .open, "mint",
        "nothing was tried: \(report.leader ?? "a replica") leads, and fetches by itself; its"
          + " status tells what WeChat says")
    }
    for account in report.untried {
      let outcome = try await Once(
        settings: settings, redis: redis, version: version, logger: logger
      ).run(atMost: Self.mintLimit, only: account)
      let subject = "mint, account \(account)"
      switch outcome.lack {
      case nil:
        report.add(
          .good, subject,
          "WeChat gave a token, which is in Redis now: AppID, AppSecret and this"
            + " address are accepted")
      case .refused(let reason):
        report.isRefused = true
        report.add(.bad, subject, reason)
      case .unreachable(let reason):
        report.isUnreachable = true
        report.add(.bad, subject, reason)
      case .timedOut(let reason): report.add(.bad, subject, reason)
      }
    }
  }

  /// For one account's token.
  static let mintLimit: Duration = .seconds(15)

  func add(
    _ outcome: ProbeOutcome, hasToken: Bool, _ account: Settings.Account,
    _ report: inout Report
  ) {
    let (name, question) = (account.name, Question(isWeCom: account.api.isWeCom, .accessToken))
    let subject = "\(question.speaker.lowercased()), account \(name)"
    switch outcome {
    case .alive(let limit, let remaining):
      let quota = limit.map { "; \(remaining.map(String.init) ?? "?") of \($0) calls left today" }
      report.add(.good, subject, "answers, and the token in Redis is alive\(quota ?? "")")
    case .dead(let code, _) where hasToken:
      report.add(.bad, subject, "answers, but refuses the token in Redis with \(code)")
    case .dead:
      report.add(.good, subject, "answers")
      report.untried.append(name)
      report.add(
        .open, subject,
        "whether it accepts AppID, AppSecret and this machine's address is not tried: only a fetch"
          + " would tell, and mint a token; `check --mint` makes one where nobody leads")
    case .unclear(let failure):
      if let address = failure.egressAddress {
        report.isRefused = true
        report.add(
          .bad, subject,
          "refuses our address \(address): add it to the IP list of the account"
            + " (\(failure.code.map(String.init) ?? "no code"))")
      } else if let code = failure.code, WeChatError.isRefusal(code, to: question) {
        report.isRefused = true
        let request = failure.requestID.map { " (rid \($0))" } ?? ""
        report.add(.bad, subject, "\(failure)\(request)")
      } else if failure.isTransport || failure.code == nil {
        report.isUnreachable = true
        report.add(.bad, subject, "\(failure)")
      } else {
        report.add(.doubtful, subject, "\(failure)")
      }
    }
  }
}
