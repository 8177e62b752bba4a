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
    #expect(!state.isConnected && state.isOfNoUse)
    state.connectFailed(.deadlinePassed, doubt: "it stands in quotes")
    #expect(state.lastError?.hasSuffix("; it stands in quotes") == true)
    state.connectFailed(.deadlinePassed)
    #expect(state.lastError == "\(RedisFailure.deadlinePassed)")
    #expect(state.connected(to: Self.server, at: later) == .seconds(5))
    #expect(state.isConnected && !state.isOfNoUse && state.reconnects == 0)
    state.disconnected(.unresponsive, at: later)
    #expect(!state.isConnected)
    _ = state.connected(to: Self.server, at: later)
    #expect(state.reconnects == 1)
    state.refused(
      .refused(
        command: "BLPOP",
        RedisServerError("NOPERM this user has no permissions to run the 'blpop' command")))
    #expect(state.isOfNoUse && state.isConnected)
    state.want(false)
    #expect(!state.isOfNoUse && state.since == nil)
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
    func interval(_ timeout: Duration, after silence: Duration) -> Duration? {
      var met = IdleTimeout()
      met.met(after: silence, timeout: timeout)
      return met.interval
    }
    #expect(interval(.zero, after: .seconds(2)) == nil)
    #expect(interval(.seconds(1), after: .seconds(2)) == .milliseconds(500))
    #expect(interval(.seconds(300), after: .seconds(301)) == .seconds(150))
    #expect(interval(.seconds(300), after: .seconds(3)) == nil, "it was not the timeout")
    #expect(interval(.milliseconds(300), after: .seconds(1)) == .milliseconds(400))
  }

  @Test func `a timeout that nobody tells is known by its second time, and safely below it`() {
    for timeout in [1.0, 2, 3, 5, 30, 300] {
      for late in [0.1, 1.0, 1.9] {
        let silence = Duration.seconds(timeout + late)
        var met = IdleTimeout()
        met.met(after: silence, at: Self.start)
        #expect(met.interval == nil)
        met.met(after: silence, at: Self.start + silence)
        let interval = met.interval ?? .zero
        #expect(interval >= .milliseconds(400) && interval < .seconds(timeout))
      }
    }
    var chance = IdleTimeout()
    for silence in [1.0, 9, 300, 20] { chance.met(after: .seconds(silence), at: Self.start) }
    for hour in 1...3 { chance.met(after: .seconds(2), at: Self.start + .seconds(hour * 3600)) }
    #expect(chance.interval == nil)
  }
}
