/// Decides which look-ups run and which wait, and keeps what came too late.
///
/// A look-up that hangs holds its thread until the system gives it up, which may take half a
/// minute. So each is asked once at a time, whoever wants it joins, and no name can hold more
/// threads than it has kinds of look-ups.
struct LookUpQueue<Address> {
  typealias Instant = ContinuousClock.Instant

  /// What is asked: `any` asks for both families at once.
  struct Question: Hashable {
    let name: String
    let family: Dialer.Family
  }

  /// Somebody who waits for an answer.
  typealias Ticket = UInt64

  /// What becomes of a question.
  enum Verdict: Hashable {
    /// A thread is to ask it.
    case start
    /// It is asked already, or waits for a thread.
    case wait
    /// So many wait that this one cannot be taken.
    case refuse
  }

  private struct Kept {
    let addresses: [Address]
    let at: Instant
  }

  /// So many look-ups run at a time: some names that hang, and others that still work.
  static var threadLimit: Int { 8 }
  /// So many of them may ask one family apart, which is done for names that take long: four names
  /// may hang in every way, and there is a thread for a fifth.
  static var apartLimit: Int { 3 }
  /// So many wait for a thread; Redis, eight hosts of WeChat and a proxy have 30 questions.
  static var waitingLimit: Int { 64 }
  /// So many names are remembered; far more than settings can name.
  static var nameLimit: Int { 64 }
  /// What came too late is an answer for so long: attempts that follow come within half of it, and
  /// it is no older than what a name server may have kept.
  static var lateLife: Duration { .seconds(60) }
  /// RFC 8767, section 5: how long stale addresses are better than none.
  static var lastGoodLife: Duration { .seconds(86_400) }

  private var running: [Question: Set<Ticket>] = [:]
  private var apartRunning = 0
  private var apart: Set<Question> = []
  /// Those without a thread, oldest first.
  private var waiting: [(question: Question, isApart: Bool, tickets: Set<Ticket>)] = []
  private var late: [Question: Kept] = [:]
  private var lastGood: [String: Kept] = [:]

  /// The names that are being looked up.
  var names: [String] { Set(running.keys.map(\.name)).sorted() }

  // MARK: Asking

  /// Takes a question.
  ///
  /// - Parameter isApart: whether it is one of those that help a look-up out that takes long.
  mutating func ask(_ question: Question, isApart: Bool, ticket: Ticket) -> Verdict {
    if running[question] != nil {
      running[question]?.insert(ticket)
      return .wait
    }
    if let index = waiting.firstIndex(where: { $0.question == question }) {
      waiting[index].tickets.insert(ticket)
      // Whoever asks it first and foremost does not wait for what only helps out.
      if !isApart { waiting[index].isApart = false }
      return next() == nil ? .wait : .start
    }
    guard waiting.count < Self.waitingLimit else { return .refuse }
    waiting.append((question, isApart, [ticket]))
    return next() == nil ? .wait : .start
  }

  /// Takes a ticket back.
  ///
  /// A question that still waits for a thread, and that nobody else asks, is dropped; one that has
  /// a thread cannot be, and its answer is kept.
  mutating func withdraw(_ ticket: Ticket) {
    for question in running.keys { running[question]?.remove(ticket) }
    guard let index = waiting.firstIndex(where: { $0.tickets.contains(ticket) }) else { return }
    waiting[index].tickets.remove(ticket)
    if waiting[index].tickets.isEmpty { waiting.remove(at: index) }
  }

  /// Whether it still waits for a thread.
  func isWaiting(_ ticket: Ticket) -> Bool {
    waiting.contains { $0.tickets.contains(ticket) }
  }

  /// Ends a look-up.
  ///
  /// - Parameter addresses: nil when it failed.
  /// - Returns: who is to be told, and what its thread is to ask next.
  mutating func finish(
    _ question: Question, addresses: [Address]?, at now: Instant
  ) -> (told: Set<Ticket>, next: Question?) {
    let tickets = running.removeValue(forKey: question) ?? []
    if apart.remove(question) != nil { apartRunning -= 1 }
    if let addresses {
      // It is younger than whatever was kept of this name.
      late = late.filter { $0.key.name != question.name }
      if tickets.isEmpty {
        late[question] = Kept(addresses: addresses, at: now)
        Self.trim(&late)
      }
    }
    return (tickets, next())
  }

  /// Gives the oldest question that may run a thread; a question that has just come gets it only
  /// when none before it could have.
  private mutating func next() -> Question? {
    guard running.count < Self.threadLimit,
      let index = waiting.firstIndex(where: { !$0.isApart || apartRunning < Self.apartLimit })
    else { return nil }
    let (question, isApart, tickets) = waiting.remove(at: index)
    running[question] = tickets
    if isApart {
      apart.insert(question)
      apartRunning += 1
    }
    return question
  }

  // MARK: Remembering

  /// What look-ups of this name found when nobody waited any more.
  func lateAddresses(of name: String, _ family: Dialer.Family, at now: Instant) -> [Address] {
    let families: [Dialer.Family] = family == .any ? [.any, .ipv6, .ipv4] : [family, .any]
    return families.flatMap { family in
      let kept = late[Question(name: name, family: family)]
      return kept.flatMap { $0.at + Self.lateLife > now ? $0.addresses : nil } ?? []
    }
  }

  /// Addresses of this name, one of which took a connection.
  mutating func remember(_ addresses: [Address], of name: String, at now: Instant) {
    lastGood[name] = Kept(addresses: addresses, at: now)
    Self.trim(&lastGood)
  }

  func lastGoodAddresses(of name: String, at now: Instant) -> [Address] {
    lastGood[name].flatMap { $0.at + Self.lastGoodLife > now ? $0.addresses : nil } ?? []
  }

  private static func trim<Key>(_ kept: inout [Key: Kept]) {
    guard kept.count > nameLimit, let oldest = kept.min(by: { $0.value.at < $1.value.at }) else {
      return
    }
    kept[oldest.key] = nil
  }
}
