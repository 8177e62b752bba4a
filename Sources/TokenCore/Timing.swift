/// The durations that leadership and refresh are built on (PROTOCOL section 5).
package struct Timing: Hashable, Sendable {
  /// How long the lock lives without a renewal.
  package var lease: Duration = .seconds(15)
  /// How often the leader renews it.
  package var renew: Duration = .seconds(5)
  /// How often a follower looks at the lock.
  package var retry: Duration = .seconds(2)
  /// How often everything is looked at, whatever was noticed meanwhile.
  package var tick: Duration = .seconds(20)
  /// The deadline of one Redis command.
  package var opTimeout: Duration = .milliseconds(1500)
  /// The deadline of one whole call of WeChat.
  package var apiTimeout: Duration = .seconds(5)

  /// How long after an unknown outcome a straggler at WeChat is certainly over.
  package static let sweep: Duration = .seconds(90)
  /// How long WeChat keeps the token before the newest one alive.
  package static let grace: Duration = .seconds(300)
  /// How long WeChat may sit on a request before it processes it.
  package static let straggler: Duration = .seconds(60)
  /// How much longer than its deadline an HTTP attempt may still be on its way to WeChat.
  package static let stragglerMargin: Duration = .seconds(4)
  /// A copy in memory seen as current this recently cannot have been killed by a later fetch.
  package static let publishable: Duration = grace - sweep
  /// No two fetches of one account follow each other faster.
  package static let fetchSpacing: Duration = .seconds(1)
  /// How often a follower reads the token, and every replica says that it is alive.
  package static let followerLook: Duration = .seconds(10)
  /// How long a replica that gave up leadership stays back.
  package static let abdication: Duration = .seconds(20)
  /// A replica that gave up leadership this recently is not one to give it to.
  package static let abdicationMemory: Duration = .seconds(600)

  package init() {}

  /// How long from the sending of an ACQUIRE or RENEW the lock is certainly ours.
  package var validity: Duration { lease / 100 * 99 - .milliseconds(500) }

  /// How long after BEGIN was sent the HTTP attempt that it allows is over, at the latest.
  package var attemptSpan: Duration { apiTimeout + opTimeout }

  /// What is wrong with the durations together, one sentence a relation; empty when sound.
  package func violations() -> [String] {
    let named = [
      ("lease", lease), ("renew", renew), ("retry", retry), ("tick", tick),
      ("redisCommandTimeout", opTimeout), ("apiTimeout", apiTimeout),
    ]
    var found = named.filter { $0.1 <= .zero }.map { "\($0.0) must be longer than zero" }
    let twoTries: Duration = (opTimeout + retry) * 2
    let renewals: Duration = renew + twoTries
    let leaseLessMargin: Duration = lease - .seconds(1)
    if renewals > leaseLessMargin {
      found.append(
        """
        renew + 2 × (redisCommandTimeout + retry) is \(renewals) and must not be above \
        lease - 1s, which is \(leaseLessMargin)
        """)
    }
    let left: Duration = validity - renew - opTimeout
    if apiTimeout >= left {
      found.append(
        """
        apiTimeout is \(apiTimeout) and must be below \
        lease × 0.99 - 0.5s - renew - redisCommandTimeout, which is \(left)
        """)
    }
    let late: Duration = Timing.straggler + apiTimeout + opTimeout
    if late >= Timing.sweep {
      found.append(
        """
        60s + apiTimeout + redisCommandTimeout is \(late) and must be below the sweep of \
        \(Timing.sweep)
        """)
    }
    let waits: Duration = tick + lease + retry * 6 / 5
    let calls: Duration = apiTimeout + opTimeout * 4
    let sweepToCommit: Duration = Timing.sweep + waits + calls
    if sweepToCommit >= Timing.grace {
      found.append(
        """
        90s + tick + lease + 1.2 × retry + apiTimeout + 4 × redisCommandTimeout is \
        \(sweepToCommit) and must be below WeChat's grace of \(Timing.grace)
        """)
    }
    return found
  }
}

/// How early a token counts as used up (DESIGN section 1).
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

  /// The remaining life at which the leader refreshes a token of this life.
  package func refresh(lifetime: Duration) -> Duration {
    client(lifetime: lifetime) + min(serverExpiresBefore, lifetime / 8)
  }
}
