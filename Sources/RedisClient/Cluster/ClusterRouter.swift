import Logging
import NIOCore
import Synchronization

/// Sends each command to the node of a cluster that serves its key.
///
/// There is a connection to a node from when a command is for it, as long as it serves one of the
/// slots that are used, and commands come.
actor ClusterRouter {
  typealias Address = RedisEndpoint.Address
  typealias Instant = ContinuousClock.Instant

  /// To whom a batch goes.
  enum Route: Hashable {
    /// To whoever serves the slot.
    case slot(HashSlot)
    /// To the node that serves the home's slot: what is about no key.
    case home
    case node(Address)
  }

  struct Member {
    let id: UInt64
    let node: ClusterNode
    var usedAt: Instant
    /// How many batches are on their way.
    var batches = 0
    var isConnected = false
    /// Whether it was asked though the map does not lead there: a slot may be on its way to it.
    var isGuest: Bool
    /// Why it cannot be connected to, or was lost.
    var failure: RedisFailure?
  }

  private enum Happening: Sendable {
    case node(Address, id: UInt64, ConnectionEvent)
    case keepAlive(Duration?)
    case endHome(RedisFailure)
  }

  let view: ClusterView
  let configuration: RedisConfiguration
  let eventLoop: any EventLoop
  private let logger: Logger
  /// The slot whose node also gets what is about no key.
  let home: HashSlot
  /// Whether anybody is told of the connection to that.
  private let hasHome: Bool
  private let herald: ClusterHerald
  /// Rings when the map changes.
  let changed = Bell()

  var members: [Address: Member] = [:]
  /// The slots that commands of this client were for, and when the last one was.
  var slots: [HashSlot: Instant] = [:]
  private(set) var isStopped = false
  private var keepAliveInterval: Duration?
  private var nextID: UInt64 = 0

  private let launches: AsyncStream<ClusterNode>
  private let launch: AsyncStream<ClusterNode>.Continuation
  private let happenings: AsyncStream<Happening>
  private let happened: AsyncStream<Happening>.Continuation
  private let wishes: AsyncStream<Void>
  /// The map is in doubt.
  let wish: AsyncStream<Void>.Continuation

  /// A slot or a node that nobody asked for this long is none of ours.
  private static let idleness: Duration = .seconds(120)
  /// From one asking without need to the next.
  private static let interval: Duration = .seconds(60)
  /// Between two askings while something is away, at most.
  private static let longestPause: Duration = .milliseconds(500)
  /// The same while no node answers.
  private static let longestRest: Duration = .seconds(2)

  init(
    _ view: ClusterView, configuration: RedisConfiguration, eventLoop: any EventLoop,
    home: String?, logger: Logger, onEvent: @escaping @Sendable (ConnectionEvent) -> Void
  ) {
    self.view = view
    self.configuration = configuration
    self.eventLoop = eventLoop
    self.logger = logger
    self.home = HashSlot(of: home ?? "")
    hasHome = home != nil
    herald = ClusterHerald(eventLoop: eventLoop, onEvent: onEvent)
    (launches, launch) = AsyncStream.makeStream()
    (happenings, happened) = AsyncStream.makeStream()
    (wishes, wish) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  // MARK: Running

  /// Keeps the map and the connections until the task is cancelled.
  func run() async {
    let id = view.observe { [changed] in changed.ring() }
    defer { view.forget(id) }
    slots[home] = .now
    wish.yield()
    await withDiscardingTaskGroup { group in
      group.addTask { await self.keepMap() }
      group.addTask { await self.askRegularly() }
      group.addTask { await self.followMap() }
      group.addTask { [happenings] in for await next in happenings { await self.take(next) } }
      for await node in launches { group.addTask { await node.run() } }
      group.cancelAll()
    }
    isStopped = true
    changed.ring()
  }

  /// Asks who serves what whenever that is in doubt, again and again until it is not.
  private func keepMap() async {
    for await _ in wishes {
      var pause = ClusterView.spacing
      repeat {
        await refresh()
        guard !isQuiet else { break }
        // Many who miss the same node do not ask all at once.
        try? await Task.sleep(for: pause * Double.random(in: 0.75...1))
        // When nobody answers, all are asked by many: they may have too much to do.
        pause = min(pause * 1.5, view.failure == nil ? Self.longestPause : Self.longestRest)
      } while !Task.isCancelled && !isQuiet
    }
  }

  /// Whether every slot of ours has a node, and every such node a connection.
  private var isQuiet: Bool {
    guard view.failure == nil, let map = view.map else { return false }
    return slots.keys.allSatisfy { slot in
      map[slot].map { members[$0]?.failure == nil } ?? false
    }
  }

  private func refresh() async {
    let suspects = members.filter { $0.value.failure != nil }.map(\.key)
    let links = members.filter { $0.value.isConnected }.mapValues(\.node.client)
    await view.refresh(
      configuration, through: links, avoiding: Set(suspects),
      by: .now + configuration.connectTimeout, on: eventLoop)
  }

  private func askRegularly() async {
    while !Task.isCancelled {
      try? await Task.sleep(for: Self.interval * Double.random(in: 0.8...1))
      closeIdle()
      // Another client of this process may have asked.
      if let askedAt = view.askedAt, askedAt + Self.interval / 2 > .now { continue }
      wish.yield()
    }
  }

  private func followMap() async {
    while !Task.isCancelled {
      let turn = changed.turn
      apply()
      await changed.wait(since: turn, by: nil, on: eventLoop)
    }
  }

  /// Connects to the home's node, and leaves those that serve none of our slots any more.
  private func apply() {
    guard let map = view.map else {
      if let failure = view.failure { herald.failed(failure) }
      return
    }
    if hasHome {
      if let node = map[home] {
        _ = member(at: node)
        herald.moved(to: node)
      } else {
        herald.moved(to: nil)
        herald.failed(.slotUnserved(home.number))
      }
    }
    let owners = Set(slots.keys.compactMap { map[$0] })
    for (address, member) in members {
      if owners.contains(address) {
        members[address]?.isGuest = false
      } else if !member.isGuest || member.failure != nil {
        retire(address)
      }
    }
  }

  private func closeIdle() {
    let limit = ContinuousClock.now - Self.idleness
    slots = slots.filter { $0.key == home || $0.value > limit }
    view.forget(unusedSince: limit)
    let homeNode = view.map?[home]
    for (address, member) in members where member.usedAt < limit && address != homeNode {
      retire(address)
    }
  }

  private func retire(_ address: Address) {
    guard let member = members.removeValue(forKey: address) else { return }
    herald.forgot(address, .nodeLeft("\(address)"))
    // What it has not been sent yet goes to another one; what it has may still be answered.
    member.node.retire(isIdle: member.batches == 0 || !member.isConnected)
  }

  private func take(_ happening: Happening) {
    switch happening {
    case .node(let address, let id, let event):
      guard members[address]?.id == id else { return }
      switch event {
      case .connected:
        members[address]?.isConnected = true
        members[address]?.failure = nil
      case .disconnected(let failure), .connectFailed(let failure):
        members[address]?.isConnected = false
        members[address]?.failure = failure
        wish.yield()
      }
    case .keepAlive(let interval):
      keepAliveInterval = interval
      for member in members.values { member.node.client.keepAlive(every: interval) }
    case .endHome(let failure):
      view.map?[home].flatMap { members[$0] }?.node.client.endConnection(failure)
    }
  }

  /// The connection to a node, which is made when there is none.
  func member(at address: Address, isGuest: Bool = false) -> ClusterNode {
    if let member = members[address] { return member.node }
    nextID += 1
    let id = nextID
    herald.made(address, id)
    let node = ClusterNode(
      address, configuration, eventLoop: eventLoop, logger: logger
    ) { [herald, happened] event in
      // On the event loop, at once: the user is told before any reply of the connection.
      herald.happened(event, at: address, id)
      happened.yield(.node(address, id: id, event))
    }
    if let keepAliveInterval { node.client.keepAlive(every: keepAliveInterval) }
    members[address] = Member(id: id, node: node, usedAt: .now, isGuest: isGuest)
    launch.yield(node)
    return node
  }

  // MARK: From outside

  /// Ends the connection to the home's node; another one follows by itself.
  nonisolated func endHomeConnection(_ failure: RedisFailure) { happened.yield(.endHome(failure)) }

  /// Breaks every silence of so long with a PING, on all connections; nil ends that.
  nonisolated func keepAlive(every interval: Duration?) { happened.yield(.keepAlive(interval)) }
}
