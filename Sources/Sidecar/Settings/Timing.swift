/// The times of the protocol, and the relations that must hold between them.
///
/// PROTOCOL section 5 has the relations and their reasons. Pure: no clock is read here.
package struct Timing: Hashable, Sendable {
  /// How long a leader leads without renewing.
  package var lease: Duration
  /// How often the leader renews.
  package var renew: Duration
  /// How often a candidate tries, before jitter.
  package var retry: Duration
  /// How often keys are checked.
  package var tick: Duration
  /// The bound of one Redis command (`opTimeout` in PROTOCOL).
  package var commandTimeout: Duration
  /// The bound of one whole call to WeChat.
  package var apiTimeout: Duration

  /// How long after a fetch of unknown outcome the account is swept: stragglers may still land.
  package static let sweep: Duration = .seconds(90)
  /// How long WeChat honours a token that was replaced: "within five minutes".
  package static let grace: Duration = .seconds(300)
  /// The longest that WeChat itself may take to carry out a request that we gave up on.
  package static let straggler: Duration = .seconds(60)

  package init(
    lease: Duration = .seconds(15), renew: Duration = .seconds(5), retry: Duration = .seconds(2),
    tick: Duration = .seconds(20), commandTimeout: Duration = .milliseconds(1500),
    apiTimeout: Duration = .seconds(5)
  ) {
    self.lease = lease
    self.renew = renew
    self.retry = retry
    self.tick = tick
    self.commandTimeout = commandTimeout
    self.apiTimeout = apiTimeout
  }

  /// How long after the send of a confirmed renewal the leader may act: clocks may drift by 1 %,
  /// and half a second covers the delivery of what was already sent.
  package var leaseValidity: Duration { lease * 99 / 100 - .milliseconds(500) }

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

    let renewal = renew + (commandTimeout + retry) * 2
    if renewal > lease - .seconds(1) {
      found.append(
        Violation(
          names: ["renew", "redisCommandTimeout", "retry", "lease"],
          relation: "renew + 2 × (redisCommandTimeout + retry) ≤ lease - 1s",
          numbers:
            "\(renew.written) + 2 × (\(commandTimeout.written) + \(retry.written)) ="
            + " \(renewal.written), and \(lease.written) - 1s = \((lease - .seconds(1)).written)",
          remedy: "shorten the left side or use a lease of at least"
            + " \((renewal + .seconds(1)).written)"))
    }

    let room = leaseValidity - renew - commandTimeout
    if apiTimeout >= room {
      found.append(
        Violation(
          names: ["apiTimeout", "lease", "renew", "redisCommandTimeout"],
          relation: "apiTimeout < lease × 0.99 - 500ms - renew - redisCommandTimeout",
          numbers:
            "\(apiTimeout.written), and \(lease.written) × 0.99 - 500ms - \(renew.written) -"
            + " \(commandTimeout.written) = \(room.written)",
          remedy: "shorten apiTimeout or lengthen the lease, so that a fetch fits in it"))
    }

    let straggling = Self.straggler + apiTimeout + commandTimeout
    if straggling >= Self.sweep {
      found.append(
        Violation(
          names: ["apiTimeout", "redisCommandTimeout"],
          relation: "60s + apiTimeout + redisCommandTimeout < 90s (the sweep)",
          numbers:
            "60s + \(apiTimeout.written) + \(commandTimeout.written) = \(straggling.written)",
          remedy: "shorten them: a late mint at WeChat must be over before the sweep"))
    }

    let repair =
      Self.sweep + tick + lease + retry * 6 / 5 + apiTimeout + commandTimeout * 4
    if repair >= Self.grace {
      found.append(
        Violation(
          names: ["tick", "lease", "retry", "apiTimeout", "redisCommandTimeout"],
          relation: "90s + tick + lease + 1.2 × retry + apiTimeout + 4 × redisCommandTimeout"
            + " < 300s (the life of a replaced token)",
          numbers:
            "90s + \(tick.written) + \(lease.written) + 1.2 × \(retry.written) +"
            + " \(apiTimeout.written) + 4 × \(commandTimeout.written) = \(repair.written)",
          remedy: "shorten them: a dead token must be replaced before applications notice"))
    }
    return found
  }
}
