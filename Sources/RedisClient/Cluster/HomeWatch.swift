/// Decides what a client's user is told of its connections to a cluster's nodes: what happens to
/// that to the node that serves the slot it cares most for, which may be another one any time.
struct HomeWatch {
  typealias Address = RedisEndpoint.Address

  private var home: Address?
  private var connected: [Address: RedisServerInfo] = [:]
  /// Whether the last that was told is that it is connected.
  private var isTold = false

  /// Something happened to the connection to a node.
  mutating func happened(_ event: ConnectionEvent, at node: Address) -> [ConnectionEvent] {
    switch event {
    case .connected(let server):
      connected[node] = server
      return node == home ? tellConnected() : []
    case .disconnected(let failure):
      connected[node] = nil
      guard node == home, isTold else { return [] }
      isTold = false
      return [.disconnected(failure)]
    case .connectFailed: return node == home && !isTold ? [event] : []
    }
  }

  /// The node serves the slot from now on; nil: none does.
  mutating func moved(to node: Address?) -> [ConnectionEvent] {
    guard node != home else { return [] }
    let former = home
    home = node
    guard isTold, let former else { return tellConnected() }
    isTold = false
    return [.disconnected(.nodeLeft("\(former)"))] + tellConnected()
  }

  /// Nobody knows where to connect to.
  func failed(_ failure: RedisFailure) -> [ConnectionEvent] {
    isTold ? [] : [.connectFailed(failure)]
  }

  /// The connection to the node is kept no more, and nothing is told of it again.
  mutating func forgot(_ node: Address, _ failure: RedisFailure) -> [ConnectionEvent] {
    connected[node] == nil ? [] : happened(.disconnected(failure), at: node)
  }

  private mutating func tellConnected() -> [ConnectionEvent] {
    guard !isTold, let home, let server = connected[home] else { return [] }
    isTold = true
    return [.connected(server)]
  }
}
