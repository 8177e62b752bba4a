import Logging
import NIOCore

/// Whoever awaits the replies to a batch, with what is to be written for it.
final class RedisCaller {
  typealias Continuation = CheckedContinuation<Result<[RedisReply], RedisError>, Never>

  let id: UInt64
  let wire: ByteBuffer
  let continuation: Continuation
  /// Of the batch's deadline, and then of the time after it.
  var timer: Scheduled<Void>? = nil

  init(id: UInt64, wire: ByteBuffer, continuation: Continuation) {
    self.id = id
    self.wire = wire
    self.continuation = continuation
  }
}

/// One server's connection and the commands for it, on their event loop only: does what
/// `ConnectionLife` and `CommandQueue` decide.
final class RedisNode {
  typealias Batch = CommandQueue<RedisCaller>.Batch

  let connection: KeptConnection
  private let unresponsiveAfter: Duration
  private let eventLoop: any EventLoop
  private let onEvent: (ConnectionEvent) -> Void
  private var queue: CommandQueue<RedisCaller>

  init(
    configuration: RedisConfiguration, eventLoop: any EventLoop, logger: Logger,
    onEvent: @escaping (ConnectionEvent) -> Void
  ) {
    connection = KeptConnection(
      configuration: configuration, eventLoop: eventLoop, logger: logger)
    unresponsiveAfter = configuration.unresponsiveAfter
    self.eventLoop = eventLoop
    self.onEvent = onEvent
    queue = CommandQueue(
      maximumInFlight: configuration.maximumInFlight,
      maximumInFlightBytes: configuration.maximumInFlightBytes)
    connection.onEvent = { [weak self] in self?.connectionChanged($0) }
  }

  func stop() {
    let actions = queue.stopped()
    connection.stop()
    perform(actions)
  }

  private func connectionChanged(_ event: ConnectionEvent) {
    switch event {
    case .connected:
      guard let handler = connection.handler else { return }
      let waiting = queue.connected()
      onEvent(event)
      // It may end at any of them: the others fail with it then.
      for batch in waiting { write(batch, to: handler) }
    case .disconnected(let failure), .connectFailed(let failure):
      queue.disconnected(failure)
      onEvent(event)
    }
  }

  func submit(_ batch: Batch, isCancelled: Bool) {
    switch queue.submitted(batch, isCancelled: isCancelled, at: .now) {
    case .refuse(let error): return batch.caller.continuation.resume(returning: .failure(error))
    case .wait: startTimer(of: batch)
    case .write:
      startTimer(of: batch)
      if let handler = connection.handler { write(batch, to: handler) }
    }
  }

  func cancel(_ id: UInt64) { perform(queue.cancelled(id)) }

  private func startTimer(of batch: Batch) {
    let caller = batch.caller
    caller.timer = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(until: batch.deadline)) {
      [self] in perform(queue.deadlinePassed(caller.id))
    }
  }

  private func write(_ batch: Batch, to handler: RedisChannelHandler) {
    let caller = batch.caller
    handler.send(caller.wire, count: batch.count) { [self] result in
      switch result {
      case .success(let replies): answer(caller, replies)
      case .failure(let failure): perform(queue.failed(caller.id, failure))
      }
    }
  }

  private func answer(_ caller: RedisCaller, _ replies: [RedisReply]) {
    let receipt = queue.answered(caller.id, replies)
    caller.timer?.cancel()
    if receipt.isAwaited { caller.continuation.resume(returning: .success(replies)) }
    if let failure = receipt.close { connection.end(failure) }
  }

  private func perform(_ actions: [CommandQueue<RedisCaller>.Action]) {
    for action in actions {
      switch action {
      case .settle(let caller, let error):
        caller.timer?.cancel()
        if let error { caller.continuation.resume(returning: .failure(error)) }
      case .abandon(let caller, let error): caller.continuation.resume(returning: .failure(error))
      case .watch(let caller):
        caller.timer = eventLoop.assumeIsolated().scheduleTask(
          in: TimeAmount(unresponsiveAfter)
        ) { [self] in perform(queue.overdue(caller.id)) }
      case .close(let failure): connection.end(failure)
      }
    }
  }
}
