import Logging
import RedisClient
import TokenCore

/// What of the keeper's last state is to be handed on, to files and programs.
struct OutputFeed: Sendable {
  private let inbox: KeeperInbox
  private let accounts: KeptAccounts

  init(inbox: KeeperInbox, accounts: KeptAccounts) {
    self.inbox = inbox
    self.accounts = accounts
  }

  /// Everything that this replica serves now: files on every replica, programs on the one that
  /// leads or on all.
  ///
  /// From memory, as `/v1/token` has it; while nothing is known to live there is no errand.
  func errands(at now: Moment) -> [Errand.Place: Errand?] {
    let served = accounts.all.filter { $0.file != nil || $0.hook != nil }
    guard !served.isEmpty else { return [:] }
    var errands: [Errand.Place: Errand?] = [:]
    inbox.look { view in
      // Who ends hands nothing on any more: the next leader does.
      let leads = view.keeper.isLeader(at: now) && !view.isStopping
      for account in served {
        let parts = account.credentials.compactMap { id in
          view.keeper[id].flatMap { view.keeper.part($0, at: now) }
        }
        if let file = account.file {
          let place = Errand.Place.file(account.name)
          errands[place] = .some(
            parts.first.flatMap { first in
              first.part.credential.kind == .accessToken
                ? Errand(place, .file(file), parts: parts.map(\.part), seenAt: first.seenAt) : nil
            })
        }
        guard let hook = account.hook, hook.scope == .all || leads else { continue }
        for id in account.credentials {
          let place = Errand.Place.hook(id)
          errands[place] = .some(
            parts.first { $0.part.credential == id }.map {
              Errand(
                place, .hook(hook, appID: account.appID), parts: [$0.part], seenAt: $0.seenAt)
            })
        }
      }
    }
    return errands
  }
}

extension KeeperView {
  /// What is known of an account's credential; nil while nothing is sure to live.
  fileprivate func part(
    _ account: AccountKeeper, at now: Moment
  ) -> (part: Errand.Part, seenAt: Moment)? {
    guard let fresh = account.freshest(at: now, nobodyFetches: nobodyFetches),
      let expiresAt = clientExpiry(of: account, at: now)
    else { return nil }
    let version: Version
    if case .commit(let attempt, _) = account.work {
      version = attempt.version
    } else if let copy = account.copy {
      version = copy.version
    } else {
      return nil
    }
    return (
      Errand.Part(account.name, fresh.token, version: version, expiresAt: expiresAt),
      account.copy?.seenAt ?? now
    )
  }
}

extension OutputService {
  /// For the replica that these parts are of.
  convenience init(
    _ parts: Parts, settings: Settings, environment: [String: String], logger: Logger
  ) {
    let kept = parts.accounts.kept
    let feed = OutputFeed(inbox: parts.inbox, accounts: kept)
    self.init(
      .init(
        errands: { feed.errands(at: $0) }, changes: parts.inbox.bell(for: nil).rings,
        secrets: { settings.secrets(of: kept.all) }, instance: settings.instance.rawValue,
        tell: { [health = parts.health] troubles in health.outputs(troubles.map(\.told)) }),
      look: settings.timing.tick, environment: environment, logger: logger, metrics: parts.metrics)
  }
}

extension OutputPlan.Trouble {
  /// What people are told.
  fileprivate var told: Observation.OutputTrouble {
    let kind: Condition.Kind =
      switch place {
      case .file: .fileUnwritten
      case .hook: .hookFailing
      }
    return .init(kind, place.credential, subject: subject, reason: reason, since: since)
  }
}

extension Settings {
  /// Every secret that this process was told.
  fileprivate func secrets(of accounts: [Account]) -> [String] {
    let others = [redis.password, redis.sentinelPassword, http.bearer].compactMap(\.self)
    return (accounts.map(\.secret) + others).map(\.latest.revealed)
      + [redis.endpoint.password?.revealed].compactMap(\.self)
  }
}
