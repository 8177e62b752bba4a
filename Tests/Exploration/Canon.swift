import Simulation
import TokenCore

/// What identifies a state: 128 bits of a hash.
struct Mark: Hashable, Sendable {
  var low: UInt64
  var high: UInt64
}

/// Writes down everything that decides a state's future, so that states which differ in nothing
/// else have the same mark.
///
/// - Times count from now. What is further ahead than an exploration goes (`far`), and what is
///   longer past than anything looks back (`old`), counts from the end of the committed token's
///   life and from its fetch instead, so that a quiet hour is one state.
/// - Epochs are numbered by their order, since only that decides; one of this very moment also says
///   so, as the next one exceeds the clock. Terms, tokens and servers are numbered as they appear.
/// - Left out is what decides nothing: names of fetchers, days and counts of fetches, heartbeats,
///   tokens that nobody knows any more, and the faults that were used up, which the visited states
///   keep beside the mark.
struct Canon {
  private static let far: Int64 = 3600 * 1_000_000_000
  private static let old: Int64 = -320 * 1_000_000_000
  /// Claims of the two replicas, and one more.
  private static let recentEpoch: Int64 = 4

  private var words: [UInt64] = []
  private var memory = Memory()
  private var epochs: [(place: Int, value: Int64)] = []
  private var terms: [String] = []
  private var tokens: [String] = []
  private var servers: [String] = []
  /// Of one replica: which of its steps its keeper waits for.
  private var steps: [StepID] = []
  private var sorted: [Int64] = []
  private var now: Instant = 0
  private var end: Instant = 0
  private var birth: Instant = 0
  /// The least that any look will show as committed from here on; nil where that may become less.
  private var least: Version?

  init() {
    words.reserveCapacity(1024)
    epochs.reserveCapacity(128)
  }

  /// The mark of a state, with what only further faults need or without it.
  mutating func mark(of state: State, withHistory: Bool) -> Mark {
    words.removeAll(keepingCapacity: true)
    epochs.removeAll(keepingCapacity: true)
    terms.removeAll(keepingCapacity: true)
    tokens.removeAll(keepingCapacity: true)
    servers.removeAll(keepingCapacity: true)
    now = state.now
    let record = state.redis.data.accounts[0].state
    end = record.expiresAt.map(State.instant) ?? state.weChat.issues.last?.diesAt ?? 0
    birth = record.fetchedAt.map(State.instant) ?? 0
    least = withHistory ? nil : state.leastCommitted
    write(state)
    if withHistory {
      let oldest = state.now - Instant(Timing.lostWrites.wholeNanoseconds)
      for entry in state.history where entry.writtenAt >= oldest {
        write(entry.data)
        read(instant: entry.writtenAt)
      }
    }
    writeTokens(of: state)
    return numbered(at: state.redisTime.milliseconds)
  }

  // MARK: Pieces

  private mutating func read(_ piece: Memory.Piece) {
    switch piece {
    case .number(let number): read(number)
    case .moment(let moment): read(instant: moment.nanoseconds)
    case .time(let time): read(time)
    case .epoch(let epoch): read(epoch)
    case .term(let term): read(term: term.description)
    case .token(let token): read(token: token.revealed)
    case .server(let name): read(server: name)
    case .step(let step): read(step)
    case .nothing: readNothing()
    }
  }

  private mutating func read(_ number: Int64) { words.append(UInt64(bitPattern: number)) }

  private mutating func read(_ flag: Bool) { words.append(flag ? 1 : 0) }

  private mutating func readNothing() { words.append(0x6E6F_7468_696E_67) }

  private mutating func read(_ moment: Moment) { read(instant: moment.nanoseconds) }

  private mutating func read(_ time: RedisTime?) {
    guard let time else { return readNothing() }
    read(instant: State.instant(of: time))
  }

  private mutating func read(instant: Instant?) {
    guard let instant else { return readNothing() }
    let ahead = instant - now
    if ahead > Self.far {
      read(instant - end)
      read(-1)
    } else if ahead < Self.old {
      read(instant - birth)
      read(-2)
    } else {
      read(ahead)
    }
  }

  private mutating func read(_ span: Duration?) {
    guard let span else { return readNothing() }
    read(span.wholeNanoseconds)
  }

  private mutating func read(_ epoch: Epoch) {
    epochs.append((words.count, epoch.rawValue))
    words.append(0)
  }

  private mutating func read(_ version: Version?) {
    guard let version else { return readNothing() }
    read(version.epoch)
    read(version.sequence)
  }

  private mutating func read(_ step: StepID) {
    read(step.issuedAt)
    let place = steps.firstIndex(of: step) ?? steps.count
    if place == steps.count { steps.append(step) }
    read(Int64(place))
  }

  private mutating func read(term: String?) {
    guard let term else { return readNothing() }
    read(Self.number(of: term, in: &terms))
  }

