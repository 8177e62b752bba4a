import NIOCore
import Synchronization

/// Leads to whichever node of a cluster, and to another one when that has left it.
final class NodeLocator: PrimaryLocator {
  private typealias Address = RedisEndpoint.Address

  let moves: PrimaryMoves? = PrimaryMoves()
  private let view: ClusterView
  private let configuration: RedisConfiguration
  /// Protects the node that was chosen last.
  private let chosen = Mutex<Address?>(nil)
  private let observation = Mutex<UInt64?>(nil)

  /// What was asked for within it need not be asked for again.
  private static let freshness: Duration = .seconds(1)

  /// - Parameter configuration: of connections to nodes.
  init(_ view: ClusterView, configuration: RedisConfiguration) {
    self.view = view
    self.configuration = configuration
    let id = view.observe { [weak self] in self?.mapChanged() }
    observation.withLock { $0 = id }
  }

  deinit { observation.withLock { $0.map { view.forget($0) } } }

  func locate(
    by deadline: ContinuousClock.Instant, on eventLoop: any EventLoop
  ) async throws(RedisFailure) -> RedisEndpoint.Address {
    var nodes = view.map?.nodes ?? []
    // Whoever comes back has just lost a node: the map may be older than that.
    let isNews = view.askedAt.map { $0 + Self.freshness > .now } ?? false
    if nodes.isEmpty || (chosen.withLock({ $0 }) != nil && !isNews) {
      nodes = try await view.refresh(configuration, by: deadline, on: eventLoop).get().nodes
    }
    return try choose(among: nodes)
  }

  private func choose(among nodes: [Address]) throws(RedisFailure) -> Address {
    let node = chosen.withLock { chosen in
      let others = nodes.filter { $0 != chosen }
      chosen = others.randomElement() ?? nodes.first
      return chosen
    }
    guard let node else { throw .noClusterNode([]) }
    moves?.tell(node)
    return node
  }

  private func mapChanged() {
    guard let nodes = view.map?.nodes, let node = chosen.withLock({ $0 }), !nodes.contains(node)
    else { return }
    _ = try? choose(among: nodes)
  }
}
