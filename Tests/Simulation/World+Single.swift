import TokenCore

/// One fault at a time, drawn together with the effect that it strikes, while applications and
/// orderly restarts go on as they do on any day.
extension World {
  /// A fault that waits for its effect.
  struct Armed {
    let fault: Fault
    let boundary: Boundary
    let effect: Strike.Effect
    /// When it strikes whatever is done then.
    let until: Instant
  }

  /// So long a fault waits for its effect.
  private static let patience: Int64 = 90 * minute

  /// The next fault that comes by itself, and forgets any that was to come.
  mutating func scheduleFault(at instant: Instant) {
    faultDue = instant
    queue.push(.fault, at: instant)
  }

  mutating func nextSingleFault() {
    // Alone also when the one before struck late.
    let calmFrom = max(disturbedUntil, (struckAt ?? 0) + minute) + 20 * minute
    if let armed {
      // No effect came by to strike at.
      self.armed = nil
      inject(armed.fault, someReplica())
      scheduleFault(at: now + 40 * minute)
    } else if struckAt != nil, calmFrom > now {
      scheduleFault(at: calmFrom)
    } else {
      let (boundary, effect) = nextPlace()
      armed = Armed(
        fault: chance.pick(plan.faults), boundary: boundary, effect: effect,
        until: now + World.patience)
      trace("armed \(armed?.fault.rawValue ?? "") at \(effect)'s \(boundary)")
      scheduleFault(at: now + World.patience)
    }
  }

  /// Where the next fault strikes: everywhere once, before anywhere twice.
  private mutating func nextPlace() -> (Boundary, Strike.Effect) {
    if places.isEmpty {
      places = Boundary.allCases.flatMap { boundary in
        Strike.Effect.all(isSplit: slots != nil).map { (boundary, $0) }
      }
    }
    return places.remove(at: Int(chance.below(Int64(places.count))))
  }

  // MARK: What goes on all the time

  /// A day like any other: it counts as no fault, and as no disturbance.
  mutating func goOn() {
    guard !isHealed else { return }
    let before = disturbedUntil
    accountAll()
    let leader = replicas.firstIndex {
      $0.isAlive && !$0.isEnding && $0.leadership != nil && !$0.isPaused(at: now)
    }
    let effect = chance.percent(70) ? armed?.effect : nil
    switch effect {
    case .acquire, .takeOver, .release, .mark:
      if let leader { end(leader) }
    case .resolve:
      refuseNext = 45011
      ask()
    case .republish: loseExpiry()
    case .begin, .fetch, .commit, .shorten, .place: ask()
    case nil:
      if let leader, chance.percent(25) { end(leader) } else { ask() }
    }
    // What struck meanwhile is a fault all the same.
    if struckAt != now { disturbedUntil = before }
    queue.push(.goOn, at: now + chance.within(120...900) * second)
  }

  /// A key that applications can do without is gone.
  private mutating func loseExpiry() {
    let account = Int(chance.below(Int64(accounts.count)))
    trace("the expiry of \(accounts[account]) is lost")
    marks.allowedFetches += 2
    redis.data.accounts[account].expiry = nil
  }
}
