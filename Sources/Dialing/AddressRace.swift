import NIOCore

/// Decides what is looked up and which address is tried when, until one of them takes a
/// connection: RFC 8305 ("Happy Eyeballs"), with the system's own order of addresses.
///
/// First the system is asked as every program asks it, for both families in one look-up: that one
/// alone knows the order (RFC 6724, gai.conf), and one name for both families where search lists
/// and files are in play. When it has not answered within RFC 8305's resolution delay, each family
/// is asked apart, and whichever answers first is tried at once: the other one has had its delay
/// by then. So a dropped AAAA costs 50 ms, and a machine in good order asks nothing twice.
///
/// States: looking up → trying (an answer is there; look-ups may go on) → over.
struct AddressRace {
  typealias Instant = ContinuousClock.Instant

  /// What has happened.
  enum Event: Hashable {
    case answered(Dialer.Family, [SocketAddress])
    case lookUpFailed(Dialer.Family, reason: String)
    case connected(SocketAddress)
    case connectFailed(SocketAddress)
    case timePassed
  }

  /// What is to be done.
  enum Action: Hashable {
    case lookUp(Dialer.Family)
    case connect(SocketAddress)
    /// Replaces the wake-up that was asked for before.
    case wake(at: Instant)
    /// Nothing follows; whatever is still open or asked is of no use.
    case end(Outcome)
  }

  /// What it came to.
  enum Outcome: Hashable {
    case connected(SocketAddress)
    case notResolved(reason: String)
    case lookUpTimedOut
    /// Each failed, or had not answered when the time was up.
    case unreachable([SocketAddress])
    /// None of those that were tried last has answered.
    case connectTimedOut([SocketAddress])
  }

  /// RFC 8305, section 3: how long one family may keep the other waiting.
  static let resolutionDelay: Duration = .milliseconds(50)
  /// RFC 8305, section 5: how long an address is tried alone.
  static let attemptDelay: Duration = .milliseconds(250)
  /// When every known address has failed this long after the start, the answer of the other family
  /// is not awaited any longer: the caller will try again, and soon.
  static let longestWaitForMore: Duration = .seconds(1)

  private let family: Dialer.Family
  private let late: [SocketAddress]
  private let lastGood: [SocketAddress]
  private let deadline: Instant
  private let moreUntil: Instant

  // What is due when; nil once it is done or needed no more.
  private var familiesApartAt: Instant?
  private var lateAt: Instant?
  private var lastGoodAt: Instant?
  private var nextAttemptAt: Instant?
  private var wakesAt: Instant?

  /// The look-ups that have not ended.
  private var awaited: Set<Dialer.Family> = []
  /// Why the first look-up failed.
  private var reason: String?
  /// Whether the system has answered this race, and not only an earlier one.
  private var hasAnswer = false
  /// Addresses that the system gave, in the order in which they are tried.
  private(set) var found: [SocketAddress] = []
  private var candidates: [SocketAddress] = []
  private var tried: Set<SocketAddress> = []
  private var connecting: [SocketAddress] = []
  private var failed: [SocketAddress] = []
  private var isOver = false

  /// A race to a name.
  ///
  /// - Parameters:
  ///   - late: what a look-up found that ended when nobody waited for it any more. It stands in
  ///     for an answer that takes long, not for a quick one.
  ///   - lastGood: addresses that took a connection once, for when the look-up fails or takes half
  ///     of the time; never in place of an answer.
  init(
    family: Dialer.Family, start: Instant, deadline: Instant, late: [SocketAddress] = [],
    lastGood: [SocketAddress] = []
  ) {
    self.family = family
    self.deadline = deadline
    self.late = late
    self.lastGood = lastGood
    moreUntil = start + Self.longestWaitForMore
    familiesApartAt = family == .any ? start + Self.resolutionDelay : nil
    lateAt = late.isEmpty ? nil : start + Self.resolutionDelay * 2
    lastGoodAt = lastGood.isEmpty ? nil : start + start.duration(to: deadline) / 2
  }

  /// A race to addresses that need no look-up.
  init(to addresses: [SocketAddress], start: Instant, deadline: Instant) {
    self.init(family: .any, start: start, deadline: deadline)
    familiesApartAt = nil
    hasAnswer = true
    found = addresses
    candidates = addresses
  }

  /// What is to be done first.
  mutating func begin(at now: Instant) -> [Action] {
    guard !hasAnswer else { return proceed(at: now) }
    return lookUp(family) + proceed(at: now)
  }

