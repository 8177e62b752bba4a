import Synchronization
package import TokenCore

/// Carries out the keeper's orders at WeChat.
package final class Fetcher: Sendable {
  private let accounts: KeptAccounts
  private let client: WeChatClient
  private let metrics: MetricsRegistry
  /// The secret that each account's last fetch was made with.
  private let used = Mutex<[CredentialID: Secret]>([:])

  /// A disk that takes longer hangs.
  private static let readingLimit: Duration = .milliseconds(500)

  package init(accounts: KeptAccounts, client: WeChatClient, metrics: MetricsRegistry) {
    self.accounts = accounts
    self.client = client
    self.metrics = metrics
  }

  /// Makes the one attempt that the order allows, as long as the permit is not withdrawn.
  package func fetch(_ order: FetchOrder, _ permit: SendPermit) async -> FetchOutcome {
    guard let account = accounts[order.account.account] else {
      preconditionFailure("the keeper orders only for accounts that are kept")
    }
    let subject: WeChatRequest.Subject
    if order.account.kind == .accessToken {
      // Read off the keeper's thread: a slow disk must not keep the lease from being renewed, nor
      // one that hangs the last secret from being used.
      let secret =
        await BlockingWork.run(within: Self.readingLimit) { account.secret.current() }
        ?? account.secret.latest
      used.withLock { $0[order.account] = secret }
      subject = .token(appID: account.appID, appSecret: secret, isForced: order.isForced)
    } else {
      // The token may have been replaced since the ticket's BEGIN was sent: nothing is asked then.
      guard let source = order.source else {
        return .knownFailure(
          FetchFailure(
            .transient, reason: "the token to ask with is being replaced", retriesSoon: true))
      }
      subject = .ticket(order.account.kind, source: source)
    }
    let (outcome, facts) = await client.fetch(
      WeChatRequest(
        account: account.name, subject, api: account.api, hosts: account.urls,
        notAfter: MonotonicClock.instant(of: order.notAfter), permit: permit,
        timeout: max(.zero, order.deadline - MonotonicClock.now())))
    count(order.account, facts, code: outcome.errorCode)
    return outcome
  }

  /// Whether the account's secret is another one than its last fetch was made with.
  package func hasNewSecret(_ account: CredentialID) -> Bool {
    guard let last = used.withLock({ $0[account] }), let account = accounts[account.account] else {
      return false
    }
    return account.secret.current() != last
  }

  /// Forgets an account that is no longer kept.
  package func forget(_ account: CredentialID) { used.withLock { $0[account] = nil } }

  /// Has the account's token proved, which mints nothing.
  package func probe(_ order: ProbeOrder) async -> (isDead: Bool, dailyLimit: Int?) {
    guard let account = accounts[order.account.account] else {
      preconditionFailure("the keeper probes only accounts that are kept")
    }
    let (outcome, facts) = await client.probe(
      order.token, of: account.name, from: account.api, hosts: account.urls,
      notAfter: MonotonicClock.instant(of: order.deadline),
      timeout: max(.zero, order.deadline - MonotonicClock.now()))
    let code: String
    let answer: (isDead: Bool, dailyLimit: Int?)
    switch outcome {
    case .alive(let limit, _): (code, answer) = ("0", (false, limit))
    case .dead(let refusal, _): (code, answer) = ("\(refusal)", (true, nil))
    case .unclear(let failure):
      (code, answer) = (failure.code.map(String.init) ?? "none", (false, nil))
    }
    count(order.account, facts, code: code)
    return answer
  }

  private func count(_ account: CredentialID, _ facts: CallFacts, code: String) {
    metrics.increment(
      .upstreamRequests,
      [
        "account": account.description,
        "endpoint": MetricLabels.endpoint(ofPath: facts.endpoint), "errcode": code,
      ])
  }
}

extension FetchOutcome {
  /// The label `errcode`: 0 is success, `none` an answer without one.
  fileprivate var errorCode: String {
    switch self {
    case .token: "0"
    case .knownFailure(let failure), .unknown(let failure):
      failure.code.map(String.init) ?? "none"
    }
  }
}
