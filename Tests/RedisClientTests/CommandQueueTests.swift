import Testing

@testable import RedisClient

/// What becomes of commands, of their callers and of the connection: transcripts.
@Suite("Commands of many callers")
struct CommandQueueTests {
  private typealias Queue = CommandQueue<String>
  private let start = ContinuousClock.now
  private let lost = RedisFailure.connectionLost(reason: "the server closed it")

  private static func queue(connected: Bool) -> Queue {
    var queue = Queue(maximumInFlight: 4, maximumInFlightBytes: 100)
    if connected { _ = queue.connected() }
    return queue
  }

  private func batch(
    _ id: UInt64, count: Int = 1, bytes: Int = 10, waits: Bool = true, deadline: Int = 1000,
    _ onAbandonment: RedisClient.Abandonment = .discardReplies
  ) -> Queue.Batch {
    Queue.Batch(
      id: id, caller: "caller \(id)", count: count, bytes: bytes,
      deadline: start + .milliseconds(deadline), waitsForConnection: waits,
      onAbandonment: onAbandonment)
  }

  private func submit(
    _ batch: Queue.Batch, to queue: inout Queue, isCancelled: Bool = false, at milliseconds: Int = 0
  ) -> Queue.Submission {
    queue.submitted(batch, isCancelled: isCancelled, at: start + .milliseconds(milliseconds))
  }

  @Test("what is submitted on a connection is written, and its replies are handed over once")
  func ordinary() {
    var queue = Self.queue(connected: true)
    #expect(submit(batch(1), to: &queue) == .write)
    #expect(queue.answered(1, [.integer(1)]) == .init(isAwaited: true, close: nil))
    #expect(queue.answered(1, [.integer(1)]) == .init(isAwaited: false, close: nil))
    #expect(queue.deadlinePassed(1) == [])
    #expect(queue.cancelled(1) == [])
    #expect(queue.overdue(1) == [])
    #expect(queue.failed(1, lost) == [])
  }

  @Test("what waits is written in its order once there is a connection, and is not sent if none is")
  func waits() {
    var queue = Self.queue(connected: false)
    for id in 1...4 { #expect(submit(batch(UInt64(id)), to: &queue) == .wait) }
    #expect(queue.deadlinePassed(1) == [.settle("caller 1", .notSent(.deadlinePassed))])
    queue.disconnected(lost)
    #expect(queue.deadlinePassed(2) == [.settle("caller 2", .notSent(.notConnected(lost)))])
    #expect(submit(batch(5), to: &queue) == .wait)
    #expect(queue.cancelled(4) == [.settle("caller 4", .notSent(.cancelled))])
    #expect(queue.connected().map(\.caller) == ["caller 3", "caller 5"])
    #expect(queue.connected().map(\.caller) == [])
    #expect(queue.failed(3, lost) == [.settle("caller 3", .outcomeUnknown(lost))])
    // A connection that has come forgets why there was none.
    #expect(queue.deadlinePassed(5).last == .abandon("caller 5", .outcomeUnknown(.deadlinePassed)))
  }

  @Test("a refusal has the first reason of: cancelled, stopped, too late, no connection, too many")
  func refusals() {
    var queue = Self.queue(connected: false)
    let late = batch(1, count: 5, waits: false, deadline: 0)
    #expect(submit(late, to: &queue, isCancelled: true) == .refuse(.notSent(.cancelled)))
    #expect(submit(late, to: &queue) == .refuse(.notSent(.deadlinePassed)))
    let big = batch(2, count: 5, waits: false)
    #expect(submit(big, to: &queue) == .refuse(.notSent(.notConnected(nil))))
    queue.disconnected(lost)
    #expect(submit(big, to: &queue) == .refuse(.notSent(.notConnected(lost))))
    #expect(
      submit(batch(2, count: 5), to: &queue) == .refuse(.notSent(.tooManyInFlight(limit: 4))))
    #expect(queue.stopped() == [])
    #expect(submit(late, to: &queue) == .refuse(.notSent(.stopped)))
    #expect(submit(late, to: &queue, isCancelled: true) == .refuse(.notSent(.cancelled)))
  }