  mutating func handle(_ event: Event, at now: Instant) -> [Action] {
    guard !isOver else { return [] }
    var actions: [Action] = []
    switch event {
    case .answered(let answered, let addresses):
      guard awaited.remove(answered) != nil else { break }
      hasAnswer = true
      take(addresses, replacing: answered == family)
      if answered == family {
        // It says all that there is to say, in the right order.
        awaited = []
        (familiesApartAt, lateAt, lastGoodAt) = (nil, nil, nil)
      }
      lateAt = nil
    case .lookUpFailed(let failed, let why):
      guard awaited.remove(failed) != nil else { break }
      if failed == family {
        reason = why
        // An odd answer for one family may have spoilt both.
        if familiesApartAt != nil { familiesApartAt = now }
        lateAt = lateAt.map { _ in now }
        lastGoodAt = lastGoodAt.map { min($0, now + Self.resolutionDelay) }
      }
      if awaited.isEmpty, familiesApartAt == nil { lastGoodAt = lastGoodAt.map { _ in now } }
    case .connected(let address):
      guard connecting.contains(address) else { break }
      return end(.connected(address))
    case .connectFailed(let address):
      guard let index = connecting.firstIndex(of: address) else { break }
      connecting.remove(at: index)
      failed.append(address)
      // The next one need not wait for the delay.
      nextAttemptAt = nil
    case .timePassed: wakesAt = nil
    }
    actions += proceed(at: now)
    return actions
  }

  // MARK: Steps

  /// Does what is due, and says when there is more to do.
  private mutating func proceed(at now: Instant) -> [Action] {
    guard now < deadline else { return end(outcomeInTheEnd) }
    var actions: [Action] = []
    if Self.isDue(&familiesApartAt, at: now) { actions += lookUp(.ipv4) + lookUp(.ipv6) }
    if Self.isDue(&lateAt, at: now) { take(late, replacing: false) }
    // Without an answer, and not beside one.
    if !hasAnswer, Self.isDue(&lastGoodAt, at: now) { queue(lastGood) }
    while let next = candidates.first, connecting.isEmpty || (nextAttemptAt ?? now) <= now {
      candidates.removeFirst()
      tried.insert(next)
      connecting.append(next)
      nextAttemptAt = now + Self.attemptDelay
      actions.append(.connect(next))
    }
    if candidates.isEmpty, connecting.isEmpty {
      let isHopeless =
        awaited.isEmpty && familiesApartAt == nil && (hasAnswer || lastGoodAt == nil)
      if isHopeless || (hasAnswer && now >= moreUntil) {
        return actions + end(outcomeInTheEnd)
      }
    }
    let due =
      [
        familiesApartAt, lateAt, hasAnswer ? nil : lastGoodAt,
        candidates.isEmpty ? nil : nextAttemptAt,
        hasAnswer && connecting.isEmpty && candidates.isEmpty ? moreUntil : nil, deadline,
      ].compactMap(\.self).min() ?? deadline
    if due != wakesAt {
      wakesAt = due
      actions.append(.wake(at: due))
    }
    return actions
  }

  private mutating func lookUp(_ family: Dialer.Family) -> [Action] {
    awaited.insert(family)
    return [.lookUp(family)]
  }

  /// Adds what the system gave; an answer for all there is takes the place of earlier ones.
  private mutating func take(_ addresses: [SocketAddress], replacing: Bool) {
    let ordered = Self.interleaved(addresses)
    if replacing {
      found = ordered
      candidates = []
    } else {
      for address in ordered where !found.contains(address) { found.append(address) }
    }
    queue(ordered)
  }

  private mutating func queue(_ addresses: [SocketAddress]) {
    // Each once, though several look-ups have found it.
    for address in addresses where !tried.contains(address) && !candidates.contains(address) {
      candidates.append(address)
    }
  }

  private mutating func end(_ outcome: Outcome) -> [Action] {
    isOver = true
    return [.end(outcome)]
  }

  private static func isDue(_ instant: inout Instant?, at now: Instant) -> Bool {
    guard let due = instant, due <= now else { return false }
    instant = nil
    return true
  }

  /// What to say when nothing more is to be expected.
  private var outcomeInTheEnd: Outcome {
    // Whatever earlier addresses came to: that there was no answer is the news.
    if !hasAnswer { return reason.map { .notResolved(reason: $0) } ?? .lookUpTimedOut }
    return failed.isEmpty ? .connectTimedOut(connecting) : .unreachable(failed + connecting)
  }

  /// RFC 8305, section 4: the families take turns, beginning with that of the first address.
  private static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
    guard let first = addresses.first else { return [] }
    let ours = addresses.filter { $0.protocol == first.protocol }
    let others = addresses.filter { $0.protocol != first.protocol }
    return (0..<max(ours.count, others.count)).flatMap { index in
      [ours, others].compactMap { index < $0.count ? $0[index] : nil }
    }
  }
}
