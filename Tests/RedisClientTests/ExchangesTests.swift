import Testing

@testable import RedisClient

/// To whom replies belong, and when a silence is broken: transcripts.
@Suite("Exchanges on one connection")
struct ExchangesTests {
  private let start = ContinuousClock.now
  private let lost = RedisFailure.connectionLost(reason: "the server closed it")

  private func at(_ milliseconds: Int) -> ContinuousClock.Instant {
    start + .milliseconds(milliseconds)
  }

  /// A receipt in words.
  private func receive(_ reply: RedisReply, _ exchanges: inout Exchanges<String>) -> String {
    switch exchanges.received(reply) {
    case .nothing: "nothing"
    case .complete(let owner, let replies): "\(owner): \(replies)"
    case .push(let reply): "push: \(reply)"
    case .fail(let failure): "fail: \(failure)"
    }
  }

  @Test("replies belong to the oldest exchange that lacks one, and come together")
  func order() {
    var exchanges = Exchanges<String>(at: at(0))
    #expect(exchanges.sent("a", count: 2, at: at(0)) == nil)
    #expect(exchanges.sent("b", count: 1, at: at(0)) == nil)
    #expect(receive(.integer(1), &exchanges) == "nothing")
    #expect(receive(.integer(2), &exchanges) == "a: \([RedisReply.integer(1), .integer(2)])")
    #expect(receive(.integer(3), &exchanges) == "b: \([RedisReply.integer(3)])")
    #expect(receive(.integer(4), &exchanges) == "fail: \(RedisFailure.unmatchedReply)")
    let refusal = RedisServerError("ERR max number of clients reached")
    #expect(
      receive(.error(refusal), &exchanges) == "fail: \(RedisFailure.refusedByServer(refusal))")
  }

  @Test("a subscription whose PING brings nothing is deaf; what comes proves it")
  func deaf() {
    var exchanges = Exchanges<String>(at: at(0))
    exchanges.keepAlive(every: .seconds(10))
    // Others wait for replies, and are given up when these stay out.
    #expect(!exchanges.isDeaf(at: at(60_000)))
    #expect(exchanges.sentUnanswered(subscribing: true, at: at(0)) == true)
    #expect(!exchanges.isDeaf(at: at(14_999)))
    #expect(exchanges.sentUnanswered(subscribing: false, at: at(10_000)) == true)
    #expect(exchanges.isDeaf(at: at(15_000)))
    #expect(exchanges.bytesCame(at: at(14_000)) == true)
    #expect(!exchanges.isDeaf(at: at(28_999)))
    exchanges.keepAlive(every: nil)
    #expect(!exchanges.isDeaf(at: at(60_000)))
  }

  @Test("the first failure is the end of all, and a refusal that came before it says more")
  func ends() {
    let refusal = RedisServerError("DENIED no")
    var exchanges = Exchanges<String>(at: at(0))
    _ = exchanges.sent("a", count: 2, at: at(0))
    _ = exchanges.sent("b", count: 1, at: at(0))
    #expect(receive(.error(refusal), &exchanges) == "nothing")
    #expect(exchanges.failure == nil)
    let orphans = exchanges.failed(lost)
    #expect(orphans?.map(\.0) == ["a", "b"])
    #expect(orphans?.map(\.1) == [.refusedByServer(refusal), lost])
    #expect(exchanges.failure == lost)
    #expect(exchanges.failed(.stopped) == nil)
  }

  @Test("on a subscribed connection everything is pushed")
  func subscribed() {
    var exchanges = Exchanges<String>(at: at(0))
    #expect(exchanges.sentUnanswered(subscribing: true, at: at(0)) == true)
    #expect(exchanges.isSubscribed)
    #expect(receive(.null, &exchanges) == "push: \(RedisReply.null)")
    // Its PINGs are no exchanges.
    #expect(exchanges.sentUnanswered(subscribing: false, at: at(0)) == true)
    #expect(receive(.null, &exchanges) == "push: \(RedisReply.null)")
    let orphans = exchanges.failed(lost)
    #expect(orphans?.isEmpty == true)
  }

  @Test("whoever is closed without being asked was silent from 900 ms on")
  func closedByServer() {
    var exchanges = Exchanges<String>(at: at(0))
    #expect(exchanges.closedByServer(at: at(899)) == lost)
    #expect(exchanges.closedByServer(at: at(900)) == .closedWhenSilent(.milliseconds(900)))
    #expect(exchanges.bytesCame(at: at(500)) == true)
    #expect(exchanges.closedByServer(at: at(1399)) == lost)
    #expect(exchanges.closedByServer(at: at(1401)) == .closedWhenSilent(.milliseconds(901)))
    _ = exchanges.sent("a", count: 1, at: at(1500))
    #expect(exchanges.closedByServer(at: at(9000)) == lost)
  }

  @Test("a silence is broken when it is as long as it may be, and awaiting a reply is none")
  func silences() {
    var exchanges = Exchanges<String>(at: at(0))
    #expect(exchanges.silenceLeft(at: at(0)) == nil)
    #expect(!exchanges.isTooSilent(at: at(99_999)))
    exchanges.keepAlive(every: .seconds(10))
    #expect(exchanges.silenceLeft(at: at(3000)) == .seconds(7))
    #expect(exchanges.silenceLeft(at: at(30_000)) == .zero)
    #expect(!exchanges.isTooSilent(at: at(9999)))
    #expect(exchanges.isTooSilent(at: at(10_000)))
    #expect(exchanges.isTooSilent(at: at(10_001)))
    _ = exchanges.sent("a", count: 1, at: at(10_000))
    #expect(!exchanges.isTooSilent(at: at(30_000)))
    #expect(exchanges.silenceLeft(at: at(30_000)) == .seconds(10))
    #expect(exchanges.bytesCame(at: at(30_000)) == true)
    #expect(receive(.null, &exchanges) == "a: \([RedisReply.null])")
    #expect(exchanges.silenceLeft(at: at(31_000)) == .seconds(9))
    exchanges.keepAlive(every: nil)
    #expect(exchanges.silenceLeft(at: at(31_000)) == nil)
  }

  @Test("one that has ended takes whatever happens, and does nothing")
  func ended() {
    var exchanges = Exchanges<String>(at: at(0))
    exchanges.keepAlive(every: .seconds(1))
    _ = exchanges.failed(lost)
    #expect(exchanges.sent("a", count: 1, at: at(0)) == lost)
    #expect(exchanges.sentUnanswered(subscribing: true, at: at(0)) == false)
    #expect(exchanges.sentUnanswered(subscribing: false, at: at(0)) == false)
    #expect(!exchanges.isSubscribed)
    #expect(exchanges.bytesCame(at: at(0)) == false)
    #expect(receive(.null, &exchanges) == "nothing")
    #expect(exchanges.failed(.stopped) == nil)
    exchanges.keepAlive(every: .seconds(1))
    #expect(exchanges.silenceLeft(at: at(5000)) == nil)
    #expect(!exchanges.isTooSilent(at: at(5000)))
  }
}

