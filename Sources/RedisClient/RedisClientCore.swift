import NIOCore

/// Commands of one caller: waiting → written → settled, or abandoned and settled later by nobody.
final class RedisBatch {
  typealias Continuation = CheckedContinuation<Result<[RedisReply], RedisError>, Never>

  let id: UInt64
  let wire: ByteBuffer
  let count: Int
  let deadline: ContinuousClock.Instant
  let waitsForConnection: Bool
  let onAbandonment: RedisClient.Abandonment
  /// Nil once the caller has its answer.
  private var continuation: Continuation?
  var isWritten = false
  var timer: Scheduled<Void>? = nil

  init(
    id: UInt64, wire: ByteBuffer, count: Int, deadline: ContinuousClock.Instant,
    waitsForConnection: Bool, onAbandonment: RedisClient.Abandonment, continuation: Continuation
  ) {
    self.id = id
    self.wire = wire
    self.count = count
    self.deadline = deadline
    self.waitsForConnection = waitsForConnection
    self.onAbandonment = onAbandonment
    self.continuation = continuation
  }

  /// Answers the caller, once.
  func resume(_ result: Result<[RedisReply], RedisError>) {
    continuation?.resume(returning: result)
    continuation = nil
  }

  /// Answers the caller with what a failure means to commands in this state.
  func resume(failing failure: RedisFailure) {
    resume(.failure(isWritten ? .outcomeUnknown(failure) : .notSent(failure)))
  }
}

/// The client's state, on its event loop only: the connection, and the batches not yet settled.
final class RedisClientCore {
  private let configuration: RedisConfiguration
  private let eventLoop: any EventLoop
  private let onEvent: (ConnectionEvent) -> Void

  private var connection: RedisChannelHandler? = nil
  private var lastFailure: RedisFailure? = nil
  private var isStopped = false
  /// Every batch that is waiting or lacks replies, those of callers that have gone included.
  private var batches: [UInt64: RedisBatch] = [:]
  /// The batches not yet written, oldest first.
  private var waiting: [RedisBatch] = []
  private var commandsInFlight = 0
  private var bytesInFlight = 0
  private var keepAliveInterval: Duration? = nil

  init(
    configuration: RedisConfiguration, eventLoop: any EventLoop,
    onEvent: @escaping (ConnectionEvent) -> Void
  ) {
    self.configuration = configuration
    self.eventLoop = eventLoop
    self.onEvent = onEvent
  }

  // MARK: The connection

  func adopt(_ new: RedisConnection, onEnd: @escaping (RedisFailure) -> Void) {
    let handler = new.handler.value
    if isStopped { handler.fail(.stopped) }
    // It may have ended between its handshake and now.
    if let failure = handler.failure {
      if !isStopped { connectFailed(failure) }
      return onEnd(failure)
    }
    handler.onFailure = { [self] failure in
      connection = nil
      lastFailure = failure
      onEvent(.disconnected(failure))
      onEnd(failure)
    }
    connection = handler
    handler.keepAlive(every: keepAliveInterval)
    lastFailure = nil
    onEvent(.connected(new.server))
    let flushed = waiting
    waiting = []
    for batch in flushed { write(batch, to: handler) }
  }

  func connectFailed(_ failure: RedisFailure) {
    lastFailure = failure
    onEvent(.connectFailed(failure))
  }

  func endConnection(_ failure: RedisFailure) { connection?.fail(failure) }

  func keepAlive(every interval: Duration?) {
    keepAliveInterval = interval
    connection?.keepAlive(every: interval)
  }

  func stop() {
    isStopped = true
    lastFailure = .stopped
    connection?.fail(.stopped)
    for batch in waiting { settle(batch) { $0.resume(failing: .stopped) } }
    waiting = []
  }

  // MARK: Commands

  func submit(_ batch: RedisBatch, isCancelled: Bool) {
    if let reason = refusal(of: batch, isCancelled: isCancelled) {
      return batch.resume(failing: reason)
    }
    batches[batch.id] = batch
    commandsInFlight += batch.count
    bytesInFlight += batch.wire.readableBytes
    batch.timer = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(until: batch.deadline)) {
      [self] in deadlinePassed(batch)
    }
    if let connection {
      write(batch, to: connection)
    } else {
      waiting.append(batch)
    }
  }

  func cancel(_ id: UInt64) {
    guard let batch = batches[id] else { return }
    abandon(batch, .cancelled)
  }

  private func refusal(of batch: RedisBatch, isCancelled: Bool) -> RedisFailure? {
    if isCancelled { return .cancelled }
    if isStopped { return .stopped }
    if batch.deadline <= .now { return .deadlinePassed }
    if connection == nil, !batch.waitsForConnection { return .notConnected(lastFailure) }
    if commandsInFlight + batch.count > configuration.maximumInFlight
      || bytesInFlight + batch.wire.readableBytes > configuration.maximumInFlightBytes
    {
      return .tooManyInFlight(limit: configuration.maximumInFlight)
    }
    return nil
  }

  private func write(_ batch: RedisBatch, to handler: RedisChannelHandler) {
    // From here on it may have been written, whatever happens.
    batch.isWritten = true
    handler.send(batch.wire, count: batch.count) { [self] result in
      settle(batch) { batch in
        switch result {
        case .success(let replies): batch.resume(.success(replies))
        case .failure(let failure): batch.resume(failing: failure)
        }
      }
      if case .success(let replies) = result { endIfReadOnly(handler, after: replies) }
    }
  }

  /// Gives up a server that takes no writes: it may have become a replica and keep its connections,
  /// and only a new one asks where the name leads by now.
  ///
  /// While the name leads to the same server still, this goes no faster than the backoff.
  private func endIfReadOnly(_ handler: RedisChannelHandler, after replies: [RedisReply]) {
    guard let refusal = replies.lazy.compactMap(\.refusal).first(where: { $0.kind == .readOnly })
    else { return }
    handler.fail(.readOnly(refusal))
  }

  private func deadlinePassed(_ batch: RedisBatch) {
    guard batch.isWritten else {
      return abandon(batch, lastFailure.map { .notConnected($0) } ?? .deadlinePassed)
    }
    // The caller may have gone before; what counts from here is whether the server still answers.
    batch.timer = eventLoop.assumeIsolated().scheduleTask(
      in: TimeAmount(configuration.unresponsiveAfter)
    ) { [self] in
      connection?.fail(.unresponsive)
    }
    abandon(batch, .deadlinePassed)
  }

  /// Answers a caller without its replies; what was written keeps its place in the order.
  private func abandon(_ batch: RedisBatch, _ failure: RedisFailure) {
    guard batch.isWritten else {
      waiting.removeAll { $0 === batch }
      return settle(batch) { $0.resume(failing: failure) }
    }
    batch.resume(failing: failure)
    if batch.onAbandonment == .closeConnection { connection?.fail(failure) }
  }

  private func settle(_ batch: RedisBatch, _ resume: (RedisBatch) -> Void) {
    guard batches.removeValue(forKey: batch.id) != nil else { return }
    batch.timer?.cancel()
    commandsInFlight -= batch.count
    bytesInFlight -= batch.wire.readableBytes
    resume(batch)
  }
}
