import Testing

@testable import Dialing

/// Which look-ups run, which wait, and what is kept.
@Suite("The queue of look-ups")
struct LookUpQueueTests {
  private typealias Queue = LookUpQueue<String>
  private typealias Question = Queue.Question
  private let start = ContinuousClock.now

  private func question(_ name: String, _ family: Dialer.Family = .any) -> Question {
    Question(name: name, family: family)
  }

  @Test("a question that is being asked is joined, not asked twice")
  func joined() {
    var queue = Queue()
    #expect(queue.ask(question("a"), isApart: false, ticket: 1) == .start)
    #expect(queue.ask(question("a"), isApart: false, ticket: 2) == .wait)
    #expect(queue.ask(question("a", .ipv4), isApart: true, ticket: 3) == .start)
    let end = queue.finish(question("a"), addresses: ["x"], at: start)
    #expect(end.told == [1, 2])
    #expect(end.next == nil)
    #expect(queue.lateAddresses(of: "a", .any, at: start).isEmpty)
  }

  @Test("what comes when nobody waits any more is kept for a minute, or until a younger answer")
  func kept() {
    var queue = Queue()
    _ = queue.ask(question("a"), isApart: false, ticket: 1)
    queue.withdraw(1)
    let end = queue.finish(question("a"), addresses: ["x"], at: start)
    #expect(end.told.isEmpty)
    #expect(queue.lateAddresses(of: "a", .any, at: start + .seconds(59)) == ["x"])
    #expect(queue.lateAddresses(of: "a", .ipv4, at: start + .seconds(59)) == ["x"])
    #expect(queue.lateAddresses(of: "a", .any, at: start + .seconds(60)).isEmpty)
    _ = queue.ask(question("a", .ipv4), isApart: true, ticket: 2)
    _ = queue.finish(question("a", .ipv4), addresses: ["y"], at: start + .seconds(1))
    #expect(queue.lateAddresses(of: "a", .any, at: start + .seconds(1)).isEmpty)
  }

  @Test("a failure that nobody waits for leaves what was kept")
  func keptAfterFailure() {
    var queue = Queue()
    for addresses in [["x"], nil] {
      _ = queue.ask(question("a"), isApart: false, ticket: 1)
      queue.withdraw(1)
      _ = queue.finish(question("a"), addresses: addresses, at: start)
    }
    #expect(queue.lateAddresses(of: "a", .any, at: start) == ["x"])
  }

  @Test("four names may hang in every way, and a fifth still has its thread")
  func hanging() {
    var queue = Queue()
    var ticket: Queue.Ticket = 0
    var running = 0
    for name in ["a", "b", "c", "d"] {
      for family in [Dialer.Family.any, .ipv4, .ipv6] {
        ticket += 1
        if queue.ask(question(name, family), isApart: family != .any, ticket: ticket) == .start {
          running += 1
        }
      }
    }
    #expect(running == Queue.threadLimit - 1)
    #expect(queue.names == ["a", "b", "c", "d"])
    #expect(queue.ask(question("e"), isApart: false, ticket: 100) == .start)
    #expect(queue.ask(question("f"), isApart: false, ticket: 101) == .wait)
    #expect(queue.isWaiting(101))
    // The first thread that is free is its own: those that help out wait for one of theirs.
    let end = queue.finish(question("c"), addresses: ["x"], at: start)
    #expect(end.next == question("f"))
    #expect(!queue.isWaiting(101))
    #expect(
      queue.finish(question("a", .ipv4), addresses: ["x"], at: start).next == question("b", .ipv6))
  }

  @Test("a question without a thread is dropped with the last who asked it")
  func dropped() {
    var queue = Queue()
    for ticket in 1...Queue.Ticket(Queue.threadLimit) {
      #expect(queue.ask(question("\(ticket)"), isApart: false, ticket: ticket) == .start)
    }
    for ticket in Queue.Ticket(100)...101 {
      #expect(queue.ask(question("late"), isApart: false, ticket: ticket) == .wait)
    }
    queue.withdraw(100)
    #expect(queue.isWaiting(101))
    queue.withdraw(101)
    #expect(queue.finish(question("1"), addresses: ["x"], at: start).next == nil)
  }

  @Test("the queue is bounded")
  func bounded() {
    var queue = Queue()
    let most = Queue.threadLimit + Queue.waitingLimit
    for ticket in 1...Queue.Ticket(most) {
      #expect(queue.ask(question("\(ticket)"), isApart: false, ticket: ticket) != .refuse)
    }
    #expect(queue.ask(question("more"), isApart: false, ticket: 1000) == .refuse)
  }

  @Test("what was good is remembered for a day, of so many names")
  func remembered() {
    var queue = Queue()
    for index in 0...Queue.nameLimit {
      queue.remember(["x"], of: "\(index)", at: start + .seconds(index))
    }
    let now = start + .seconds(Queue.nameLimit)
    #expect(queue.lastGoodAddresses(of: "0", at: now).isEmpty)
    #expect(queue.lastGoodAddresses(of: "1", at: now) == ["x"])
    #expect(queue.lastGoodAddresses(of: "1", at: start + .seconds(86_401)).isEmpty)
  }
}