  @Test("a deadline is met just before it, and missed at it")
  func deadline() {
    var queue = Self.queue(connected: true)
    #expect(submit(batch(1), to: &queue, at: 999) == .write)
    #expect(submit(batch(2), to: &queue, at: 1000) == .refuse(.notSent(.deadlinePassed)))
    #expect(submit(batch(3), to: &queue, at: 1001) == .refuse(.notSent(.deadlinePassed)))
  }

  @Test("commands and bytes are bounded until they are settled, also when their callers have gone")
  func bounds() {
    let refused = Queue.Submission.refuse(.notSent(.tooManyInFlight(limit: 4)))
    var queue = Self.queue(connected: true)
    #expect(submit(batch(1, count: 3), to: &queue) == .write)
    #expect(submit(batch(2, count: 2), to: &queue) == refused)
    #expect(queue.cancelled(1) == [.abandon("caller 1", .outcomeUnknown(.cancelled))])
    #expect(submit(batch(2, count: 2), to: &queue) == refused)
    #expect(queue.answered(1, []).isAwaited == false)
    #expect(submit(batch(2, count: 4, bytes: 90), to: &queue) == .write)
    #expect(queue.failed(2, lost) == [.settle("caller 2", .outcomeUnknown(lost))])
    #expect(submit(batch(3, bytes: 100), to: &queue) == .write)
    #expect(submit(batch(4, bytes: 1), to: &queue) == refused)
  }