  private mutating func read(token: String?) {
    guard let token else { return readNothing() }
    read(Self.number(of: token, in: &tokens))
  }

  private mutating func read(server: String?) {
    guard let server else { return readNothing() }
    read(Self.number(of: server, in: &servers))
  }

  private static func number(of name: String, in names: inout [String]) -> Int64 {
    if let place = names.firstIndex(of: name) { return Int64(place) }
    names.append(name)
    return Int64(names.count - 1)
  }

  // MARK: The state

  private mutating func write(_ state: State) {
    read(server: state.redis.runID)
    write(state.redis.data)
    for replica in state.replicas { write(replica, state) }
    read(Int64(state.strayCommands.count))
    for stray in state.strayCommands {
      write(stray.letter.content)
      read(instant: stray.until)
    }
    read(Int64(state.strayFetches.count))
    for stray in state.strayFetches {
      write(stray.request, state)
      read(instant: stray.until)
      read(stray.openAt == now)
    }
    read(Int64(state.requests))
    read(state.hasJustMinted)
    read(state.highestEpoch)
  }

  private mutating func write(_ replica: Replica, _ state: State) {
    guard let mind = replica.mind else { return read(-1) }
    steps.removeAll(keepingCapacity: true)
    read(replica.isConnected)
    read(replica.isPaused)
    read(replica.isCut)
    read(instant: replica.reconnectAt)
    read(replica.leaseFrom.map { $0 > state.lockDisturbedAt } ?? false)
    read(instant: replica.leaseFrom.map { max($0, now - 50_000_000_000) })
    read(replica.permitted)
    read(Int64(replica.steps.count))
    for step in replica.steps {
      write(step.command)
      read(step.id)
      read(step.isSlow)
      switch step.stage {
      case .sent: read(0)
      case .lost: read(1)
      case .answered(let letter, let isPrompt):
        read(isPrompt ? 2 : 3)
        write(letter.content)
      }
    }
    read(Int64(replica.calls.count))
    for call in replica.calls {
      read(call.order.version)
      write(call.request, state)
      read(instant: call.sentAt)
      read(call.order.deadline)
      switch call.stage {
      case .sent: read(call.openAt == now ? 0 : 6)
      case .lost: read(1)
      case .held: read(2)
      case .answered(.token(let fetched), let isPrompt):
        read(isPrompt ? 3 : 4)
        read(token: fetched.token.revealed)
      case .answered(.knownFailure, _), .answered(.unknown, _): read(5)
      }
    }
    memory.removeAll()
    mind.keeper.tellMemory(to: &memory, least: least)
    for piece in memory.pieces { read(piece) }
  }

  /// What decides whether somebody can still tell of a request.
  private mutating func write(_ request: Request, _ state: State) {
    read(Int64(request.replica))
    read(state.replicas[request.replica].life == request.life)
    read(request.decidedAt <= state.wipedAt)
    read(request.isThroughHole)
  }

  /// When the tokens die that somebody knows, and the order of those that matter to WeChat.
  private mutating func writeTokens(of state: State) {
    for name in tokens {
      guard let place = state.weChat.issues.firstIndex(where: { Mint.name($0.token) == name })
      else {
        read(-3)
        continue
      }
      read(instant: max(state.weChat.issues[place].diesAt, now))
      read(Int64(min(state.weChat.issues.count - place, 3)))
      if place + 1 < state.weChat.issues.endIndex {
        write(state.weChat.issues[place + 1].request, state)
      }
    }
  }

  private mutating func write(_ data: ModelRedis.Data) {
    read(term: data.lock?.holder)
    read(data.lock?.expiresAt)
    read(data.epoch?.epoch ?? .none)
    read(term: data.epoch?.term)
    let account = data.accounts[0]
    read(token: account.token?.text)
    read(account.token?.expiresAt)
    read(expiry: account.expiry?.text.flatMap { Int64($0) }, account.expiry?.expiresAt)
    read(account.expiry?.expiresAt)
    let state = account.state
    read(state.fence)
    read(state.committed)
    read(state.parent)
    write(state.intent)
    write(state.doubt)
    read(server: state.runID)
    read(state.fetchedAt)
    read(state.expiresAt)
    read(token: state.digest)
  }

  /// The second at which clients stop trusting a token follows from its end.
  private mutating func read(expiry seconds: Int64?, _ end: RedisTime?) {
    guard let seconds, let end else { return read(-4) }
    let lead = end.milliseconds - seconds * 1000
    read(120_000...121_000 ~= lead ? 1 : lead)
  }

  private mutating func write(_ intent: Intent?) {
    guard let intent else { return readNothing() }
    read(intent.version)
    read(intent.at)
  }

