/// Decides for the commands of all callers: which are refused, written or kept waiting, and what
/// each caller is told, whatever becomes of it and of the connection.
///
/// A batch: waiting → written → settled, or abandoned and settled later by nobody.
struct CommandQueue<Caller> {
  /// Commands of one caller, which are written together.
  struct Batch {
    let id: UInt64
    let caller: Caller
    let count: Int
    let bytes: Int
    let deadline: ContinuousClock.Instant
    let waitsForConnection: Bool
    let onAbandonment: RedisClient.Abandonment
  }

  private enum Connection {
    /// With the failure that says why, when one is known.
    case absent(RedisFailure?)
    case present
    case stopped
  }

  private enum Phase {
    case waiting
    /// It may have been written, whatever happens.
    case written
    /// So too, and its caller has gone: its replies belong to nobody.
    case abandoned
  }

  /// What to do with what was submitted.
  enum Submission: Hashable {
    case refuse(RedisError)
    /// Until there is a connection, or its deadline passes.
    case wait
    case write
  }

  /// What to do with replies.
  struct Receipt: Hashable {
    /// Whether somebody waits for them.
    let isAwaited: Bool
    /// Why the connection is given up after them, if it is.
    let close: RedisFailure?
  }

  /// What to do when replies do not come, in order.
  enum Action {
    /// Nothing more comes for this caller's commands; nil: nobody waits to hear of it.
    case settle(Caller, RedisError?)
    /// Tells the caller, whose commands keep their place in the order.
    case abandon(Caller, RedisError)
    /// Waits for the replies once more, and says `overdue` when they stay out.
    case watch(Caller)
    case close(RedisFailure)
  }

  private let maximumInFlight: Int
  private let maximumInFlightBytes: Int
  private var connection: Connection = .absent(nil)
  /// Every batch that is waiting or lacks replies, those of callers that have gone included.
  private var batches: [UInt64: (batch: Batch, phase: Phase)] = [:]
  /// The batches not yet written, oldest first.
  private var waiting: [UInt64] = []
  private var commandsInFlight = 0
  private var bytesInFlight = 0

  init(maximumInFlight: Int, maximumInFlightBytes: Int) {
    self.maximumInFlight = maximumInFlight
    self.maximumInFlightBytes = maximumInFlightBytes
  }

  // MARK: The connection

  /// There is a connection.
  ///
  /// - Returns: what is to be written now.
  mutating func connected() -> [Batch] {
    if case .stopped = connection { return [] }
    connection = .present
    let flushed = waiting
    waiting = []
    return flushed.compactMap { id in
      batches[id]?.phase = .written
      return batches[id]?.batch
    }
  }

  /// There is none: it has ended, or could not be made.
  mutating func disconnected(_ failure: RedisFailure) {
    if case .stopped = connection { return }
    connection = .absent(failure)
  }

  /// There never will be one again.
  mutating func stopped() -> [Action] {
    connection = .stopped
    let forgotten = waiting
    // Each of them would look for itself in what it leaves.
    waiting = []
    return forgotten.flatMap { abandon($0, .stopped) }
  }

  // MARK: Commands

  mutating func submitted(
    _ batch: Batch, isCancelled: Bool, at now: ContinuousClock.Instant
  ) -> Submission {
    if let refusal = refusal(of: batch, isCancelled: isCancelled, at: now) {
      return .refuse(.notSent(refusal))
    }
    commandsInFlight += batch.count
    bytesInFlight += batch.bytes
    guard case .present = connection else {
      batches[batch.id] = (batch, .waiting)
      waiting.append(batch.id)
      return .wait
    }
    batches[batch.id] = (batch, .written)
    return .write
  }

  private func refusal(
    of batch: Batch, isCancelled: Bool, at now: ContinuousClock.Instant
  ) -> RedisFailure? {
    if isCancelled { return .cancelled }
    if case .stopped = connection { return .stopped }
    if batch.deadline <= now { return .deadlinePassed }
    if case .absent(let failure) = connection, !batch.waitsForConnection {
      return .notConnected(failure)
    }
    if commandsInFlight + batch.count > maximumInFlight
      || bytesInFlight + batch.bytes > maximumInFlightBytes
    {
      return .tooManyInFlight(limit: maximumInFlight)
    }
    return nil
  }

  /// All replies of a batch are there.
  ///
  /// A server that takes no writes is given up after them: it may have become a replica and keep
  /// its connections, and only a new one asks where the name leads by now. While the name leads to
  /// the same server still, this goes no faster than the backoff.
  mutating func answered(_ id: UInt64, _ replies: [RedisReply]) -> Receipt {
    let isAwaited = batches[id]?.phase == .written
    settleWritten(id)
    for case .error(let refusal) in replies where refusal.kind == .readOnly {
      return Receipt(isAwaited: isAwaited, close: .readOnly(refusal))
    }
    return Receipt(isAwaited: isAwaited, close: nil)
  }

  /// The connection that a batch was written to has ended before its replies came.
  mutating func failed(_ id: UInt64, _ failure: RedisFailure) -> [Action] {
    let isAwaited = batches[id]?.phase == .written
    guard let batch = settleWritten(id) else { return [] }
    return [.settle(batch.caller, isAwaited ? .outcomeUnknown(failure) : nil)]
  }

  mutating func deadlinePassed(_ id: UInt64) -> [Action] {
    guard let (batch, phase) = batches[id] else { return [] }
    switch (phase, connection) {
    case (.waiting, .absent(let failure?)): return abandon(id, .notConnected(failure))
    case (.waiting, _): return abandon(id, .deadlinePassed)
    // What counts from here is whether the server still answers.
    case (.written, _), (.abandoned, _):
      return [.watch(batch.caller)] + abandon(id, .deadlinePassed)
    }
  }

  mutating func cancelled(_ id: UInt64) -> [Action] { abandon(id, .cancelled) }

  /// The replies have stayed out beyond the deadline.
  func overdue(_ id: UInt64) -> [Action] { batches[id] == nil ? [] : [.close(.unresponsive)] }

  /// Answers a caller without its replies; what was written keeps its place in the order.
  private mutating func abandon(_ id: UInt64, _ failure: RedisFailure) -> [Action] {
    guard let (batch, phase) = batches[id] else { return [] }
    let close: [Action] = batch.onAbandonment == .closeConnection ? [.close(failure)] : []
    switch phase {
    case .waiting:
      settle(id)
      return [.settle(batch.caller, .notSent(failure))]
    case .written:
      batches[id]?.phase = .abandoned
      return [.abandon(batch.caller, .outcomeUnknown(failure))] + close
    case .abandoned: return close
    }
  }

  /// What waits still has no replies, and no connection to lose.
  @discardableResult
  private mutating func settleWritten(_ id: UInt64) -> Batch? {
    batches[id]?.phase == .waiting ? nil : settle(id)
  }

  @discardableResult
  private mutating func settle(_ id: UInt64) -> Batch? {
    guard let (batch, phase) = batches.removeValue(forKey: id) else { return nil }
    if phase == .waiting { waiting.removeAll { $0 == id } }
    commandsInFlight -= batch.count
    bytesInFlight -= batch.bytes
    return batch
  }
}

extension CommandQueue.Action: Equatable where Caller: Equatable {}
