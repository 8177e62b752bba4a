package import TokenCore

/// Carries out the keeper's orders at WeChat.
package struct Fetcher: Sendable {
  private let accounts: [AccountName: Settings.Account]
  private let client: WeChatClient
  private let metrics: MetricsRegistry

  package init(settings: Settings, client: WeChatClient, metrics: MetricsRegistry) {
    accounts = Dictionary(uniqueKeysWithValues: settings.accounts.map { ($0.name, $0) })
    self.client = client
    self.metrics = metrics
  }

  /// Makes the one attempt that the order allows.
  package func fetch(_ order: FetchOrder) async -> FetchOutcome {
    guard let account = accounts[order.account] else {
      preconditionFailure("the keeper orders only for configured accounts")
    }
    let (outcome, facts) = await client.fetch(
      WeChatRequest(
        account: account.name, appID: account.appID, appSecret: account.secret.current(),
        api: account.api == .token ? .token : .stableToken, forceRefresh: false,
        notAfter: MonotonicClock.instant(of: order.notAfter),
        timeout: max(.zero, order.deadline - MonotonicClock.now())))
    metrics.increment(
      .upstreamRequests,
      [
        "account": account.name.description, "endpoint": facts.endpoint,
        "errcode": outcome.errorCode,
      ])
    return outcome
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
