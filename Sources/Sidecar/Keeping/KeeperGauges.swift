package import TokenCore

/// A status source that brings the gauges up to date whenever it is read.
///
/// A scrape reads the state at that moment: nothing has to remember to set a gauge.
package struct KeeperGauges: StatusSource {
  private let status: KeeperStatus
  private let metrics: MetricsRegistry

  package init(status: KeeperStatus, metrics: MetricsRegistry) {
    self.status = status
    self.metrics = metrics
  }

  package func snapshot() -> StatusSnapshot {
    let snapshot = status.snapshot()
    let failing = Dictionary(
      snapshot.conditions.filter { $0.kind == .refreshFailing }.map {
        ($0.account, $0.facts.count ?? 1)
      }, uniquingKeysWith: max)
    for account in snapshot.accounts {
      let label = account.name.description
      metrics.set(.valid, ["account": label], to: account.hasToken ? 1 : 0)
      metrics.set(.expiration, ["account": label], to: Double(account.expiresAt ?? 0))
      metrics.set(.nextRefresh, ["account": label], to: Double(account.nextRefreshAt?.second ?? 0))
      metrics.set(
        .refreshDue, ["account": label], to: Double(account.life?.refreshAt.second ?? 0))
      metrics.set(
        .consecutiveFailures, ["account": label], to: Double(failing[account.name] ?? 0))
    }
    metrics.set(
      .condition,
      to: Dictionary(
        snapshot.conditions.map { condition in
          let code = condition.kind == .refreshFailing ? condition.facts.code : nil
          return (
            [
              condition.kind.rawValue, condition.account?.description ?? "",
              code.map(String.init) ?? "",
            ], Double(condition.severity.rank + 1)
          )
        }, uniquingKeysWith: max))
    metrics.set(.leaderStatus, to: snapshot.role == .leader ? 1 : 0)
    metrics.set(.fencingEpoch, to: Double(snapshot.epoch ?? 0))
    return snapshot
  }

  package func health(_ check: HealthCheck) -> Health { status.health(check) }
  package func readiness(of account: AccountName?) -> Readiness? { status.readiness(of: account) }
  package func token(of account: CredentialID) -> TokenAnswer { status.token(of: account) }
  package func refresh(_ request: RefreshRequest) async -> RefreshAnswer {
    await status.refresh(request)
  }
}
