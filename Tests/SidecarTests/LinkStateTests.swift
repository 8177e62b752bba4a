import RedisClient
import Testing

@testable import Sidecar

/// What is known of one connection, and of servers that close silent ones.
@Suite struct LinkStateTests {
  private static let start = ContinuousClock.now
  private static let server = RedisServerInfo(runID: "one", version: "7")

  @Test func `a connection is away from when it was lost or wanted, whatever is tried since`() {
    var state = LinkState(isWanted: true, at: Self.start)
    let later = Self.start + .seconds(5)
    #expect(!state.isAway(for: .seconds(5), at: Self.start + .seconds(4)))
    #expect(state.isAway(for: .seconds(5), at: later) && state.isOfNoUse)
    state.connectFailed(.deadlinePassed)
    #expect(state.isAway(for: .seconds(5), at: later) && state.lastError != nil)
    #expect(state.connected(to: Self.server, at: later) == .seconds(5))
    #expect(!state.isAway(for: .zero, at: later) && !state.isOfNoUse && state.reconnects == 0)
    state.disconnected(.unresponsive, at: later)
    #expect(!state.isAway(for: .seconds(1), at: later))
    _ = state.connected(to: Self.server, at: later)
    #expect(state.reconnects == 1)
    state.refused(
      RedisServerError("NOPERM this user has no permissions to run the 'blpop' command"))
    #expect(state.isOfNoUse && state.isConnected)
    state.want(false)
    #expect(!state.isAway(for: .zero) && !state.isOfNoUse && state.since == nil)
  }

  private static let servers: [(String?, String?, Bool)] = [
    ("one", "one", false), ("one", "two", true), (nil, "two", false), ("one", nil, false),
  ]

  @Test(arguments: servers)
  func `a server is another one when both tell who they are`(
    ours: String?, theirs: String?, isStranger: Bool
  ) {
    var state = LinkState(isWanted: true)
    #expect(!state.isStranger(to: theirs))
    _ = state.connected(to: RedisServerInfo(runID: ours, version: nil))
    #expect(state.isStranger(to: theirs) == isStranger)
  }

  @Test func `a timeout that the server tells has silences broken in half of it`() {
    var known = IdleTimeout()
    known.told(.zero)
    #expect(known.interval == nil)
    known.told(.seconds(1))
    #expect(known.interval == .milliseconds(500))
    var slow = IdleTimeout()
    slow.told(.seconds(300))
    #expect(slow.interval == .seconds(150))
    var quick = IdleTimeout()
    quick.told(.milliseconds(300))
    #expect(quick.interval == .milliseconds(400))
  }

  @Test func `a timeout that nobody tells is known by its second time, and safely below it`() {
    for timeout in [1.0, 2, 3, 5, 30, 300] {
      for late in [0.1, 1.0, 1.9] {
        var met = IdleTimeout()
        met.met(after: .seconds(timeout + late))
        #expect(met.interval == nil)
        met.met(after: .seconds(timeout + late))
        let interval = met.interval ?? .zero
        #expect(interval >= .milliseconds(400) && interval < .seconds(timeout))
      }
    }
    var chance = IdleTimeout()
    for silence in [1.0, 9, 300, 20] { chance.met(after: .seconds(silence)) }
    #expect(chance.interval == nil)
  }
}
