import RedisClient
import Testing
import TokenCore

@testable import Sidecar

/// What is made of what sentinels say: news, and what is wrong.
@Suite struct SentinelStateTests {
  private static let sentinel = RedisEndpoint.Address.tcp(host: "s1", port: 26379)
  private static let first = RedisEndpoint.Address.tcp(host: "a", port: 6379)
  private static let second = RedisEndpoint.Address.tcp(host: "b", port: 6379)
  private static let refused = RedisFailure.noSentinel([])
  private static let wall = Timestamp(second: 1_800_000_000)

  private static func sight(
    _ outcome: Result<RedisEndpoint.Address, RedisFailure>
  ) -> SentinelSight {
    let answer: SentinelAnswer =
      switch outcome {
      case .success(let address): .names(address, epoch: 7, isDown: false)
      case .failure(let failure): .failed(failure)
      }
    return SentinelSight(voices: [.init(sentinel: sentinel, answer: answer)], outcome: outcome)
  }

  @Test("the first primary is news, then each other one, with when; the same one is none")
  func news() {
    var state = SentinelState()
    #expect(state.news(Self.sight(.failure(Self.refused)), at: Self.wall) == nil)
    #expect(state.news(Self.sight(.success(Self.first)), at: Self.wall) == .found(Self.first))
    #expect(state.movedAt == nil && state.primary == Self.first)
    #expect(state.news(Self.sight(.success(Self.first)), at: Self.wall) == nil)
    #expect(state.news(Self.sight(.failure(Self.refused)), at: Self.wall) == nil)
    #expect(state.primary == Self.first)
    let later = Timestamp(second: Self.wall.second + 5)
    #expect(
      state.news(Self.sight(.success(Self.second)), at: later)
        == .moved(from: Self.first, to: Self.second))
    #expect(state.movedAt == later && state.failure == nil)
    #expect(state.voices.map(\.sentence) == ["s1:26379 names b:6379 (epoch 7)"])
  }

  private static func known(_ failures: Int, isConnected: Bool) -> Observation {
    var known = Observation(
      now: .origin + .seconds(1000), wall: wall, startedAt: .origin, instance: "a",
      isLeader: false, timing: Timing(), margins: Margins(),
      accounts: AccountMarks([Settings.Account]()))
    var link = LinkState(isWanted: true, since: wall)
    if isConnected {
      _ = link.connected(to: RedisServerInfo(runID: "r", version: "7"))
    } else {
      link.connectFailed(refused)
    }
    known.links = [(.commands, link)]
    var sentinels = SentinelState()
    for _ in 0..<failures { sentinels.saw(sight(.failure(refused)), at: wall) }
    known.sentinels = sentinels
    return known
  }

  private static func condition(
    _ known: Observation, met age: Duration
  ) -> Condition? {
    let keeper = Keeper(
      instance: InstanceID("a")!, accounts: [.unnamed], timing: Timing(), margins: Margins(),
      generator: SystemRandomNumberGenerator())
    return Assessment(keeper.view, known) { _ in
      HealthBook.Met(since: wall, at: known.now - age)
    }.conditions.first { $0.kind == .primaryUnknown }
  }

  @Test("silent sentinels are a warning after ten seconds while Redis answers, an error without")
  func silent() {
    #expect(Self.condition(Self.known(0, isConnected: true), met: .seconds(60)) == nil)
    let young = Self.condition(Self.known(1, isConnected: true), met: .seconds(9))
    #expect(young?.isPending == true)
    let told = Self.condition(Self.known(1, isConnected: true), met: .seconds(10))
    #expect(told?.isPending == false && told?.severity == .warning && told?.stopsFetches == false)
    let away = Self.condition(Self.known(1, isConnected: false), met: .seconds(1))
    #expect(away?.severity == .error && away?.stopsFetches == true)
    #expect(away?.facts.reason?.contains("no sentinel can be asked") == true)
  }
}