  @Test("a late answer reaches nobody, and the connection stays")
  func lateAnswer() {
    var queue = Self.queue(connected: true)
    #expect(submit(batch(1), to: &queue) == .write)
    #expect(
      queue.deadlinePassed(1) == [
        .watch("caller 1"), .abandon("caller 1", .outcomeUnknown(.deadlinePassed)),
      ])
    #expect(queue.cancelled(1) == [])
    #expect(queue.answered(1, [.null]) == .init(isAwaited: false, close: nil))
    #expect(queue.overdue(1) == [])
  }

  @Test("an answer that stays out after the deadline costs the connection, whoever has gone before")
  func overdue() {
    var queue = Self.queue(connected: true)
    #expect(submit(batch(1), to: &queue) == .write)
    #expect(queue.cancelled(1) == [.abandon("caller 1", .outcomeUnknown(.cancelled))])
    #expect(queue.deadlinePassed(1) == [.watch("caller 1")])
    #expect(queue.overdue(1) == [.close(.unresponsive)])
    // The connection ends by that, and with it the batch.
    queue.disconnected(.unresponsive)
    #expect(queue.failed(1, .unresponsive) == [.settle("caller 1", nil)])
    #expect(queue.overdue(1) == [])
  }

  @Test("a blocking pop that is abandoned closes its connection, and only when it was written")
  func closesWhenAbandoned() {
    var queue = Self.queue(connected: true)
    #expect(submit(batch(1, .closeConnection), to: &queue) == .write)
    #expect(
      queue.cancelled(1) == [
        .abandon("caller 1", .outcomeUnknown(.cancelled)), .close(.cancelled),
      ])
    #expect(queue.failed(1, .cancelled) == [.settle("caller 1", nil)])
    #expect(submit(batch(2, .closeConnection), to: &queue) == .write)
    #expect(
      queue.deadlinePassed(2) == [
        .watch("caller 2"), .abandon("caller 2", .outcomeUnknown(.deadlinePassed)),
        .close(.deadlinePassed),
      ])
    var absent = Self.queue(connected: false)
    #expect(submit(batch(3, .closeConnection), to: &absent) == .wait)
    #expect(absent.cancelled(3) == [.settle("caller 3", .notSent(.cancelled))])
  }

  @Test("a refusal of writes ends the connection after the replies, also when they come too late")
  func readOnly() {
    let refusal = RedisServerError("READONLY You can't write against a read only replica.")
    var queue = Self.queue(connected: true)
    #expect(submit(batch(1, count: 2), to: &queue) == .write)
    #expect(
      queue.answered(1, [.null, .error(refusal)])
        == .init(isAwaited: true, close: .readOnly(refusal)))
    #expect(submit(batch(2), to: &queue) == .write)
    _ = queue.cancelled(2)
    #expect(
      queue.answered(2, [.error(refusal)]) == .init(isAwaited: false, close: .readOnly(refusal)))
  }

  @Test(
    "stopped, what waits is not sent, what is written ends with its connection, and no more comes")
  func stops() {
    var queue = Self.queue(connected: false)
    _ = submit(batch(1), to: &queue)
    _ = submit(batch(2), to: &queue)
    #expect(
      queue.stopped() == [
        .settle("caller 1", .notSent(.stopped)), .settle("caller 2", .notSent(.stopped)),
      ])
    #expect(queue.stopped() == [])
    var connected = Self.queue(connected: true)
    _ = submit(batch(3), to: &connected)
    #expect(connected.stopped() == [])
    connected.disconnected(.stopped)
    #expect(connected.failed(3, .stopped) == [.settle("caller 3", .outcomeUnknown(.stopped))])
    #expect(connected.connected().map(\.caller) == [])
    #expect(submit(batch(4), to: &connected) == .refuse(.notSent(.stopped)))
  }

  // MARK: Totality

  /// A batch in each of its phases, with and without a connection.
  private func phases() -> [(name: String, queue: Queue)] {
    var unknown = Self.queue(connected: true)
    _ = submit(batch(9), to: &unknown)
    var waiting = Self.queue(connected: false)
    _ = submit(batch(1), to: &waiting)
    var written = Self.queue(connected: true)
    _ = submit(batch(1), to: &written)
    var abandoned = written
    _ = abandoned.cancelled(1)
    var stopped = written
    _ = stopped.stopped()
    return [
      ("unknown", unknown), ("waiting", waiting), ("written", written), ("abandoned", abandoned),
      ("stopped", stopped),
    ]
  }

  @Test("whatever happens in whatever order, a caller is answered exactly once")
  func total() {
    func told(_ actions: [Queue.Action]) -> Int {
      actions.count { action in
        switch action {
        case .settle(_, let error): error != nil
        case .abandon: true
        case .watch, .close: false
        }
      }
    }
    let lost = lost
    let steps: [(name: String, take: (inout Queue) -> Int)] = [
      ("connected", { $0.connected().count * 0 }),
      (
        "disconnected",
        { queue in
          queue.disconnected(lost); return 0
        }
      ),
      ("stopped", { told($0.stopped()) }),
      ("answered", { $0.answered(1, []).isAwaited ? 1 : 0 }),
      ("failed", { told($0.failed(1, lost)) }),
      ("deadlinePassed", { told($0.deadlinePassed(1)) }),
      ("cancelled", { told($0.cancelled(1)) }),
      ("overdue", { told($0.overdue(1)) }),
    ]
    for (phase, start) in phases() {
      for first in steps {
        for second in steps {
          for third in steps {
            var queue = start
            var count = phase == "unknown" || phase == "abandoned" ? 1 : 0
            for step in [first, second, third] { count += step.take(&queue) }
            let names = "\(phase): \(first.name), \(second.name), \(third.name)"
            #expect(count <= 1, "\(names)")
            // In the end its time passes, and then its connection: it is quiet for ever.
            count += told(queue.deadlinePassed(1)) + told(queue.failed(1, lost))
            #expect(count == 1, "\(names)")
            #expect(queue.overdue(1) == [] && queue.deadlinePassed(1) == [], "\(names)")
          }
        }
      }
    }
  }
}
