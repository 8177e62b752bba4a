/// Reports of applications and proofs by probes that a token is dead.
extension AccountKeeper {
  /// Somebody says that this token is dead, or wants another one whatever it is (`rejected` nil).
  mutating func reported(_ rejected: AccessToken?, at now: Moment) -> [Outcome] {
    let outcome = judge(rejected, at: now)
    var outcomes: [Outcome] = [.note(.reported(name, outcome))]
    if case .limited(let wait) = outcome { outcomes.append(.announce(.limited(name, wait))) }
    if rejected != nil {
      switch outcome {
      case .accepted, .limited: outcomes += diedEarly(at: now)
      case .notCurrent, .coalesced: break
      }
    }
    return outcomes
  }

  private mutating func judge(_ rejected: AccessToken?, at now: Moment) -> ReportOutcome {
    if let rejected {
      if case .commit(_, let fetched) = work, fetched.token == rejected {
        return .coalesced
      }
      guard rejected == copy?.token else { return .notCurrent }
    }
    if rejected == nil { insist(at: now) }
    guard !isAnotherTokenDue else { return .coalesced }
    let notBefore = reports.ask(
      rejected == nil ? .force : .report, at: now, hasBudget: hasBudget)
    return notBefore > now ? .limited(notBefore - now) : .accepted
  }

  /// A person may have mended what WeChat refused: what waits because of that need not wait longer.
  private mutating func insist(at now: Moment) {
    guard let moment = insistence(at: now) else { return }
    if let wanted, wanted.isBackoff, wanted.notBefore > moment { self.wanted?.notBefore = moment }
    reports.insist(notBefore: moment, at: now)
  }

  /// When WeChat is asked for a person who insists, though it has refused; nil when it is not
  /// asked any sooner for that.
  ///
  /// Only what people can mend is asked about again: their refusals are known ones, which minted
  /// nothing. Once in `Backoff.insistence`, out of what the day leaves for those who ask.
  package func insistence(at now: Moment) -> Moment? {
    guard let last = failures.last, last.isForPeople, let lastAt = failures.lastAt, hasBudget
    else { return nil }
    return max(now, lastAt + Backoff.insistence)
  }

  /// Takes out what was asked for and not served, for the next leader: it would know nothing of it.
  mutating func takeUnserved() -> Report? {
    let underWay: Trigger? =
      switch work {
      case .begin(let attempt), .waitForLease(let attempt), .resolve(let attempt): attempt.trigger
      // A force that was sent may have been served; a dead token is judged by who has the newest.
      case .fetch(let attempt) where attempt.trigger != .force: attempt.trigger
      case .follow, .takeOver, .hold, .look, .republish, .recommit, .fetch, .commit: nil
      }
    let trigger = reports.asked?.trigger ?? wanted?.trigger ?? underWay
    reports.settled()
    switch trigger {
    case .report, .probe: return copy.map { .rejected($0.token) }
    case .force: return .force(name)
    case .schedule, .start, .takeover, .doubt, nil: return nil
    }
  }

  /// Whether the day's fetches leave something for those who ask.
  var hasBudget: Bool {
    let budget =
      credential.dailyBudget ?? (dailyLimit ?? Credential.assumedDailyLimit) / 2
    return fetchesToday < budget
  }

  /// WeChat's answer to a probe.
  ///
  /// `dailyLimit` is what it allows, when it says so.
  mutating func probed(
    _ version: Version, isDead: Bool, dailyLimit: Int?, at now: Moment
  ) -> [Outcome] {
    if let dailyLimit, dailyLimit > 0 { self.dailyLimit = dailyLimit }
    // Also when another token has come in between: the prober waits for this answer.
    guard prober.answered(version, isDead: isDead, at: now), let copy, copy.version == version,
      // A token that is at its end died of nobody's fetch.
      copy.remaining(at: now) > timing.apiTimeout
    else { return [] }
    published.provedDead = version
    if reports.asked == nil {
      _ = reports.ask(.probe, at: now, hasBudget: hasBudget)
    } else if credential.repeats {
      // A forced fetch is held up: a plain one brings what WeChat gave to another party.
      want(.doubt, notBefore: now)
    }
    return diedEarly(at: now)
  }

  /// A token of ours died before its time: once may be chance, twice is somebody else's fetch.
  private mutating func diedEarly(at now: Moment) -> [Outcome] {
    earlyDeaths.removeAll { now - $0 > Self.deathMemory }
    earlyDeaths.append(now)
    if earlyDeaths.count > Self.deathsRemembered { earlyDeaths.removeFirst() }
    return [.note(.diedEarly(name, lately: earlyDeaths.count))]
  }

  /// Deaths further apart than this have nothing to do with each other.
  package static let deathMemory: Duration = .seconds(6 * 3600)
  /// More deaths than this say nothing more.
  static let deathsRemembered = 20
}

extension Trigger {
  /// Whether the token that WeChat would hand out again will not do.
  var needsAnotherToken: Bool {
    switch self {
    case .report, .force, .probe: true
    case .schedule, .start, .takeover, .doubt: false
    }
  }
}
