import Testing

@testable import RedisClient

@Suite("Redirections")
struct RedirectionTests {
  private let node = RedisEndpoint.Address.node("a", 7000)
  private let other = RedisEndpoint.Address.node("b", 7001)
  private let start = ContinuousClock.now

  private func redirection(isBlocking: Bool = false, within: Duration = .seconds(2)) -> Redirection
  {
    Redirection(deadline: start + within, isBlocking: isBlocking)
  }

  private func refused(_ message: String) -> RedisReply { .error(RedisServerError(message)) }

  private func redirect(_ host: String, slot: Int = 3999) -> Redirect? {
    Redirect("MOVED \(slot) \(host)", from: node)
  }

  @Test(
    "the port is behind the last colon; no host is the host asked, no port its port, ? nobody",
    arguments: [
      ("b:7001", RedisEndpoint.Address.node("b", 7001)), (":7001", .node("a", 7001)),
      ("b:0", .node("b", 7000)), ("::1:7001", .node("::1", 7001)),
      ("[::1]:7001", .node("::1", 7001)), ("?:7001", nil), ("b", nil), ("b:x", nil),
      ("b:70000", nil),
    ])
  func addresses(text: String, address: RedisEndpoint.Address?) throws {
    let found = try #require(redirect(text))
    #expect(found.address == address && found.slot.number == 3999)
  }

  @Test(
    "what names no slot is no redirection", arguments: ["MOVED", "MOVED x b:1", "MOVED 16384 b:1"])
  func malformed(message: String) { #expect(Redirect(message, from: node) == nil) }

  @Test("replies are the answer, and so are refusals that no other node mends")
  func answers() {
    var redirection = redirection()
    for replies in [
      [RedisReply.text("x")], [refused("ERR no")], [refused("NOSCRIPT No matching script")],
      [refused("READONLY You can't write")], [refused("LOADING Redis is loading")],
    ] {
      #expect(
        redirection.judge(replies, from: node, at: start, spread: 0) == .init(next: .answer))
    }
  }