/// What pushes mean: transcripts.
@Suite("A subscription")
struct SubscriptionTests {
  private func push(_ words: String...) -> RedisReply {
    .array(words.map { .bulk(Array($0.utf8)) })
  }

  private func confirmation(_ channel: String) -> RedisReply {
    .array([.bulk(Array("subscribe".utf8)), .bulk(Array(channel.utf8)), .integer(1)])
  }

  private let message = RedisMessage(channel: "one", payload: [97])

  @Test("it is confirmed with the last channel, and messages are delivered before and after")
  func ordinary() {
    var subscription = Subscription(channels: ["one", "two"])
    #expect(subscription.received(confirmation("two")) == .nothing)
    #expect(subscription.received(push("message", "one", "a")) == .deliver(message))
    #expect(subscription.timePassed() == .close(.unresponsive))
    #expect(subscription.received(confirmation("one")) == .confirm)
    #expect(subscription.received(push("message", "one", "a")) == .deliver(message))
    #expect(subscription.timePassed() == .nothing)
  }

  @Test("whatever else comes is nothing, a refusal, or the end", arguments: [false, true])
  func total(isConfirmed: Bool) {
    let refusal = RedisServerError("NOPERM no")
    let cases: [(RedisReply, Subscription.Action)] = [
      (push("pong", ""), .nothing),
      (.error(refusal), .close(.refused(command: "SUBSCRIBE", refusal))),
      (.status("OK"), .close(.unmatchedReply)), (.null, .close(.unmatchedReply)),
      (.integer(1), .close(.unmatchedReply)), (.array([]), .close(.unmatchedReply)),
      (confirmation("other"), .close(.unmatchedReply)),
      (push("message", "one"), .close(.unmatchedReply)),
      (push("unsubscribe", "one", "0"), .close(.unmatchedReply)),
      (.array([.null, .null, .null]), .close(.unmatchedReply)),
      (
        .array([.bulk(Array("message".utf8)), .bulk(Array("one".utf8)), .integer(1)]),
        .close(.unmatchedReply)
      ),
    ]
    for (reply, action) in cases {
      var subscription = Subscription(channels: ["one"])
      if isConfirmed { _ = subscription.received(confirmation("one")) }
      let state = subscription.state
      #expect(subscription.received(reply) == action, "\(reply)")
      #expect(subscription.state == state)
    }
    var subscription = Subscription(channels: ["one"])
    #expect(subscription.received(confirmation("one")) == .confirm)
    #expect(subscription.received(confirmation("one")) == .close(.unmatchedReply))
  }
}
