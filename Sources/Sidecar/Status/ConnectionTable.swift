import NIOCore

/// The connections to the HTTP interface: how many there may be, and who makes room for whom.
///
/// On its event loop only. When it is full a new connection is taken all the same, and the one that
/// has not got on for the longest is closed: a probe is answered however many hold on to theirs. Of
/// clients on this host and of others neither can drive the other below half of the places.
final class ConnectionTable {
  /// How long answers may be on their way at once: the page, the status, the metrics.
  private static let mostPages = 32
  /// A page that has been on its way for longer makes room for another.
  private static let pagePatience: TimeAmount = .seconds(1)
  /// How long those who wait for their turn are served before new input is looked at.
  private static let share: TimeAmount = .milliseconds(5)
  /// Until they are served again.
  private static let turn: TimeAmount = .milliseconds(1)
  /// How often the limits of time are looked at, while there are connections.
  private static let look: TimeAmount = .seconds(1)

  private let limit: Int
  private let eventLoop: any EventLoop
  private var connections: [StatusConnection] = []
  private var localCount = 0
  private var looks: RepeatedTask?
  /// Those with requests that they sent ahead, in the order of their turns.
  private var queued = CircularBuffer<StatusConnection>()
  private var isServing = false
  private var isEnding = false
  private var whenEmpty: EventLoopPromise<Void>?

  init(limit: Int, eventLoop: any EventLoop) {
    self.limit = limit
    self.eventLoop = eventLoop
  }

  var count: Int { connections.count }

  func add(_ connection: StatusConnection) {
    guard !isEnding else { return connection.drop() }
    if connections.count >= limit { makeRoom(forLocal: connection.isLocal) }
    connection.place = connections.count
    connections.append(connection)
    if connection.isLocal { localCount += 1 }
    guard looks == nil else { return }
    let table = NIOLoopBound(self, eventLoop: eventLoop)
    looks = eventLoop.scheduleRepeatedTask(initialDelay: Self.look, delay: Self.look) { _ in
      table.value.check()
    }
  }

  func remove(_ connection: StatusConnection) {
    let place = connection.place
    guard connections.indices.contains(place), connections[place] === connection else { return }
    if connection.isLocal { localCount -= 1 }
    let last = connections.removeLast()
    if last !== connection {
      connections[place] = last
      last.place = place
    }
    guard connections.isEmpty else { return }
    looks?.cancel()
    looks = nil
    whenEmpty?.succeed()
    whenEmpty = nil
  }

  /// Closes the connection that got on least lately, so that another may come or a descriptor is
  /// free.
  func makeRoom(forLocal isLocal: Bool? = nil) {
    // Whoever has more than half of the places gives one; with halves, it is the newcomer's side.
    let victims: Bool? =
      if localCount * 2 > limit { true } else if localCount * 2 < limit { false } else { isLocal }
    let oldest =
      oldest { victims == nil || $0.isLocal == victims } ?? oldest { _ in true }
    // Where all wait for a refresh, one of them gives way after all.
    (oldest ?? connections.min { $0.progressedAt < $1.progressedAt })?.drop()
  }

  /// Lets a connection go on when it is its turn.
  ///
  /// One task serves them all, a share of time at a go: an event loop runs every task that is due
  /// before it looks at its sockets, so that a task for each of some hundred connections would keep
  /// it from ever doing so.
  func queue(_ connection: StatusConnection) {
    queued.append(connection)
    guard !isServing else { return }
    isServing = true
    scheduleServing()
  }

  private func scheduleServing() {
    let table = NIOLoopBound(self, eventLoop: eventLoop)
    eventLoop.scheduleTask(in: Self.turn) { table.value.serveQueued() }
  }

  private func serveQueued() {
    let end = NIODeadline.now() + Self.share
    while let connection = queued.popFirst() {
      connection.proceed()
      if NIODeadline.now() >= end { break }
    }
    isServing = !queued.isEmpty
    if isServing { scheduleServing() }
  }

  /// Whether one more long answer may be on its way.
  func admitPage() -> Bool {
    var pages = 0
    for connection in connections where connection.isWritingPage { pages += 1 }
    guard pages >= Self.mostPages else { return true }
    guard let oldest = oldest(where: \.isWritingPage),
      oldest.progressedAt + Self.pagePatience <= .now()
    else { return false }
    oldest.drop()
    return true
  }

  private func oldest(where isMeant: (StatusConnection) -> Bool) -> StatusConnection? {
    var oldest: StatusConnection?
    for connection in connections where connection.mayMakeRoom && isMeant(connection) {
      if oldest.map({ connection.progressedAt < $0.progressedAt }) ?? true { oldest = connection }
    }
    return oldest
  }

  /// Closes those whose time is over.
  private func check() {
    let now = NIODeadline.now()
    for connection in connections { connection.check(now) }
  }

  /// Ends all connections in order; those that have not ended after the grace are closed.
  func shutDown(grace: TimeAmount) -> EventLoopFuture<Void> {
    isEnding = true
    for connection in connections { connection.shutDown() }
    guard !connections.isEmpty else { return eventLoop.makeSucceededVoidFuture() }
    let promise = eventLoop.makePromise(of: Void.self)
    whenEmpty = promise
    let table = NIOLoopBound(self, eventLoop: eventLoop)
    eventLoop.scheduleTask(in: grace) {
      for connection in table.value.connections { connection.drop() }
    }
    return promise.futureResult
  }
}