  @Test("MOVED corrects the map, is followed at once, and puts the map in doubt")
  func moved() {
    var redirection = redirection()
    let verdict = redirection.judge(
      [.text("x"), refused("MOVED 3999 b:7001")], from: node, at: start, spread: 0)
    #expect(
      verdict
        == .init(
          next: .send(.owner, after: .zero), moved: redirect("b:7001"), isMapDoubtful: true))
  }

  @Test("nodes that point at each other are followed five times")
  func loop() {
    var redirection = redirection()
    for turn in 1...6 {
      let (from, to) = turn % 2 == 1 ? (node, "b:7001") : (other, "a:7000")
      let verdict = redirection.judge(
        [refused("MOVED 3999 \(to)")], from: from, at: start, spread: 0)
      #expect(verdict.next == (turn <= 5 ? .send(.owner, after: .zero) : .answer))
    }
  }

  @Test("a node that names itself is met on a new connection, after a moment")
  func itself() {
    var redirection = redirection()
    let verdict = redirection.judge(
      [refused("MOVED 3999 a:7000")], from: node, at: start, spread: 0)
    #expect(
      verdict
        == .init(
          next: .send(.owner, after: .milliseconds(50)), isMapDoubtful: true, reconnects: true))
  }

  @Test("one that does not know where asks for another map")
  func nowhere() {
    var redirection = redirection()
    let verdict = redirection.judge(
      [refused("MOVED 3999 ?:7001")], from: node, at: start, spread: 0)
    #expect(
      verdict == .init(next: .send(.owner, after: .milliseconds(50)), isMapDoubtful: true))
  }

  @Test("ASK is followed with the map as it is, and not without end")
  func asked() {
    var redirection = redirection()
    for turn in 1...6 {
      let verdict = redirection.judge(
        [refused("ASK 3999 b:7001")], from: node, at: start, spread: 0)
      #expect(verdict.next == (turn <= 5 ? .send(.asked(other), after: .zero) : .answer))
      #expect(verdict.moved == nil)
    }
  }

  @Test("TRYAGAIN waits longer and longer, where the map says, as long as there is time")
  func again() {
    var redirection = redirection()
    var now = start
    var waits: [Duration] = []
    while waits.count < 20 {
      let verdict = redirection.judge(
        [refused("TRYAGAIN Multiple keys")], from: node, at: now, spread: 0.999)
      #expect(verdict.isSplit && !verdict.isMapDoubtful)
      guard case .send(.owner, let wait) = verdict.next else { break }
      waits.append(wait)
      now += wait
    }
    #expect(waits == waits.sorted() && (waits.last ?? .zero) <= .milliseconds(500))
    #expect((waits.first ?? .zero) >= .milliseconds(50))
    #expect(now < start + .seconds(2) && now > start + .milliseconds(1400))
  }

  @Test("CLUSTERDOWN waits for another map")
  func down() {
    var redirection = redirection(within: .milliseconds(60))
    let first = redirection.judge([refused("CLUSTERDOWN no")], from: node, at: start, spread: 0)
    #expect(first == .init(next: .send(.owner, after: .milliseconds(50)), isMapDoubtful: true))
    let late = redirection.judge(
      [refused("CLUSTERDOWN no")], from: node, at: start + .milliseconds(50), spread: 0)
    #expect(late == .init(next: .answer, isMapDoubtful: true))
  }

  @Test("a wait at a node is not continued at another one: whoever waits begins anew")
  func blocking() {
    var redirection = redirection(isBlocking: true)
    for message in ["MOVED 3999 b:7001", "CLUSTERDOWN no", "UNBLOCKED force unblock"] {
      let verdict = redirection.judge([refused(message)], from: node, at: start, spread: 0)
      #expect(verdict.next == .answer && verdict.isMapDoubtful)
    }
    // It has not begun.
    let asked = redirection.judge([refused("ASK 3999 b:7001")], from: node, at: start, spread: 0)
    #expect(asked.next == .send(.asked(other), after: .zero))
  }
}

@Suite("The home in a cluster")
struct HomeWatchTests {
  private let a = RedisEndpoint.Address.node("a")
  private let b = RedisEndpoint.Address.node("b")
  private let server = RedisServerInfo(runID: nil, version: "7.0.15")
  private let lost = RedisFailure.connectionLost(reason: "x")

  @Test("only what happens to the home's node is told")
  func others() {
    var watch = HomeWatch()
    #expect(watch.happened(.connected(server), at: b) == [])
    #expect(watch.moved(to: a) == [])
    #expect(watch.happened(.connectFailed(lost), at: b) == [])
    #expect(watch.happened(.connectFailed(lost), at: a) == [.connectFailed(lost)])
    #expect(watch.happened(.connected(server), at: a) == [.connected(server)])
    #expect(watch.happened(.disconnected(lost), at: b) == [])
    #expect(watch.happened(.disconnected(lost), at: a) == [.disconnected(lost)])
    #expect(watch.happened(.disconnected(lost), at: a) == [])
  }

  @Test("a home that moves to a node with a connection is lost and there again")
  func moves() {
    var watch = HomeWatch()
    _ = watch.moved(to: a)
    _ = watch.happened(.connected(server), at: a)
    _ = watch.happened(.connected(server), at: b)
    #expect(
      watch.moved(to: b) == [.disconnected(.nodeLeft("a:7000")), .connected(server)])
    #expect(watch.moved(to: b) == [])
    #expect(watch.forgot(a, lost) == [])
    #expect(watch.moved(to: nil) == [.disconnected(.nodeLeft("b:7000"))])
    #expect(watch.failed(lost) == [.connectFailed(lost)])
    #expect(watch.forgot(b, lost) == [])
    #expect(watch.moved(to: b) == [])
    #expect(watch.happened(.connected(server), at: b) == [.connected(server)])
    #expect(watch.failed(lost) == [])
  }
}