  private mutating func write(_ doubt: Doubt?) {
    guard let doubt else { return readNothing() }
    read(doubt.first)
    read(doubt.last)
  }

  private mutating func write(_ command: StoreCommand) {
    switch command {
    case .pollLock: read(0)
    case .acquire(let term, _, let floor):
      read(1)
      read(term: term.description)
      read(floor)
    case .renew(let term, _):
      read(2)
      read(term: term.description)
    case .release(let term):
      read(3)
      read(term: term.description)
    case .look: read(4)
    case .takeOver(let takeOver):
      read(5)
      read(takeOver.epoch)
      read(server: takeOver.runID)
      read(takeOver.away)
    case .begin(let begin):
      read(6)
      read(begin.version)
      read(begin.kills)
      read(begin.hasHistory)
    case .resolve(let resolve):
      read(7)
      read(resolve.version)
    case .commit(let commit):
      read(8)
      read(commit.fence)
      read(commit.version)
      read(token: commit.token.revealed)
      read(commit.age)
      read(commit.begunAt)
      read(commit.parent)
      read(commit.kills)
      read(commit.isRecommit)
      read(server: commit.runID)
    case .republish(let republish):
      read(9)
      read(republish.fence)
      read(republish.version)
      read(token: republish.token.revealed)
      read(republish.certain)
      read(republish.until)
      read(republish.slack)
      read(republish.begunAt)
    case .mark(let mark):
      read(10)
      read(mark.version)
      read(mark.age)
      read(mark.begunAt)
      read(mark.knownFor)
    case .heartbeat: read(11)
    }
  }

  private mutating func write(_ reply: StoreReply) {
    switch reply {
    case .lock(let holder, let remaining):
      read(0)
      read(term: holder)
      read(remaining)
    case .acquired(let epoch):
      read(1)
      read(epoch)
    case .held(let holder, let remaining):
      read(2)
      read(term: holder)
      read(remaining)
    case .renewed: read(3)
    case .lost: read(4)
    case .released: read(5)
    case .account(let view): write(view)
    case .fenced(let epoch):
      read(7)
      read(epoch)
    case .foreignApp: read(8)
    case .newerLayout: read(9)
    case .began(let receipt):
      read(10)
      read(receipt.committed)
      read(receipt.at)
      read(receipt.now)
    case .stale(let version):
      read(11)
      read(version)
    case .resolved: read(12)
    case .committed(let isCertain):
      read(13)
      read(isCertain)
    case .superseded(let epoch):
      read(14)
      read(epoch)
    case .deposed(let epoch):
      read(15)
      read(epoch)
    case .republished(let wrote):
      read(16)
      read(wrote)
    case .marked: read(17)
    case .inOrder: read(18)
    case .settled: read(19)
    case .replicas: read(20)
    }
  }

  private mutating func write(_ view: AccountView) {
    read(6)
    read(view.now)
    read(view.fence)
    read(view.committed)
    write(view.intent)
    write(view.doubt)
    read(server: view.runID)
    read(view.fetchedAt)
    read(view.expiresAt)
    read(token: view.token?.revealed)
    read(view.tokenRemaining.map { view.now + $0 })
    for other in view.others {
      let end = other.remaining.map { view.now + $0 }
      read(end)
      read(expiry: other.text.flatMap { Int64($0) }, end)
    }
  }

  // MARK: Numbers

  /// Replaces epochs by their order, and hashes.
  private mutating func numbered(at now: Int64) -> Mark {
    sorted.removeAll(keepingCapacity: true)
    for (_, value) in epochs where !sorted.contains(value) { sorted.append(value) }
    sorted.sort()
    for (place, value) in epochs {
      let order = sorted.firstIndex(of: value) ?? 0
      let age = now - value
      let recent = age <= Self.recentEpoch ? age + 100_000 : 0
      words[place] = UInt64(bitPattern: Int64(order) &+ recent << 8)
    }
    var low: UInt64 = 0x9E37_79B9_7F4A_7C15
    var high: UInt64 = 0xD1B5_4A32_D192_ED03
    for word in words {
      let (h, l) = (word ^ low).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
      low = h ^ l
      let (g, k) = (word &+ high ^ 0xE703_7ED1_A0B4_28DB).multipliedFullWidth(
        by: 0x8EBC_6AF0_9C88_C6E3)
      high = g ^ k &+ low
    }
    return Mark(low: low, high: high)
  }
}

extension State {
  /// The least that looks will show as committed when no data are lost any more.
  fileprivate var leastCommitted: Version? {
    guard var least = redis.data.accounts[0].state.committed else { return nil }
    for step in replicas.lazy.flatMap(\.steps) {
      guard case .answered(let letter, _) = step.stage, case .account(let view) = letter.content
      else { continue }
      guard let committed = view.committed else { return nil }
      least = min(least, committed)
    }
    return least
  }
}
