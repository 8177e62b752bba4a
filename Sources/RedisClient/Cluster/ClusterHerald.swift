import NIOCore

/// Tells a client's user of its connections to nodes, in order, on the event loop.
final class ClusterHerald: Sendable {
  typealias Address = RedisEndpoint.Address

  private struct State {
    var watch = HomeWatch()
    /// Whose events count: one that was retired is told of no more.
    var current: [Address: UInt64] = [:]
  }

  private let eventLoop: any EventLoop
  private let onEvent: @Sendable (ConnectionEvent) -> Void
  private let state: NIOLoopBoundBox<State>

  init(eventLoop: any EventLoop, onEvent: @escaping @Sendable (ConnectionEvent) -> Void) {
    self.eventLoop = eventLoop
    self.onEvent = onEvent
    state = NIOLoopBoundBox.makeBoxSendingValue(State(), eventLoop: eventLoop)
  }

  /// There is a connection to the node from now on, or will be.
  func made(_ node: Address, _ id: UInt64) {
    eventLoop.execute { [state] in state.value.current[node] = id }
  }

  /// Something happened to it; on the event loop.
  func happened(_ event: ConnectionEvent, at node: Address, _ id: UInt64) {
    guard state.value.current[node] == id else { return }
    tell(state.value.watch.happened(event, at: node))
  }

  /// It is kept no more.
  func forgot(_ node: Address, _ failure: RedisFailure) {
    eventLoop.execute { [self] in
      state.value.current[node] = nil
      tell(state.value.watch.forgot(node, failure))
    }
  }

  func moved(to node: Address?) {
    eventLoop.execute { [self] in tell(state.value.watch.moved(to: node)) }
  }

  func failed(_ failure: RedisFailure) {
    eventLoop.execute { [self] in tell(state.value.watch.failed(failure)) }
  }

  private func tell(_ events: [ConnectionEvent]) { for event in events { onEvent(event) } }
}
