/// The durations that leadership and refresh are built on (TokenCore.md#timing).
package struct Timing: Hashable, Sendable {
  /// How long the lock lives without a renewal.
  package var lease: Duration
  /// How often the leader renews it.
  package var renew: Duration
  /// How often a follower looks at the lock.
  package var retry: Duration
  /// How often everything is looked at, whatever was noticed meanwhile.
  package var tick: Duration
  /// The deadline of one Redis command.
  package var opTimeout: Duration
  /// The deadline of one whole call of WeChat.
  package var apiTimeout: Duration

  /// How long after its BEGIN a request can still be processed.
  package static let straggling: Duration = .seconds(90)
  /// How long WeChat keeps the token before the newest one alive.
  package static let grace: Duration = .seconds(300)
  /// So long a token certainly lives after a fetch that may have killed it began: the grace, less
  /// what clocks and the delivery may cost.
  package static let certain: Duration = grace - .seconds(10)
  /// How long WeChat may sit on a request before it processes it.
  package static let straggler: Duration = .seconds(60)
  /// How much longer than its deadline an HTTP attempt may still be on its way to WeChat.
  package static let stragglerMargin: Duration = .seconds(4)
  /// A doubt is not fetched over before it is over, unless less than this would be left then.
  package static let leftAfterDoubt: Duration = .seconds(60)
  /// So long after a doubt is over it is fetched over: at that very moment, or by a clock that is a
  /// little fast, the fetch would not be later than what it is to settle.
  package static let afterDoubt: Duration = .seconds(1)
  /// Another server than before may have lost what was written up to so long ago.
  package static let lostWrites: Duration = .seconds(30)
  /// A server that was away for longer is taken for one that was away for so long: what it has is
  /// left half a minute, in which another token is fetched, and is not taken from readers at once.
  package static let longestAway: Duration = certain - lostWrites - .seconds(30)
  /// A step or a call that is not answered so long after its deadline is given up.
  package static let slack: Duration = .seconds(2)
  /// What is to be written in another slot than the record's is not written later than this after
  /// its order: the record may say otherwise by then.
  static let heldUp: Duration = .seconds(5)
  /// No two fetches of one account follow each other faster.
  package static let fetchSpacing: Duration = .seconds(1)
  /// How often a follower reads the token, and every replica says that it is alive.
  package static let followerLook: Duration = .seconds(10)
  /// After a replica's accounts have changed it says that it is alive, and hears what others keep
  /// by then, so soon again, and then each time after twice as long.
  package static let changedReplica: Duration = .seconds(1)
  /// How long a replica that gave up leadership stays back.
  package static let abdication: Duration = .seconds(20)
  /// A replica that gave up leadership this recently is not one to give it to.
  package static let abdicationMemory: Duration = .seconds(600)

  /// A failure is not the address's while WeChat gave another account a token this recently.
  package static let abdicationDoubt: Duration = .seconds(60)

  package init(
    lease: Duration = .seconds(15), renew: Duration = .seconds(5), retry: Duration = .seconds(2),
    tick: Duration = .seconds(20), opTimeout: Duration = .milliseconds(1500),
    apiTimeout: Duration = .seconds(5)
  ) {
    self.lease = lease
    self.renew = renew
    self.retry = retry
    self.tick = tick
    self.opTimeout = opTimeout
    self.apiTimeout = apiTimeout
  }

  /// How long from the sending of an ACQUIRE or RENEW the lock is certainly ours.
  package var validity: Duration { lease / 100 * 99 - .milliseconds(500) }

  /// When a step that was sent has brought no answer for so long, none will come.
  package var answerBy: Duration { opTimeout + Self.slack }

  /// How old the first BEGIN of an attempt may be when WeChat is asked: what is sent then is
  /// processed before `straggling` is over.
  package var freshness: Duration {
    min(apiTimeout, Self.straggling - Self.straggler - Self.stragglerMargin - apiTimeout)
  }

  /// How long after BEGIN was sent the HTTP attempt that it allows is over, at the latest.
  package var attemptSpan: Duration { apiTimeout + opTimeout }

  /// How long a server has been another one when a process leads that never met the one before: so
  /// long its predecessor's lock was waited for.
  package var successionSpan: Duration { min(lease + renew + retry, Self.longestAway) }

  /// A relation that does not hold.
  package struct Violation: Hashable, Sendable, CustomStringConvertible {
    /// The names of the settings that take part, as in the settings table.
    package let names: [String]
    /// The relation in those names.
    package let relation: String
    /// The two sides in numbers.
    package let numbers: String
    /// What to change.
    package let remedy: String

    package var description: String { "\(relation) does not hold: \(numbers); \(remedy)" }
  }

  /// Every relation that does not hold; empty for times that work.
  package var violations: [Violation] {
    var found: [Violation] = []

    let renewal = renew + (opTimeout + retry) * 2
    if renewal > lease - .seconds(1) {
      found.append(
        Violation(
          names: ["renew", "redisCommandTimeout", "retry", "lease"],
          relation: "renew + 2 × (redisCommandTimeout + retry) ≤ lease - 1s",
          numbers:
            "\(renew.written) + 2 × (\(opTimeout.written) + \(retry.written)) ="
            + " \(renewal.written), and \(lease.written) - 1s = \((lease - .seconds(1)).written)",
          remedy: "shorten the left side or use a lease of at least"
            + " \((renewal + .seconds(1)).written)"))
    }

    let room = validity - renew - opTimeout
    if apiTimeout >= room {
      found.append(
        Violation(
          names: ["apiTimeout", "lease", "renew", "redisCommandTimeout"],
          relation: "apiTimeout < lease × 0.99 - 500ms - renew - redisCommandTimeout",
          numbers:
            "\(apiTimeout.written), and \(lease.written) × 0.99 - 500ms - \(renew.written) -"
            + " \(opTimeout.written) = \(room.written)",
          remedy: "shorten apiTimeout or lengthen the lease, so that a fetch fits in it"))
    }

    let straggling = Self.straggler + apiTimeout + opTimeout + Self.stragglerMargin
    if straggling >= Self.straggling {
      found.append(
        Violation(
          names: ["apiTimeout", "redisCommandTimeout"],
          relation: "60s + apiTimeout + redisCommandTimeout + 4s < 90s (when a late mint is over)",
          numbers:
            "60s + \(apiTimeout.written) + \(opTimeout.written) + 4s = \(straggling.written)",
          remedy: "shorten them: a late mint at WeChat must be over before a doubt is settled"))
    }

    let repair = tick + lease + retry * 6 / 5 + apiTimeout + opTimeout * 4
    if repair >= Self.certain {
      found.append(
        Violation(
          names: ["tick", "lease", "retry", "apiTimeout", "redisCommandTimeout"],
          relation: "tick + lease + 1.2 × retry + apiTimeout + 4 × redisCommandTimeout < 290s"
            + " (the life of a token in doubt)",
          numbers:
            "\(tick.written) + \(lease.written) + 1.2 × \(retry.written) +"
            + " \(apiTimeout.written) + 4 × \(opTimeout.written) = \(repair.written)",
          remedy: "shorten them: a doubt must be noticed and fetched over before the keys end"))
    }
    return found
  }
}

/// How early a token counts as used up (TokenCore.md#the-record).
package struct Margins: Hashable, Sendable {
  /// How long before the real expiry clients should stop trusting a token.
  package var clientExpiresBefore: Duration = .seconds(120)
  /// How much earlier still the leader refreshes.
  package var serverExpiresBefore: Duration = .seconds(60)

  package init() {}

  /// The client's margin for a token of this life: at most a quarter of it.
  package func client(lifetime: Duration) -> Duration {
    min(clientExpiresBefore, lifetime / 4)
  }

  /// The Unix second at which clients stop trusting a token that is stated to end at `end`.
  package func clientExpiry(end: RedisTime, lifetime: Duration) -> Int64 {
    Self.clientExpiry(end: end, lifetime: lifetime, margin: clientExpiresBefore)
  }

  /// The same with this margin.
  static func clientExpiry(end: RedisTime, lifetime: Duration, margin: Duration) -> Int64 {
    (end.milliseconds - min(margin, lifetime / 4).wholeMilliseconds) / 1000
  }

  /// The remaining life at which the leader refreshes a token of this life.
  package func refresh(lifetime: Duration) -> Duration {
    client(lifetime: lifetime) + min(serverExpiresBefore, lifetime / 8)
  }
}
